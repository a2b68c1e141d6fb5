//! Which files of a repository a tower needs.

/// What a repository is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text,
    Image,
    /// One repository publishes both towers.
    Both,
}

/// A file that a tower is made of, by the names it may have, the preferred first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) names: &'static [&'static str],
    pub(crate) is_optional: bool,
}

const CONFIG: Wanted = Wanted { names: &["config.json"], is_optional: false };
const VOCABULARY: Wanted = Wanted { names: &["vocab.txt", "tokenizer.json"], is_optional: false };
/// A CLIP without it is shown pictures in CLIP's own way; of a Chinese-CLIP nothing else tells the way.
const CLIP_PREPROCESSING: Wanted = Wanted { names: &["preprocessor_config.json"], is_optional: true };
const PREPROCESSING: Wanted = Wanted { is_optional: false, ..CLIP_PREPROCESSING };
const WEIGHTS: Wanted = Wanted { names: &["model.safetensors", "pytorch_model.bin"], is_optional: false };

impl Part {
    /// The weights come last: while they are missing, nothing is complete.
    pub(crate) fn wanted(self) -> &'static [Wanted] {
        match self {
            Self::Text => &[CONFIG, VOCABULARY, WEIGHTS],
            Self::Image => &[CONFIG, CLIP_PREPROCESSING, WEIGHTS],
            Self::Both => &[CONFIG, VOCABULARY, PREPROCESSING, WEIGHTS],
        }
    }
}

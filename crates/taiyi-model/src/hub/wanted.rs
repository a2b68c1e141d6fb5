//! Which files of a repository a tower needs.

use crate::files::MAX_SMALL_BYTES;

/// More than any published weights have.
const MAX_WEIGHT_BYTES: u64 = 1 << 40;

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
    /// What is larger is not this file, whatever a hub says.
    pub(crate) max_bytes: u64,
}

const CONFIG: Wanted = small(&["config.json"]);
const VOCABULARY: Wanted = small(&["vocab.txt", "tokenizer.json"]);
/// A CLIP without it is shown pictures in CLIP's own way; of a Chinese-CLIP nothing else tells the way.
const CLIP_PREPROCESSING: Wanted = Wanted { is_optional: true, ..PREPROCESSING };
const PREPROCESSING: Wanted = small(&["preprocessor_config.json"]);
const WEIGHTS: Wanted = Wanted {
    names: &["model.safetensors", "pytorch_model.bin"],
    is_optional: false,
    max_bytes: MAX_WEIGHT_BYTES,
};

const fn small(names: &'static [&'static str]) -> Wanted {
    Wanted { names, is_optional: false, max_bytes: MAX_SMALL_BYTES }
}

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

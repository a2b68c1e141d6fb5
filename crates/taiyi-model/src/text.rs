//! The text tower: prompts to embeddings.

use std::ops::Range;
use std::path::PathBuf;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use taiyi_core::{Embedding, EncodeError, TextEncoder};

use crate::config::TextConfig;
use crate::files::Files;
use crate::tokenizer::Tokenizer;
use crate::towers::bert::{self, Bert, Layout, Padding};
use crate::weights::{WeightFile, plain};
use crate::workers::Workers;
use crate::{ModelError, TowerOptions, embeddings};

/// Texts that run through the tower together, at most.
const BATCH_TEXTS: usize = 32;
/// Tokens that run through the tower together, at most, unless one text alone has more: attention takes
/// memory by the square of the length.
const BATCH_TOKENS: usize = 2048;

/// A prompt as the tower takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Vocabulary ids, `[CLS]` and `[SEP]` included.
    pub ids: Vec<u32>,
    /// Whether the prompt was longer than the tower's positions and lost its end.
    pub truncated: bool,
}

/// A loaded text tower.
pub struct TextTower {
    path: PathBuf,
    tokenizer: Tokenizer,
    bert: Bert,
    dimension: usize,
    workers: Workers,
}

impl TextTower {
    pub(crate) fn load(
        config: &TextConfig,
        layout: Layout,
        files: Files,
        vocabulary: &std::path::Path,
        weights: &WeightFile,
        dimension: usize,
        options: &TowerOptions,
    ) -> Result<Self, ModelError> {
        let tokenizer = Tokenizer::read(files, vocabulary, config.vocabulary, config.positions)?;
        let tensors = weights.load(&bert::tensors(config, layout, dimension))?;
        let vb = VarBuilder::from_backend(Box::new(tensors), DType::F32, Device::Cpu);
        let bert = Bert::load(&vb, config, layout, dimension)
            .map_err(|error| ModelError::mismatch(weights.path(), plain(&error)))?;
        let workers = Workers::new(options.threads, weights.path())?;
        Ok(Self { path: weights.path().to_owned(), tokenizer, bert, dimension, workers })
    }

    /// Splits `text` into tokens, at most [`max_tokens`](Self::max_tokens).
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn tokenize(&self, text: &str) -> Result<Tokens, ModelError> {
        let (ids, truncated) = self.tokenizer.encode(text)?;
        Ok(Tokens { ids, truncated })
    }

    /// The most tokens that the tower takes, `[CLS]` and `[SEP]` included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.tokenizer.max_tokens()
    }

    /// Embeds a batch as the model card's example code does: every text is padded to the longest, and the
    /// padding is attended to. So embeddings depend on what else is in the batch; this is for reproducing
    /// numbers made that way, and for nothing else.
    ///
    /// # Errors
    /// When the model fails on the batch as a whole.
    pub fn encode_with_reference_padding(&self, batch: &[&str]) -> Result<Vec<Embedding>, ModelError> {
        self.encode(batch, Padding::Attended)
    }

    /// `padding` is told the length of the longest text, in tokens.
    fn encode(
        &self,
        batch: &[&str],
        padding: impl FnOnce(usize) -> Padding,
    ) -> Result<Vec<Embedding>, ModelError> {
        let mut texts = Vec::with_capacity(batch.len());
        for (index, text) in batch.iter().enumerate() {
            let tokens = self.tokenize(text)?;
            if tokens.truncated {
                tracing::debug!(tokens = self.max_tokens(), "a text is too long, its end was cut off");
            }
            texts.push((index, tokens.ids));
        }
        // Texts of a length run together, so that short ones are not padded to a long one.
        texts.sort_by_key(|(_, ids)| ids.len());
        let sorted: Vec<&[u32]> = texts.iter().map(|(_, ids)| ids.as_slice()).collect();
        let padding = padding(sorted.last().map_or(0, |ids| ids.len()));
        let padded = |ids: &&[u32]| match padding {
            Padding::Masked => ids.len(),
            Padding::Attended(length) => length,
        };
        let lengths: Vec<usize> = sorted.iter().map(padded).collect();
        let most = batch.len().div_ceil(self.workers.threads()).min(BATCH_TEXTS);
        let groups = buckets(&lengths, most, BATCH_TOKENS);
        let vectors = self.workers.map_batches(&groups, 1, |groups| {
            let mut vectors = Vec::new();
            for group in groups {
                let texts = sorted.get(group.clone()).unwrap_or_default();
                let output = self
                    .bert
                    .forward(texts, self.tokenizer.padding(), padding)
                    .map_err(|error| ModelError::run(&self.path, plain(&error)))?;
                vectors.append(&mut embeddings::from_output(&output, &self.path)?);
            }
            Ok(vectors)
        })?;
        let mut ordered: Vec<(usize, Embedding)> =
            texts.iter().map(|(index, _)| *index).zip(vectors).collect();
        ordered.sort_by_key(|(index, _)| *index);
        Ok(ordered.into_iter().map(|(_, vector)| vector).collect())
    }
}

/// Cuts ascending `lengths` into groups of at most `most` texts and, padded, `most_tokens` tokens.
fn buckets(lengths: &[usize], most: usize, most_tokens: usize) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for (index, length) in lengths.iter().enumerate() {
        let texts = index + 1 - start;
        if texts > 1 && (texts > most || texts * length > most_tokens) {
            groups.push(start..index);
            start = index;
        }
    }
    if start < lengths.len() {
        groups.push(start..lengths.len());
    }
    groups
}

impl TextEncoder for TextTower {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn encode_texts(&self, batch: &[&str]) -> Result<Vec<Embedding>, EncodeError> {
        Ok(self.encode(batch, |_| Padding::Masked)?)
    }

    fn too_long(&self, text: &str) -> Result<Option<usize>, EncodeError> {
        Ok(self.tokenize(text)?.truncated.then(|| self.max_tokens()))
    }
}

impl std::fmt::Debug for TextTower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TextTower({})", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn buckets_cover_everything_within_limits(
            mut lengths in proptest::collection::vec(2usize..513, 0..200),
            most in 1usize..40,
        ) {
            lengths.sort_unstable();
            let groups = buckets(&lengths, most, 2048);
            let covered: Vec<usize> = groups.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..lengths.len()).collect::<Vec<_>>());
            for group in groups {
                prop_assert!(!group.is_empty() && group.len() <= most);
                prop_assert!(group.len() == 1 || group.len() * lengths[group.end - 1] <= 2048);
            }
        }
    }
}

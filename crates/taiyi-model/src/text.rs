//! The text tower: prompts to embeddings.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use taiyi_core::{Embedding, EncodeError, TextEncoder};

use crate::config::TextConfig;
use crate::files::Files;
use crate::source::Source;
use crate::tokenizer::Tokenizer;
use crate::towers::bert::{Bert, Layout, Padding};
use crate::workers::Workers;
use crate::{ModelError, TowerOptions, embeddings};

/// Tokens that run through the tower together on one thread, at most, unless one text alone has more.
const BATCH_TOKENS: usize = 512;
/// As many for each thread, and every thread takes texts of its own; with fewer, all work on them together.
const OWN_TOKENS: usize = 64;

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
        source: Source<'_>,
        dimension: usize,
        options: &TowerOptions,
    ) -> Result<Self, ModelError> {
        let workers = Workers::new(options.threads, source.path())?;
        let is_reading = AtomicBool::new(true);
        let (tokenizer, bert) = workers.both(
            || {
                let read = Tokenizer::read(files, vocabulary, config.vocabulary, config.positions);
                is_reading.store(false, Ordering::Relaxed);
                read
            },
            || {
                let bert = Bert::load(source, config, layout, dimension)?;
                // A process that answers one prompt would spend a third of its time on the vocabulary, and then another
                // on touching weights.
                bert.fetch(|| is_reading.load(Ordering::Relaxed));
                Ok::<_, ModelError>(bert)
            },
        );
        let (tokenizer, bert) = (tokenizer?, bert?);
        Ok(Self { path: source.path().to_owned(), tokenizer, bert, dimension, workers })
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
        for text in batch {
            let tokens = self.tokenize(text)?;
            if tokens.truncated {
                tracing::debug!(tokens = self.max_tokens(), "a text is too long, its end was cut off");
            }
            texts.push(tokens.ids);
        }
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let padding = padding(texts.iter().map(|ids| ids.len()).max().unwrap_or(0));
        let lengths: Vec<usize> = texts
            .iter()
            .map(|ids| match padding {
                Padding::Masked => ids.len(),
                Padding::Attended(length) => length,
            })
            .collect();
        let groups = groups(&lengths, self.workers.threads());
        self.workers.run(&groups, |team, group, scratch| {
            let texts = texts.get(group.clone()).unwrap_or_default();
            let rows = self.bert.forward(team, texts, self.tokenizer.padding(), padding, scratch);
            embeddings::from_rows(rows, &self.path)
        })
    }
}

/// Cuts texts of `lengths` tokens into groups that run together: one if they are few, else at least one a thread.
fn groups(lengths: &[usize], threads: usize) -> Vec<Range<usize>> {
    let total: usize = lengths.iter().sum();
    let most = if total < OWN_TOKENS * threads {
        total
    } else {
        total.div_ceil(total.div_ceil(BATCH_TOKENS).next_multiple_of(threads))
    };
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (index, length) in lengths.iter().enumerate() {
        if index > start && tokens + length > most {
            groups.push(start..index);
            (start, tokens) = (index, 0);
        }
        tokens += length;
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
        fn groups_cover_everything_within_limits(
            lengths in proptest::collection::vec(2usize..513, 0..200),
            threads in 1usize..9,
        ) {
            let groups = groups(&lengths, threads);
            let covered: Vec<usize> = groups.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..lengths.len()).collect::<Vec<_>>());
            let few = lengths.iter().sum::<usize>() < OWN_TOKENS * threads;
            prop_assert!(!few || groups.len() <= 1);
            for group in groups {
                let tokens: usize = lengths[group.clone()].iter().sum();
                prop_assert!(group.len() == 1 || few || tokens <= BATCH_TOKENS);
            }
        }
    }
}

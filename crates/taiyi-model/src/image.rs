//! The image tower: pictures to embeddings.

use std::path::Path;

use taiyi_core::{Embedding, EncodeError, ImageEncoder, PreparedImage, RgbImage};

use crate::{ModelError, TowerOptions};

/// A loaded image tower.
#[derive(Debug)]
pub struct ImageTower {
    dimension: usize,
}

impl ImageTower {
    pub(crate) fn load(dir: &Path, _options: &TowerOptions) -> Result<Self, ModelError> {
        Err(ModelError::config(dir, "image towers cannot be loaded yet"))
    }

    /// Columns and rows of the pixels that the tower takes.
    #[must_use]
    pub fn input_side(&self) -> u32 {
        224
    }
}

impl ImageEncoder for ImageTower {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn prepare(&self, _image: &RgbImage) -> Result<PreparedImage, EncodeError> {
        Err(EncodeError::Model("pictures cannot be prepared yet".into()))
    }

    fn encode_images(&self, _batch: &[PreparedImage]) -> Result<Vec<Embedding>, EncodeError> {
        Err(EncodeError::Model("pictures cannot be encoded yet".into()))
    }
}

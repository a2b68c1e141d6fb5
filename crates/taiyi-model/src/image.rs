//! The image tower: pictures to embeddings.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use taiyi_core::{Embedding, EncodeError, ImageEncoder, PreparedImage, RgbImage};

use crate::config::{PreprocessConfig, VisionConfig};
use crate::towers::vit::{self, Vit};
use crate::weights::{WeightFile, plain};
use crate::workers::Workers;
use crate::{ModelError, TowerOptions, embeddings, preprocess};

/// Pictures that run through the tower together, at most.
const BATCH_IMAGES: usize = 32;

/// A loaded image tower.
pub struct ImageTower {
    path: PathBuf,
    preprocess: PreprocessConfig,
    vit: Vit,
    dimension: usize,
    workers: Workers,
}

impl ImageTower {
    pub(crate) fn load(
        config: &VisionConfig,
        preprocess: &PreprocessConfig,
        weights: &WeightFile,
        dimension: usize,
        options: &TowerOptions,
    ) -> Result<Self, ModelError> {
        let tensors = weights.load(&vit::tensors(config, dimension))?;
        let vb = VarBuilder::from_backend(Box::new(tensors), DType::F32, Device::Cpu);
        let vit = Vit::load(&vb, config, dimension)
            .map_err(|error| ModelError::mismatch(weights.path(), plain(&error)))?;
        let workers = Workers::new(options.threads, weights.path())?;
        Ok(Self { path: weights.path().to_owned(), preprocess: preprocess.clone(), vit, dimension, workers })
    }

    /// Columns and rows of the pixels that the tower takes.
    #[must_use]
    pub fn input_side(&self) -> u32 {
        self.preprocess.crop
    }

    fn forward(&self, batch: &[PreparedImage]) -> Result<Vec<Embedding>, ModelError> {
        let side = self.preprocess.crop as usize;
        let mut values = Vec::with_capacity(batch.len() * 3 * side * side);
        for prepared in batch {
            preprocess::normalize(prepared, &self.preprocess, &mut values);
        }
        let output = Tensor::from_vec(values, (batch.len(), 3, side, side), &Device::Cpu)
            .and_then(|pixels| self.vit.forward(&pixels))
            .map_err(|error| ModelError::run(&self.path, plain(&error)))?;
        embeddings::from_output(&output, &self.path)
    }
}

impl ImageEncoder for ImageTower {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn prepare(&self, image: &RgbImage) -> Result<PreparedImage, EncodeError> {
        preprocess::prepare(image, &self.preprocess).map_err(|error| EncodeError::Input(error.to_string()))
    }

    fn encode_images(&self, batch: &[PreparedImage]) -> Result<Vec<Embedding>, EncodeError> {
        let side = self.preprocess.crop;
        for PreparedImage(image) in batch {
            if (image.width(), image.height()) != (side, side) {
                return Err(EncodeError::Input(format!(
                    "prepared pixels are {}×{}, expected {side}×{side}",
                    image.width(),
                    image.height()
                )));
            }
        }
        Ok(self.workers.map_batches(batch, BATCH_IMAGES, |batch| self.forward(batch))?)
    }
}

impl std::fmt::Debug for ImageTower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImageTower({})", self.path.display())
    }
}

//! The image tower: pictures to embeddings.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use taiyi_core::{Area, Embedding, EncodeError, ImageEncoder, PreparedImage, RgbImage};

use crate::config::{PreprocessConfig, VisionConfig};
use crate::towers::vit::{self, Vit};
use crate::weights::{WeightFile, plain};
use crate::workers::Workers;
use crate::{ModelError, TowerOptions, embeddings, preprocess};

/// Pictures that run through the tower together, at most.
const BATCH_IMAGES: usize = 32;
/// Attention scores that one layer computes at a time, at most, unless one picture alone has more: 128 MiB of
/// f32, which 31 pictures of ViT-L/14 fill, and 6 of 336 pixels.
const BATCH_SCORES: usize = 1 << 25;

/// Large pictures may be decoded smaller, but with no fewer pixels along the shorter side than this many times the
/// tower's own: what the resize makes of them differs by less than what JPEG decoders differ in. Measured in
/// `docs/BENCHMARKS.md`.
const ENOUGH_PIXELS: u32 = 2;

/// A loaded image tower.
pub struct ImageTower {
    path: PathBuf,
    preprocess: PreprocessConfig,
    vit: Vit,
    dimension: usize,
    batch: usize,
    takes_all_pixels: bool,
    workers: Workers,
}

/// Pictures that may run through the tower together: attention takes memory by the square of the patches.
fn batch_of(config: &VisionConfig) -> usize {
    let tokens = config.patches() + 1;
    let scores = tokens.saturating_mul(tokens).saturating_mul(config.layers.heads);
    (BATCH_SCORES / scores).clamp(1, BATCH_IMAGES)
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
        Ok(Self {
            path: weights.path().to_owned(),
            preprocess: preprocess.clone(),
            vit,
            dimension,
            batch: batch_of(config),
            takes_all_pixels: false,
            workers,
        })
    }

    /// Columns and rows of the pixels that the tower takes.
    #[must_use]
    pub fn input_side(&self) -> u32 {
        self.preprocess.crop
    }

    /// Whether large pictures are to be decoded with all of their pixels, which makes embeddings the last bit more
    /// faithful and indexing slower; not unless this is called.
    #[must_use]
    pub fn with_full_decode(mut self, is_full: bool) -> Self {
        self.takes_all_pixels = is_full;
        self
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

    fn enough_pixels(&self) -> Option<u32> {
        (!self.takes_all_pixels).then(|| self.preprocess.crop.saturating_mul(ENOUGH_PIXELS))
    }

    fn prepare(&self, image: &RgbImage) -> Result<PreparedImage, EncodeError> {
        self.prepare_area(image, Area::all(image))
    }

    fn prepare_area(&self, image: &RgbImage, area: Area) -> Result<PreparedImage, EncodeError> {
        preprocess::prepare(image, area, &self.preprocess)
            .map_err(|error| EncodeError::Input(error.to_string()))
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
        Ok(self.workers.map_batches(batch, self.batch, |batch| self.forward(batch))?)
    }
}

impl std::fmt::Debug for ImageTower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImageTower({})", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Activation, Layers};

    #[test]
    fn large_towers_take_fewer_pictures_at_a_time() {
        let batch = |heads, patch, side| {
            let activation = Activation::QuickGelu;
            let layers = Layers { count: 1, width: 64, heads, intermediate: 64, activation, eps: 1e-5 };
            batch_of(&VisionConfig { layers, side, patch, projection: None })
        };
        let (b32, b16, l14, l14_336) =
            (batch(12, 32, 224), batch(12, 16, 224), batch(16, 14, 224), batch(16, 14, 336));
        assert_eq!((b32, b16, l14, l14_336), (32, 32, 31, 6));
        assert_eq!(batch(64, 1, 4096), 1);
    }
}

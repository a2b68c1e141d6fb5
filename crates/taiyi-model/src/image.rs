//! The image tower: pictures to embeddings.

use std::path::PathBuf;

use taiyi_core::{Area, Embedding, EncodeError, ImageEncoder, PreparedImage, RgbImage};

use crate::config::{PreprocessConfig, VisionConfig};
use crate::source::Source;
#[cfg(feature = "cuda")]
use crate::towers::tensors::TensorVit;
use crate::towers::vit::Vit;
#[cfg(feature = "cuda")]
use crate::weights::plain;
use crate::workers::Workers;
use crate::{Device, ModelError, TowerOptions, embeddings, preprocess};

/// Tokens that run through the tower together on one thread, about: eight pictures of ViT-B/32 fill 25 panels to
/// the last lane.
const BATCH_TOKENS: usize = 400;

/// Pictures that go to a graphics card together, so that its memory does not bound what a caller may ask.
#[cfg(feature = "cuda")]
const CUDA_BATCH: usize = 128;

/// Large pictures may be decoded smaller, but with no fewer pixels along the shorter side than this many times the
/// tower's own: what the resize makes of them differs by less than what JPEG decoders differ in. Measured in
/// `docs/BENCHMARKS.md`.
const ENOUGH_PIXELS: u32 = 2;

/// A loaded image tower.
pub struct ImageTower {
    path: PathBuf,
    preprocess: PreprocessConfig,
    network: Network,
    /// What the values of each channel are normalised to.
    values: [[f32; 256]; 3],
    dimension: usize,
    /// Tokens of a picture.
    tokens: usize,
    takes_all_pixels: bool,
}

/// The network, where it computes.
enum Network {
    Cpu {
        vit: Box<Vit>,
        workers: Workers,
    },
    #[cfg(feature = "cuda")]
    Cuda(Box<TensorVit>),
}

impl Network {
    fn load(
        config: &VisionConfig,
        source: Source<'_>,
        dimension: usize,
        options: &TowerOptions,
    ) -> Result<Self, ModelError> {
        match options.device {
            Device::Cpu => Ok(Self::Cpu {
                vit: Box::new(Vit::load(source, config, dimension)?),
                workers: Workers::new(options.threads, source.path())?,
            }),
            #[cfg(feature = "cuda")]
            Device::Cuda(number) => {
                let failed = |problem: String| ModelError::run(source.path(), problem);
                if matches!(source, Source::Quantised(_)) {
                    return Err(failed(
                        "int8 is computed on the CPU: use --precision f32, or leave out --device".into(),
                    ));
                }
                let device = candle_core::Device::new_cuda(number).map_err(|error| {
                    failed(format!(
                        "CUDA device {number} cannot be used ({}): leave out --device to use the CPU",
                        plain(&error)
                    ))
                })?;
                Ok(Self::Cuda(Box::new(TensorVit::load(source, config, dimension, &device)?)))
            }
        }
    }
}

impl ImageTower {
    pub(crate) fn load(
        config: &VisionConfig,
        preprocess: &PreprocessConfig,
        source: Source<'_>,
        dimension: usize,
        options: &TowerOptions,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            path: source.path().to_owned(),
            preprocess: preprocess.clone(),
            network: Network::load(config, source, dimension, options)?,
            values: preprocess::normalized(preprocess),
            dimension,
            tokens: config.patches() + 1,
            takes_all_pixels: false,
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

    /// Pictures of a batch of `count` that run together.
    fn batch_size(&self, count: usize, threads: usize) -> usize {
        // Too few to give every thread some: all threads work on them together.
        if count < 2 * threads {
            return count.max(1);
        }
        count.div_ceil(threads).clamp(1, (BATCH_TOKENS / self.tokens).max(1))
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
        let pixels: Vec<&[u8]> = batch.iter().map(|PreparedImage(image)| image.pixels()).collect();
        match &self.network {
            Network::Cpu { vit, workers } => {
                let size = self.batch_size(pixels.len(), workers.threads());
                let batches: Vec<&[&[u8]]> = pixels.chunks(size).collect();
                Ok(workers.run(&batches, |team, batch, scratch| {
                    embeddings::from_rows(vit.forward(team, batch, &self.values, scratch), &self.path)
                })?)
            }
            #[cfg(feature = "cuda")]
            Network::Cuda(vit) => {
                let mut embeddings = Vec::with_capacity(pixels.len());
                for batch in pixels.chunks(CUDA_BATCH) {
                    let rows = vit
                        .forward(batch, &self.values)
                        .map_err(|error| ModelError::run(&self.path, plain(&error)))?;
                    embeddings.extend(embeddings::from_rows(rows, &self.path)?);
                }
                Ok(embeddings)
            }
        }
    }
}

impl std::fmt::Debug for ImageTower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImageTower({})", self.path.display())
    }
}

//! The image tower in candle's tensors.

use candle_core::{Device, Result as CandleResult, Tensor};

use super::{Place, TensorDense, TensorNorm, TensorStack};
use crate::ModelError;
use crate::config::VisionConfig;
use crate::source::Source;
use crate::towers::stack::Order;
use crate::towers::vit::{self, embeddings};

/// The network with its weights, on a device.
pub(crate) struct TensorVit {
    device: Device,
    side: usize,
    patch: usize,
    /// `[3·patch·patch, width]`
    patches: TensorDense,
    /// `[1, 1, width]`
    class: Tensor,
    /// `[patches + 1, width]`
    positions: Tensor,
    before: TensorNorm,
    stack: TensorStack,
    after: TensorNorm,
    projection: TensorDense,
}

impl TensorVit {
    pub(crate) fn load(
        source: Source<'_>,
        config: &VisionConfig,
        dimension: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let place = Place { source, device };
        let (width, eps) = (config.layers.width, config.layers.eps);
        Ok(Self {
            device: device.clone(),
            side: config.side as usize,
            patch: config.patch as usize,
            patches: place.dense(&embeddings("patch_embedding"), config.patch_values(), width, false)?,
            class: place.tensor(&embeddings("class_embedding"), &[1, 1, width])?,
            positions: place
                .tensor(&embeddings("position_embedding.weight"), &[config.patches() + 1, width])?,
            before: place.norm(vit::BEFORE, width, eps)?,
            stack: TensorStack::load(place, &config.layers, Order::Before, vit::layer_names)?,
            after: place.norm(vit::AFTER, width, eps)?,
            projection: place.dense("visual_projection", width, dimension, false)?,
        })
    }

    /// Embeds pictures, RGB `[side, side, 3]` of 8 bits each: a row each, not of unit length. `values` are what the 256
    /// values of a channel are normalised to.
    pub(crate) fn forward(
        &self,
        pictures: &[&[u8]],
        values: &[[f32; 256]; 3],
    ) -> CandleResult<Vec<Vec<f32>>> {
        let per_side = self.side / self.patch;
        let patches = per_side * per_side;
        let inputs = 3 * self.patch * self.patch;
        // Patches do not overlap, so the convolution is one product over their pixels, channel by channel.
        let mut pixels = Vec::with_capacity(pictures.len() * patches * inputs);
        for picture in pictures {
            for index in 0..patches {
                let (top, left) = (index / per_side * self.patch, index % per_side * self.patch);
                for (channel, values) in values.iter().enumerate() {
                    for row in top..top + self.patch {
                        let from = (row * self.side + left) * 3 + channel;
                        let row = picture.get(from..).unwrap_or_default().iter().step_by(3);
                        pixels.extend(row.take(self.patch).map(|&pixel| values[usize::from(pixel)]));
                    }
                }
            }
        }
        let pixels = Tensor::from_vec(pixels, (pictures.len(), patches, inputs), &self.device)?;
        let hidden = self.patches.forward(&pixels)?;
        let class = self.class.broadcast_as((pictures.len(), 1, self.class.dim(2)?))?;
        let hidden = Tensor::cat(&[&class, &hidden], 1)?.broadcast_add(&self.positions)?;
        let first = self.stack.forward(&self.before.forward(&hidden)?)?;
        self.projection.forward(&self.after.forward(&first)?)?.to_vec2()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::{Activation, Layers};
    use crate::files::Files;
    use crate::machine::Level;
    use crate::team::Team;
    use crate::towers::Scratch;
    use crate::towers::vit::Vit;
    use crate::weights::WeightFile;

    /// Both towers on the same random weights; the tensors' is what a graphics card runs.
    #[test]
    fn the_engine_embeds_pictures_as_tensors_do() {
        let layers = Layers {
            count: 2,
            width: 24,
            heads: 3,
            intermediate: 40,
            activation: Activation::QuickGelu,
            eps: 1e-5,
        };
        let config = VisionConfig { layers, side: 20, patch: 5, projection: None, is_chinese_clip: false };
        let tensors: HashMap<String, Tensor> = vit::tensors(&config, 9)
            .into_iter()
            .map(|spec| (spec.name, Tensor::randn(0.0f32, 0.3, spec.shape, &Device::Cpu).unwrap()))
            .collect();
        let dir = tempfile::tempdir().unwrap();
        candle_core::safetensors::save(&tensors, dir.path().join("model.safetensors")).unwrap();
        let file = WeightFile::open_in(Files::Disk, dir.path()).unwrap();
        let source = Source::Plain(&file);
        let picture =
            |seed: usize| (0..20 * 20 * 3).map(|i| (i * 37 % 251 * seed) as u8).collect::<Vec<u8>>();
        let pictures = [picture(1), picture(3), picture(7)];
        let pictures: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
        let values = std::array::from_fn(|channel| {
            std::array::from_fn(|value| (value as f32 / 255.0 - 0.4) * (channel + 3) as f32)
        });
        let expected =
            TensorVit::load(source, &config, 9, &Device::Cpu).unwrap().forward(&pictures, &values).unwrap();
        let engine = Vit::load(source, &config, 9).unwrap();
        let found =
            engine.forward(&Team::new(Level::detect(), 1), &pictures, &values, &mut Scratch::default());
        assert_eq!(found.len(), 3);
        let spread = (expected[0][0] - expected[1][0]).abs();
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 2e-5 * spread.max(1.0), "{found} {expected}");
        }
    }
}

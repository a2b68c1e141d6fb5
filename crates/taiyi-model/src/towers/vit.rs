//! The image tower: CLIP's vision transformer and its projection.

use super::stack::{LayerNames, Norm, Order, Scratch, Stack};
use super::{dense_specs, norm_specs};
use crate::ModelError;
use crate::config::VisionConfig;
use crate::dense::{Dense, Epilogue};
use crate::source::Source;
use crate::team::Team;
use crate::weights::{Role, TensorSpec};

/// Where the embedding's size is read from.
pub(crate) const PROJECTION: &str = "visual_projection.weight";

// The checkpoints' spelling.
pub(crate) const BEFORE: &str = "vision_model.pre_layrnorm";
pub(crate) const AFTER: &str = "vision_model.post_layernorm";

/// The full name of one of the embeddings.
pub(crate) fn embeddings(name: &str) -> String {
    format!("vision_model.embeddings.{name}")
}

/// What a layer's parts are called.
pub(crate) fn layer_names(index: usize) -> LayerNames {
    let part = |name: &str| format!("vision_model.encoder.layers.{index}.{name}");
    LayerNames {
        query: part("self_attn.q_proj"),
        key: part("self_attn.k_proj"),
        value: part("self_attn.v_proj"),
        out: part("self_attn.out_proj"),
        norm1: part("layer_norm1"),
        up: part("mlp.fc1"),
        down: part("mlp.fc2"),
        norm2: part("layer_norm2"),
    }
}

/// Every tensor of the tower, for embeddings of `dimension` components.
pub(crate) fn tensors(config: &VisionConfig, dimension: usize) -> Vec<TensorSpec> {
    let (width, patch) = (config.layers.width, config.patch as usize);
    let mut specs = vec![
        TensorSpec::new(embeddings("class_embedding"), &[width]),
        TensorSpec::new(embeddings("patch_embedding.weight"), &[width, 3, patch, patch]).used_as(Role::Dense),
        TensorSpec::new(embeddings("position_embedding.weight"), &[config.patches() + 1, width]),
        TensorSpec::new(PROJECTION, &[dimension, width]).used_as(Role::Dense),
    ];
    norm_specs(&mut specs, BEFORE, width);
    norm_specs(&mut specs, AFTER, width);
    for index in 0..config.layers.count {
        let names = layer_names(index);
        for part in [&names.query, &names.key, &names.value, &names.out] {
            dense_specs(&mut specs, part, width, width);
        }
        norm_specs(&mut specs, &names.norm1, width);
        dense_specs(&mut specs, &names.up, width, config.layers.intermediate);
        dense_specs(&mut specs, &names.down, config.layers.intermediate, width);
        norm_specs(&mut specs, &names.norm2, width);
    }
    specs
}

/// The network with its weights.
pub(crate) struct Vit {
    side: usize,
    patch: usize,
    /// `[width, 3·patch·patch]`
    patches: Dense,
    /// `[patches + 1, width]`, the class embedding added to the first row.
    positions: Vec<f32>,
    before: Norm,
    stack: Stack,
    after: Norm,
    projection: Dense,
}

impl Vit {
    pub(crate) fn load(
        source: Source<'_>,
        config: &VisionConfig,
        dimension: usize,
    ) -> Result<Self, ModelError> {
        let (width, eps) = (config.layers.width, config.layers.eps);
        let mut positions = source.vector(&embeddings("position_embedding.weight"))?;
        for (value, class) in positions.iter_mut().zip(source.vector(&embeddings("class_embedding"))?) {
            *value += class;
        }
        Ok(Self {
            side: config.side as usize,
            patch: config.patch as usize,
            patches: source.dense(&embeddings("patch_embedding"), config.patch_values(), width, false)?,
            positions,
            before: Norm::load(source, BEFORE, eps)?,
            stack: Stack::load(source, &config.layers, Order::Before, layer_names)?,
            after: Norm::load(source, AFTER, eps)?,
            projection: source.dense("visual_projection", width, dimension, false)?,
        })
    }

    /// Embeds pictures, RGB `[side, side, 3]` of 8 bits each: a row each, not of unit length. `values` are what the 256
    /// values of a channel are normalised to.
    pub(crate) fn forward(
        &self,
        team: &Team,
        pictures: &[&[u8]],
        values: &[[f32; 256]; 3],
        scratch: &mut Scratch,
    ) -> Vec<Vec<f32>> {
        let Scratch { hidden, extra, sequences, dense, .. } = scratch;
        let per_side = self.side / self.patch;
        let tokens = per_side * per_side + 1;
        sequences.clear();
        sequences.extend((0..pictures.len()).map(|index| index * tokens..(index + 1) * tokens));
        // Patches do not overlap, so the convolution is one product over their pixels. Of the class token it makes
        // nothing; that has its place among the tokens already.
        extra.reset(pictures.len() * tokens, 3 * self.patch * self.patch);
        for (picture, sequence) in pictures.iter().zip(&*sequences) {
            extra.token_mut(sequence.start).for_each(|value| *value = 0.0);
            for (index, token) in sequence.clone().skip(1).enumerate() {
                let (top, left) = (index / per_side * self.patch, index % per_side * self.patch);
                let mut to = extra.token_mut(token);
                for (channel, values) in values.iter().enumerate() {
                    for row in top..top + self.patch {
                        let from = (row * self.side + left) * 3 + channel;
                        let pixels = picture.get(from..).unwrap_or_default().iter().step_by(3);
                        for (pixel, to) in pixels.take(self.patch).zip(&mut to) {
                            *to = values[usize::from(*pixel)];
                        }
                    }
                }
            }
        }
        self.patches.apply(team, extra, Epilogue::Store, hidden, dense);
        for sequence in &*sequences {
            for (token, position) in sequence.clone().zip(self.positions.chunks_exact(hidden.features())) {
                for (value, position) in hidden.token_mut(token).zip(position) {
                    *value += position;
                }
            }
        }
        self.before.apply(team, hidden);
        self.stack.forward(team, scratch);
        let Scratch { hidden, extra, dense, .. } = scratch;
        self.after.apply(team, hidden);
        self.projection.apply(team, hidden, Epilogue::Store, extra, dense);
        (0..pictures.len()).map(|picture| extra.token(picture).collect()).collect()
    }
}

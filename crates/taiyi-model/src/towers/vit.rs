//! The image tower: CLIP's vision transformer and its projection.
//!
//! Built from candle-nn's layers: candle-transformers' own knows quick GELU alone (ViT-H has the exact
//! one), fixes the LayerNorms' eps, and draws a missing class embedding at random.

use candle_core::{D, IndexOp, Result, Tensor};
use candle_nn::{LayerNorm, Linear, Module, VarBuilder, layer_norm, linear, linear_no_bias, ops};

use super::{dense, norm};
use crate::config::{Activation, Layers, VisionConfig};
use crate::weights::TensorSpec;

/// Where the embedding's size is read from.
pub(crate) const PROJECTION: &str = "visual_projection.weight";

/// Every tensor of the tower, for embeddings of `dimension` components.
pub(crate) fn tensors(config: &VisionConfig, dimension: usize) -> Vec<TensorSpec> {
    let (width, patch) = (config.layers.width, config.patch as usize);
    let mut specs = vec![
        TensorSpec::new("vision_model.embeddings.class_embedding", &[width]),
        TensorSpec::new("vision_model.embeddings.patch_embedding.weight", &[width, 3, patch, patch]),
        TensorSpec::new("vision_model.embeddings.position_embedding.weight", &[config.patches() + 1, width]),
        TensorSpec::new(PROJECTION, &[dimension, width]),
    ];
    // The checkpoints' spelling.
    norm(&mut specs, "vision_model.pre_layrnorm", width);
    norm(&mut specs, "vision_model.post_layernorm", width);
    for index in 0..config.layers.count {
        let layer = format!("vision_model.encoder.layers.{index}");
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            dense(&mut specs, &format!("{layer}.self_attn.{part}"), width, width);
        }
        norm(&mut specs, &format!("{layer}.layer_norm1"), width);
        dense(&mut specs, &format!("{layer}.mlp.fc1"), width, config.layers.intermediate);
        dense(&mut specs, &format!("{layer}.mlp.fc2"), config.layers.intermediate, width);
        norm(&mut specs, &format!("{layer}.layer_norm2"), width);
    }
    specs
}

/// The network with its weights.
pub(crate) struct Vit {
    side: usize,
    patch: usize,
    /// `[width, 3·patch·patch]`
    patches: Linear,
    /// `[1, 1, width]`
    class: Tensor,
    /// `[patches + 1, width]`
    positions: Tensor,
    before: LayerNorm,
    layers: Vec<Layer>,
    after: LayerNorm,
    projection: Linear,
}

impl Vit {
    pub(crate) fn load(vb: &VarBuilder<'_>, config: &VisionConfig, dimension: usize) -> Result<Self> {
        let Layers { width, eps, .. } = config.layers;
        let patch = config.patch as usize;
        let (model, embeddings) = (vb.pp("vision_model"), vb.pp("vision_model.embeddings"));
        let patches = embeddings
            .get((width, 3, patch, patch), "patch_embedding.weight")?
            .reshape((width, config.patch_values()))?;
        Ok(Self {
            side: config.side as usize,
            patch,
            patches: Linear::new(patches, None),
            class: embeddings.get(width, "class_embedding")?.reshape((1, 1, width))?,
            positions: embeddings.get((config.patches() + 1, width), "position_embedding.weight")?,
            before: layer_norm(width, eps, model.pp("pre_layrnorm"))?,
            layers: (0..config.layers.count)
                .map(|index| Layer::load(&model.pp(format!("encoder.layers.{index}")), &config.layers))
                .collect::<Result<_>>()?,
            after: layer_norm(width, eps, model.pp("post_layernorm"))?,
            projection: linear_no_bias(width, dimension, vb.pp("visual_projection"))?,
        })
    }

    /// Embeds normalised pixels, f32 `[pictures, 3, side, side]`: f32 `[pictures, dimension]`, not of unit
    /// length.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let (batch, channels, ..) = pixels.dims4()?;
        let per_side = self.side / self.patch;
        // Patches do not overlap, so the convolution is one matrix product over their pixels.
        let patches = pixels
            .reshape(&[batch, channels, per_side, self.patch, per_side, self.patch][..])?
            .permute([0, 2, 4, 1, 3, 5])?
            .reshape((batch, per_side * per_side, channels * self.patch * self.patch))?;
        let patches = self.patches.forward(&patches)?;
        let class = self.class.broadcast_as((batch, 1, self.class.dim(D::Minus1)?))?;
        let tokens = Tensor::cat(&[&class, &patches], 1)?.broadcast_add(&self.positions)?;
        let mut hidden = self.before.forward(&tokens)?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden)?;
        }
        let class = hidden.i((.., 0))?.contiguous()?;
        self.projection.forward(&self.after.forward(&class)?)
    }
}

/// Attention and feed-forward, each behind its LayerNorm.
struct Layer {
    heads: usize,
    activation: Activation,
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>, layers: &Layers) -> Result<Self> {
        let (width, inner) = (layers.width, layers.intermediate);
        let attention = vb.pp("self_attn");
        Ok(Self {
            heads: layers.heads,
            activation: layers.activation,
            norm1: layer_norm(width, layers.eps, vb.pp("layer_norm1"))?,
            query: linear(width, width, attention.pp("q_proj"))?,
            key: linear(width, width, attention.pp("k_proj"))?,
            value: linear(width, width, attention.pp("v_proj"))?,
            out: linear(width, width, attention.pp("out_proj"))?,
            norm2: layer_norm(width, layers.eps, vb.pp("layer_norm2"))?,
            up: linear(width, inner, vb.pp("mlp.fc1"))?,
            down: linear(inner, width, vb.pp("mlp.fc2"))?,
        })
    }

    /// `[batch, tokens, width]` to the same.
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let hidden = (input + self.attention(&self.norm1.forward(input)?)?)?;
        let inner = activate(&self.up.forward(&self.norm2.forward(&hidden)?)?, self.activation)?;
        hidden + self.down.forward(&inner)?
    }

    fn attention(&self, input: &Tensor) -> Result<Tensor> {
        let (batch, tokens, width) = input.dims3()?;
        let head = width / self.heads;
        let split = |linear: &Linear| {
            linear.forward(input)?.reshape((batch, tokens, self.heads, head))?.transpose(1, 2)?.contiguous()
        };
        let query = (split(&self.query)? * (head as f64).powf(-0.5))?;
        let scores = query.matmul(&split(&self.key)?.t()?)?;
        let mixed = ops::softmax_last_dim(&scores)?.matmul(&split(&self.value)?)?;
        self.out.forward(&mixed.transpose(1, 2)?.reshape((batch, tokens, width))?)
    }
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::QuickGelu => x * ops::sigmoid(&(x * 1.702)?)?,
    }
}

//! The text tower: `BertForSequenceClassification`, whose logits are the embedding.
//!
//! Encoder by candle-transformers (post-LayerNorm, checked against transformers); pooler and classifier,
//! which it lacks, are here.

use candle_core::{DType, Device, IndexOp, Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};
use candle_transformers::models::bert;

use super::{dense, norm};
use crate::config::{Activation, TextConfig};
use crate::weights::TensorSpec;

/// Where the embedding's size is read from.
pub(crate) const CLASSIFIER: &str = "classifier.weight";

/// Every tensor of the tower, for embeddings of `dimension` components.
pub(crate) fn tensors(config: &TextConfig, dimension: usize) -> Vec<TensorSpec> {
    let width = config.layers.width;
    let mut specs = Vec::new();
    for (name, rows) in
        [("word", config.vocabulary), ("position", config.positions), ("token_type", config.token_types)]
    {
        specs.push(TensorSpec::new(format!("bert.embeddings.{name}_embeddings.weight"), &[rows, width]));
    }
    norm(&mut specs, "bert.embeddings.LayerNorm", width);
    for index in 0..config.layers.count {
        let layer = format!("bert.encoder.layer.{index}");
        for part in ["query", "key", "value"] {
            dense(&mut specs, &format!("{layer}.attention.self.{part}"), width, width);
        }
        dense(&mut specs, &format!("{layer}.attention.output.dense"), width, width);
        norm(&mut specs, &format!("{layer}.attention.output.LayerNorm"), width);
        dense(&mut specs, &format!("{layer}.intermediate.dense"), width, config.layers.intermediate);
        dense(&mut specs, &format!("{layer}.output.dense"), config.layers.intermediate, width);
        norm(&mut specs, &format!("{layer}.output.LayerNorm"), width);
    }
    dense(&mut specs, "bert.pooler.dense", width, width);
    dense(&mut specs, "classifier", width, dimension);
    specs
}

/// What stands behind texts that are shorter than others beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// Nothing that is attended to: a text has the same embedding in any company.
    Masked,
    /// `[PAD]` up to this many tokens, attended to like any other token.
    Attended(usize),
}

/// The network with its weights.
pub(crate) struct Bert {
    encoder: bert::BertModel,
    pooler: Linear,
    classifier: Linear,
}

impl Bert {
    pub(crate) fn load(vb: &VarBuilder<'_>, config: &TextConfig, dimension: usize) -> Result<Self> {
        let layers = &config.layers;
        let encoder = bert::Config {
            vocab_size: config.vocabulary,
            hidden_size: layers.width,
            num_hidden_layers: layers.count,
            num_attention_heads: layers.heads,
            intermediate_size: layers.intermediate,
            hidden_act: match layers.activation {
                Activation::Gelu => bert::HiddenAct::Gelu,
                Activation::GeluTanh => bert::HiddenAct::GeluApproximate,
                Activation::Relu => bert::HiddenAct::Relu,
                // Refused when the configuration is read.
                Activation::QuickGelu => candle_core::bail!("BERT with quick GELU is not supported"),
            },
            max_position_embeddings: config.positions,
            type_vocab_size: config.token_types,
            layer_norm_eps: layers.eps,
            model_type: None,
            ..bert::Config::default()
        };
        Ok(Self {
            encoder: bert::BertModel::load(vb.pp("bert"), &encoder)?,
            pooler: linear(layers.width, layers.width, vb.pp("bert.pooler.dense"))?,
            classifier: linear(layers.width, dimension, vb.pp("classifier"))?,
        })
    }

    /// Embeds `texts`, padded with the token `pad_id`: f32 `[texts, dimension]`, not of unit length.
    ///
    /// The attention weight of masked padding is exactly zero, since the mask takes the smallest f32 off
    /// its score.
    pub(crate) fn forward(&self, texts: &[&[u32]], pad_id: u32, padding: Padding) -> Result<Tensor> {
        let mut longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let mut weight_of_padding = 0.0f32;
        if let Padding::Attended(length) = padding {
            longest = longest.max(length);
            weight_of_padding = 1.0;
        }
        let mut ids = Vec::with_capacity(texts.len() * longest);
        let mut mask = Vec::with_capacity(texts.len() * longest);
        for text in texts {
            let pad = longest - text.len();
            ids.extend_from_slice(text);
            ids.extend(std::iter::repeat_n(pad_id, pad));
            mask.extend(std::iter::repeat_n(1.0f32, text.len()));
            mask.extend(std::iter::repeat_n(weight_of_padding, pad));
        }
        let shape = (texts.len(), longest);
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
        let types = Tensor::zeros(shape, DType::U32, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
        let hidden = self.encoder.forward(&ids, &types, Some(&mask))?;
        let first = hidden.i((.., 0))?.contiguous()?;
        let pooled = self.pooler.forward(&first)?.tanh()?;
        self.classifier.forward(&pooled)
    }
}

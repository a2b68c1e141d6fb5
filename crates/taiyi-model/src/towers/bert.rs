//! The text tower: a BERT encoder, and one of three ways from its states to an embedding ([`TextFeature`]).
//!
//! Encoder by candle-transformers (post-LayerNorm, checked against transformers); pooler, classifier and
//! projection, which it lacks, are here.

use candle_core::{DType, Device, IndexOp, Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear, linear_no_bias};
use candle_transformers::models::bert;

use super::{dense, norm};
use crate::config::{Activation, TextConfig, TextFeature};
use crate::weights::{TensorSpec, WeightFile};

const CLASSIFIER: &str = "classifier.weight";
const PROJECTION: &str = "text_projection.weight";

/// What a checkpoint calls the tower's tensors, and which of its outputs is the embedding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Before the encoder's names, `.` included.
    prefix: &'static str,
    pub(crate) feature: TextFeature,
}

impl Layout {
    /// The layout of `weights`, by what `config` says and, where that is silent, by the tensors there are.
    pub(crate) fn find(config: &TextConfig, weights: &WeightFile) -> Self {
        let has = |name: &str| weights.shape(name).is_some();
        let feature = config
            .feature
            .unwrap_or_else(|| if has(CLASSIFIER) { TextFeature::Classifier } else { TextFeature::Pooler });
        let prefix = match feature {
            TextFeature::Projection => "text_model.",
            // A `BertModel` saves its own tensors under no name, a class around it under this one.
            _ if has("embeddings.word_embeddings.weight") => "",
            _ => "bert.",
        };
        Self { prefix, feature }
    }

    fn name(self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    /// The tensor whose first side is the embedding's size; its second one is the tower's width.
    pub(crate) fn last_tensor(self) -> String {
        match self.feature {
            TextFeature::Classifier => CLASSIFIER.to_owned(),
            TextFeature::Pooler => self.name("pooler.dense.weight"),
            TextFeature::Projection => PROJECTION.to_owned(),
        }
    }
}

/// Every tensor of the tower, for embeddings of `dimension` components.
pub(crate) fn tensors(config: &TextConfig, layout: Layout, dimension: usize) -> Vec<TensorSpec> {
    let width = config.layers.width;
    let mut specs = Vec::new();
    for (name, rows) in
        [("word", config.vocabulary), ("position", config.positions), ("token_type", config.token_types)]
    {
        let name = layout.name(&format!("embeddings.{name}_embeddings.weight"));
        specs.push(TensorSpec::new(name, &[rows, width]));
    }
    norm(&mut specs, &layout.name("embeddings.LayerNorm"), width);
    for index in 0..config.layers.count {
        let layer = layout.name(&format!("encoder.layer.{index}"));
        for part in ["query", "key", "value"] {
            dense(&mut specs, &format!("{layer}.attention.self.{part}"), width, width);
        }
        dense(&mut specs, &format!("{layer}.attention.output.dense"), width, width);
        norm(&mut specs, &format!("{layer}.attention.output.LayerNorm"), width);
        dense(&mut specs, &format!("{layer}.intermediate.dense"), width, config.layers.intermediate);
        dense(&mut specs, &format!("{layer}.output.dense"), config.layers.intermediate, width);
        norm(&mut specs, &format!("{layer}.output.LayerNorm"), width);
    }
    match layout.feature {
        TextFeature::Classifier => {
            dense(&mut specs, &layout.name("pooler.dense"), width, width);
            dense(&mut specs, "classifier", width, dimension);
        }
        TextFeature::Pooler => dense(&mut specs, &layout.name("pooler.dense"), width, width),
        TextFeature::Projection => specs.push(TensorSpec::new(PROJECTION, &[dimension, width])),
    }
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

/// From the first token's last hidden state, f32 `[texts, width]`, to the embedding.
enum Head {
    Classifier { pooler: Linear, classifier: Linear },
    Pooler(Linear),
    Projection(Linear),
}

impl Head {
    fn load(vb: &VarBuilder<'_>, layout: Layout, width: usize, dimension: usize) -> Result<Self> {
        let pooler = || linear(width, width, vb.pp(layout.name("pooler.dense")));
        Ok(match layout.feature {
            TextFeature::Classifier => Self::Classifier {
                pooler: pooler()?,
                classifier: linear(width, dimension, vb.pp("classifier"))?,
            },
            TextFeature::Pooler => Self::Pooler(pooler()?),
            TextFeature::Projection => {
                Self::Projection(linear_no_bias(width, dimension, vb.pp("text_projection"))?)
            }
        })
    }

    fn forward(&self, first: &Tensor) -> Result<Tensor> {
        match self {
            Self::Classifier { pooler, classifier } => classifier.forward(&pooler.forward(first)?.tanh()?),
            Self::Pooler(pooler) => pooler.forward(first)?.tanh(),
            Self::Projection(projection) => projection.forward(first),
        }
    }
}

/// The network with its weights.
pub(crate) struct Bert {
    encoder: bert::BertModel,
    head: Head,
}

impl Bert {
    pub(crate) fn load(
        vb: &VarBuilder<'_>,
        config: &TextConfig,
        layout: Layout,
        dimension: usize,
    ) -> Result<Self> {
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
        let root = match layout.prefix.strip_suffix('.') {
            Some(prefix) => vb.pp(prefix),
            None => vb.clone(),
        };
        Ok(Self {
            encoder: bert::BertModel::load(root, &encoder)?,
            head: Head::load(vb, layout, layers.width, dimension)?,
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
        self.head.forward(&first)
    }
}

//! The text tower: a BERT encoder, and one of three ways from its states to an embedding ([`TextFeature`]).

use super::stack::{LayerNames, Norm, Order, Scratch, Stack};
use super::{dense_specs, norm_specs};
use crate::ModelError;
use crate::config::{TextConfig, TextFeature};
use crate::dense::{Dense, DenseScratch, Epilogue};
use crate::machine::Panels;
use crate::quantised::Table;
use crate::source::Source;
use crate::team::Team;
use crate::values::Values;
use crate::weights::{Role, TensorSpec, WeightFile};

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
    for (name, rows, role) in [
        ("word", config.vocabulary, Role::Table),
        ("position", config.positions, Role::Plain),
        ("token_type", config.token_types, Role::Plain),
    ] {
        let name = layout.name(&format!("embeddings.{name}_embeddings.weight"));
        specs.push(TensorSpec::new(name, &[rows, width]).used_as(role));
    }
    norm_specs(&mut specs, &layout.name("embeddings.LayerNorm"), width);
    for index in 0..config.layers.count {
        let layer = layout.name(&format!("encoder.layer.{index}"));
        for part in ["query", "key", "value"] {
            dense_specs(&mut specs, &format!("{layer}.attention.self.{part}"), width, width);
        }
        dense_specs(&mut specs, &format!("{layer}.attention.output.dense"), width, width);
        norm_specs(&mut specs, &format!("{layer}.attention.output.LayerNorm"), width);
        dense_specs(&mut specs, &format!("{layer}.intermediate.dense"), width, config.layers.intermediate);
        dense_specs(&mut specs, &format!("{layer}.output.dense"), config.layers.intermediate, width);
        norm_specs(&mut specs, &format!("{layer}.output.LayerNorm"), width);
    }
    match layout.feature {
        TextFeature::Classifier => {
            dense_specs(&mut specs, &layout.name("pooler.dense"), width, width);
            dense_specs(&mut specs, "classifier", width, dimension);
        }
        TextFeature::Pooler => dense_specs(&mut specs, &layout.name("pooler.dense"), width, width),
        TextFeature::Projection => {
            specs.push(TensorSpec::new(PROJECTION, &[dimension, width]).used_as(Role::Dense));
        }
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

/// From the first token's last state to the embedding.
enum Head {
    Classifier { pooler: Dense, classifier: Dense },
    Pooler(Dense),
    Projection(Dense),
}

impl Head {
    fn load(source: Source<'_>, layout: Layout, width: usize, dimension: usize) -> Result<Self, ModelError> {
        let pooler = || source.dense(&layout.name("pooler.dense"), width, width, true);
        Ok(match layout.feature {
            TextFeature::Classifier => Self::Classifier {
                pooler: pooler()?,
                classifier: source.dense("classifier", width, dimension, true)?,
            },
            TextFeature::Pooler => Self::Pooler(pooler()?),
            TextFeature::Projection => {
                Self::Projection(source.dense("text_projection", width, dimension, false)?)
            }
        })
    }

    /// `[texts, width]` into `output`, `[texts, dimension]`, by way of `hidden`.
    fn forward(&self, team: &Team, hidden: &mut Panels, output: &mut Panels, scratch: &mut DenseScratch) {
        match self {
            Self::Classifier { pooler, classifier } => {
                pooler.apply(team, hidden, Epilogue::Store, output, scratch);
                tanh(output);
                std::mem::swap(hidden, output);
                classifier.apply(team, hidden, Epilogue::Store, output, scratch);
            }
            Self::Pooler(pooler) => {
                pooler.apply(team, hidden, Epilogue::Store, output, scratch);
                tanh(output);
            }
            Self::Projection(projection) => projection.apply(team, hidden, Epilogue::Store, output, scratch),
        }
    }
}

fn tanh(x: &mut Panels) {
    for token in 0..x.tokens() {
        for value in x.token_mut(token) {
            *value = value.tanh();
        }
    }
}

/// The network with its weights.
pub(crate) struct Bert {
    width: usize,
    /// `[vocabulary, width]`
    words: Table,
    /// `[positions, width]`
    positions: Values,
    /// `[token types, width]`, of which the first row is used.
    types: Values,
    norm: Norm,
    stack: Stack,
    head: Head,
}

impl Bert {
    pub(crate) fn load(
        source: Source<'_>,
        config: &TextConfig,
        layout: Layout,
        dimension: usize,
    ) -> Result<Self, ModelError> {
        let layers = &config.layers;
        let table = |name: &str| layout.name(&format!("embeddings.{name}_embeddings.weight"));
        let names = |index| {
            let layer = layout.name(&format!("encoder.layer.{index}"));
            let part = |name: &str| format!("{layer}.{name}");
            LayerNames {
                query: part("attention.self.query"),
                key: part("attention.self.key"),
                value: part("attention.self.value"),
                out: part("attention.output.dense"),
                norm1: part("attention.output.LayerNorm"),
                up: part("intermediate.dense"),
                down: part("output.dense"),
                norm2: part("output.LayerNorm"),
            }
        };
        Ok(Self {
            width: layers.width,
            words: source.table(&table("word"))?,
            positions: source.values(&table("position"))?,
            types: source.values(&table("token_type"))?,
            norm: Norm::load(source, &layout.name("embeddings.LayerNorm"), layers.eps)?,
            stack: Stack::load(source, layers, Order::After, names)?,
            head: Head::load(source, layout, layers.width, dimension)?,
        })
    }

    /// Brings weights into memory before they are read, for as long as there `is_time`.
    pub(crate) fn fetch(&self, is_time: impl Fn() -> bool) {
        self.stack.fetch(is_time);
    }

    /// Embeds `texts`: a row each, not of unit length. Attended padding is the token `pad_id`; masked padding
    /// is none at all, every text is as long as it is.
    pub(crate) fn forward(
        &self,
        team: &Team,
        texts: &[&[u32]],
        pad_id: u32,
        padding: Padding,
        scratch: &mut Scratch,
    ) -> Vec<Vec<f32>> {
        let length = |text: &[u32]| match padding {
            Padding::Masked => text.len(),
            Padding::Attended(longest) => text.len().max(longest),
        };
        scratch.sequences.clear();
        let mut tokens = 0;
        for text in texts {
            let start = tokens;
            tokens += length(text);
            scratch.sequences.push(start..tokens);
        }
        scratch.hidden.reset(tokens, self.width);
        for (text, sequence) in texts.iter().zip(&scratch.sequences) {
            let ids = text.iter().copied().chain(std::iter::repeat(pad_id));
            for ((token, id), position) in
                sequence.clone().zip(ids).zip(self.positions.as_slice().chunks_exact(self.width))
            {
                let word = self.words.row(id as usize, self.width);
                let places =
                    position.iter().zip(self.types.as_slice()).map(|(position, kind)| position + kind);
                for ((value, word), place) in scratch.hidden.token_mut(token).zip(word).zip(places) {
                    *value = word + place;
                }
            }
        }
        self.norm.apply(team, &mut scratch.hidden);
        self.stack.forward(team, scratch);
        let Scratch { hidden, extra, dense, .. } = scratch;
        self.head.forward(team, hidden, extra, dense);
        (0..texts.len()).map(|text| extra.token(text).collect()).collect()
    }
}

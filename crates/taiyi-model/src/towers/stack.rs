//! The transformer layers that both towers are made of, and their run on the CPU.

use std::ops::Range;

use crate::ModelError;
use crate::config::{Activation, Layers};
use crate::dense::{Dense, DenseScratch, Epilogue, apply};
use crate::machine::f32::{Attention, AttentionScratch, layer_norm};
use crate::machine::{Lanes, Panels, Part};
use crate::source::Source;
use crate::team::Team;

/// Where a layer's LayerNorms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Before attention and before feed-forward: CLIP.
    Before,
    /// After the residual of each: BERT.
    After,
}

/// A layer's parts by their names in the weight file, without `.weight` and `.bias`.
pub(crate) struct LayerNames {
    pub(crate) query: String,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) out: String,
    pub(crate) norm1: String,
    pub(crate) up: String,
    pub(crate) down: String,
    pub(crate) norm2: String,
}

/// A LayerNorm.
pub(crate) struct Norm {
    gain: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl Norm {
    pub(crate) fn load(source: Source<'_>, name: &str, eps: f64) -> Result<Self, ModelError> {
        Ok(Self {
            gain: source.vector(&format!("{name}.weight"))?,
            bias: source.vector(&format!("{name}.bias"))?,
            eps: eps as f32,
        })
    }

    /// In place.
    pub(crate) fn apply(&self, team: &Team, x: &mut Panels) {
        for panel in x.panels_mut() {
            layer_norm(team.level(), &self.gain, &self.bias, self.eps, panel, None);
        }
    }

    fn apply_into(&self, team: &Team, x: &mut Panels, y: &mut Panels) {
        y.reset(x.tokens(), x.features());
        for (x, y) in x.panels_mut().zip(y.panels_mut()) {
            layer_norm(team.level(), &self.gain, &self.bias, self.eps, x, Some(y));
        }
    }
}

struct Layer {
    query: Dense,
    key: Dense,
    value: Dense,
    out: Dense,
    norm1: Norm,
    up: Dense,
    down: Dense,
    norm2: Norm,
}

/// Layers one after the other.
pub(crate) struct Stack {
    order: Order,
    heads: usize,
    activation: Activation,
    layers: Vec<Layer>,
}

/// What a pass computes in, kept for the next one.
#[derive(Default)]
pub(crate) struct Scratch {
    /// What goes through the layers, `[tokens, width]`.
    pub(crate) hidden: Panels,
    /// Where towers put what they need besides.
    pub(crate) extra: Panels,
    /// Where each sequence lies among the tokens.
    pub(crate) sequences: Vec<Range<usize>>,
    pub(crate) dense: DenseScratch,
    normed: Panels,
    query: Panels,
    key: Panels,
    value: Panels,
    mixed: Panels,
    inner: Panels,
    first: Panels,
    attention: Vec<AttentionScratch>,
}

impl Stack {
    pub(crate) fn load(
        source: Source<'_>,
        layers: &Layers,
        order: Order,
        names: impl Fn(usize) -> LayerNames,
    ) -> Result<Self, ModelError> {
        let (width, inner) = (layers.width, layers.intermediate);
        let load = |index| {
            let names = names(index);
            Ok(Layer {
                query: source.dense(&names.query, width, width, true)?,
                key: source.dense(&names.key, width, width, true)?,
                value: source.dense(&names.value, width, width, true)?,
                out: source.dense(&names.out, width, width, true)?,
                norm1: Norm::load(source, &names.norm1, layers.eps)?,
                up: source.dense(&names.up, width, inner, true)?,
                down: source.dense(&names.down, inner, width, true)?,
                norm2: Norm::load(source, &names.norm2, layers.eps)?,
            })
        };
        let loaded = (0..layers.count).map(load).collect::<Result<_, ModelError>>()?;
        Ok(Self { order, heads: layers.heads, activation: layers.activation, layers: loaded })
    }

    /// Brings weights into memory in the order in which they will be read, for as long as there `is_time`.
    pub(crate) fn fetch(&self, is_time: impl Fn() -> bool) {
        let dense = self.layers.iter().flat_map(|layer| {
            let Layer { query, key, value, out, up, down, .. } = layer;
            [query, key, value, out, up, down]
        });
        dense.take_while(|_| is_time()).for_each(Dense::fetch);
    }

    /// Runs `scratch.hidden` through the layers and leaves there the last state of every sequence's first token,
    /// `[sequences, width]`: of the last layer, nothing else is computed, as nothing else is used.
    pub(crate) fn forward(&self, team: &Team, scratch: &mut Scratch) {
        let all = scratch.sequences.clone();
        let alone: Vec<Range<usize>> = (0..all.len()).map(|index| index..index + 1).collect();
        let starts: Vec<usize> = all.iter().map(|tokens| tokens.start).collect();
        for (index, layer) in self.layers.iter().enumerate() {
            let is_last = index + 1 == self.layers.len();
            let asking = if is_last { &alone } else { &all };
            let Scratch { hidden, dense, normed, query, key, value, mixed, inner, first, attention, .. } =
                &mut *scratch;
            if self.order == Order::Before {
                layer.norm1.apply_into(team, hidden, normed);
            }
            let input = if self.order == Order::Before { &*normed } else { &*hidden };
            if is_last {
                first.pick(input, &starts);
                let parts =
                    [(&layer.key, Epilogue::Store, &mut *key), (&layer.value, Epilogue::Store, value)];
                apply(team, input, parts, dense);
                layer.query.apply(team, first, Epilogue::Store, query, dense);
                first.pick(hidden, &starts);
                std::mem::swap(first, hidden);
            } else {
                let parts = [
                    (&layer.query, Epilogue::Store, &mut *query),
                    (&layer.key, Epilogue::Store, key),
                    (&layer.value, Epilogue::Store, value),
                ];
                apply(team, input, parts, dense);
            }
            self.attend(team, [query, key, value], asking, &all, mixed, attention);
            layer.out.apply(team, mixed, Epilogue::Add, hidden, dense);
            match self.order {
                Order::Before => layer.norm2.apply_into(team, hidden, normed),
                Order::After => layer.norm1.apply(team, hidden),
            }
            let input = if self.order == Order::Before { &*normed } else { &*hidden };
            layer.up.apply(team, input, Epilogue::Activate(self.activation), inner, dense);
            layer.down.apply(team, inner, Epilogue::Add, hidden, dense);
            if self.order == Order::After {
                layer.norm2.apply(team, hidden);
            }
        }
    }

    /// Attention of every head in every sequence, the heads split over the team.
    fn attend(
        &self,
        team: &Team,
        [query, key, value]: [&Panels; 3],
        asking: &[Range<usize>],
        asked: &[Range<usize>],
        mixed: &mut Panels,
        scratch: &mut Vec<AttentionScratch>,
    ) {
        mixed.reset(query.tokens(), query.features());
        let head = query.features() / self.heads;
        scratch.resize_with(team.threads().max(scratch.len()), AttentionScratch::default);
        let parts: Vec<(Part<'_>, &mut AttentionScratch)> =
            mixed.split_features(team.threads(), head).into_iter().zip(scratch).collect();
        team.each(parts, |((features, mut mixed), scratch)| {
            for start in features.clone().step_by(head) {
                let queries: Vec<&[Lanes]> =
                    query.panels().map(|panel| &panel[start..start + head]).collect();
                let keys: Vec<&[Lanes]> = key.panels().map(|panel| &panel[start..start + head]).collect();
                let values: Vec<&[Lanes]> = value.panels().map(|panel| &panel[start..start + head]).collect();
                let at = start - features.start;
                let mut mixed: Vec<&mut [Lanes]> =
                    mixed.iter_mut().map(|panel| &mut panel[at..at + head]).collect();
                for (asking, asked) in asking.iter().zip(asked) {
                    Attention {
                        queries: &queries,
                        asking: asking.clone(),
                        keys: &keys,
                        values: &values,
                        asked: asked.clone(),
                    }
                    .run(team.level(), scratch, &mut mixed);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;

//! Dense layers: `W·x + b`, whatever the weights are kept as.

use std::ops::Range;

use crate::config::Activation;
use crate::machine::int8::{self, QuantisedTokens};
use crate::machine::{Lanes, Level, Panels, f32};
use crate::quantised::Quantised;
use crate::team::Team;
use crate::values::Values;

/// Outputs that the f32 kernels compute together.
const ROWS: usize = 6;

/// What becomes of a product before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epilogue {
    /// Nothing more.
    Store,
    /// The non-linearity.
    Activate(Activation),
    /// It is added to what is there: a residual.
    Add,
}

/// The weights of a dense layer.
enum Weights {
    /// `[outputs, inputs]`
    F32(Values),
    Int8(int8::Level, Quantised),
}

/// A dense layer.
pub(crate) struct Dense {
    inputs: usize,
    outputs: usize,
    weights: Weights,
    /// `[outputs]`
    bias: Option<Vec<f32>>,
}

/// Buffers that layers share, one set for every pass under way.
#[derive(Default)]
pub(crate) struct DenseScratch {
    tokens: QuantisedTokens,
}

impl Dense {
    /// `weights` is `[outputs, inputs]`, `bias` `[outputs]`.
    pub(crate) fn f32(inputs: usize, outputs: usize, weights: Values, bias: Option<Vec<f32>>) -> Self {
        debug_assert!(weights.as_slice().len() == inputs * outputs);
        Self { inputs, outputs, weights: Weights::F32(weights), bias }
    }

    /// `weights` is `[outputs, inputs]`, `bias` `[outputs]`.
    pub(crate) fn int8(inputs: usize, outputs: usize, weights: Quantised, bias: Option<Vec<f32>>) -> Self {
        Self { inputs, outputs, weights: Weights::Int8(int8::Level::detect(), weights), bias }
    }

    /// Brings the weights into memory before they are read.
    pub(crate) fn fetch(&self) {
        match &self.weights {
            Weights::F32(values) => values.fetch(),
            Weights::Int8(_, quantised) => quantised.fetch(),
        }
    }

    fn int8_level(&self) -> Option<int8::Level> {
        match &self.weights {
            Weights::F32(_) => None,
            Weights::Int8(level, _) => Some(*level),
        }
    }

    /// Outputs that the kernels compute together: layers are split over threads at multiples of it.
    fn unit(&self) -> usize {
        match &self.weights {
            Weights::F32(_) => ROWS,
            Weights::Int8(..) => int8::BLOCK,
        }
    }

    /// [`apply`] of this layer alone.
    pub(crate) fn apply(
        &self,
        team: &Team,
        x: &Panels,
        epilogue: Epilogue,
        y: &mut Panels,
        scratch: &mut DenseScratch,
    ) {
        apply(team, x, [(self, epilogue, y)], scratch);
    }

    /// Computes `rows` of the outputs.
    fn rows(
        &self,
        level: Level,
        rows: Range<usize>,
        x: &Input<'_>,
        epilogue: Epilogue,
        y: &mut [&mut [Lanes]],
    ) {
        match &self.weights {
            Weights::F32(weights) => {
                let bias = self.bias.as_deref().and_then(|bias| bias.get(rows.clone()));
                let range = rows.start * self.inputs..rows.end * self.inputs;
                let weights = weights.as_slice().get(range).unwrap_or_default();
                let matrix = f32::Matrix { weights, inputs: self.inputs, bias };
                let finish = match epilogue {
                    Epilogue::Store => f32::Finish::Store,
                    Epilogue::Activate(activation) => f32::Finish::Activate(activation),
                    Epilogue::Add => f32::Finish::Add,
                };
                f32::product(level, matrix, &x.panels, x.tokens, finish, y);
            }
            Weights::Int8(int8_level, weights) => {
                let finish = int8::Finish { bias: self.bias.as_deref(), add: epilogue == Epilogue::Add };
                let done = |y: &mut [Lanes]| {
                    if let Epilogue::Activate(activation) = epilogue {
                        f32::activate(level, activation, y);
                    }
                };
                if let Some(blocks) = weights.blocks() {
                    int8::product(*int8_level, blocks, rows, x.quantised, finish, y, done);
                }
            }
        }
    }
}

/// What layers are applied to, in the form that their kernels take.
struct Input<'a> {
    tokens: usize,
    panels: Vec<&'a [Lanes]>,
    /// The same in 8 bits, if a layer asks for that.
    quantised: &'a QuantisedTokens,
}

/// Applies layers to the same `x`, f32 `[tokens, inputs]`, each into a `y` of its own, `[tokens, outputs]`, which is given its
/// size unless the epilogue adds to it. The outputs are split over the team.
pub(crate) fn apply<const N: usize>(
    team: &Team,
    x: &Panels,
    layers: [(&Dense, Epilogue, &mut Panels); N],
    scratch: &mut DenseScratch,
) {
    if let Some(level) = layers.iter().find_map(|(dense, ..)| dense.int8_level()) {
        quantise(team, level, x, &mut scratch.tokens);
    }
    let input = Input { tokens: x.tokens(), panels: x.panels().collect(), quantised: &scratch.tokens };
    let mut shares: Vec<Vec<_>> = (0..team.threads()).map(|_| Vec::with_capacity(N)).collect();
    for (dense, epilogue, y) in layers {
        debug_assert!(x.features() == dense.inputs);
        if epilogue != Epilogue::Add {
            y.reset(x.tokens(), dense.outputs);
        }
        for (share, part) in shares.iter_mut().zip(y.split_features(team.threads(), dense.unit())) {
            share.push((dense, epilogue, part));
        }
    }
    team.each(shares, |share| {
        for (dense, epilogue, (rows, mut y)) in share {
            dense.rows(team.level(), rows, &input, epilogue, &mut y);
        }
    });
}

/// Brings `x` to 8 bits, the panels split over the team.
fn quantise(team: &Team, level: int8::Level, x: &Panels, to: &mut QuantisedTokens) {
    let mut pairs = to.reset(x.tokens(), x.features()).zip(x.panels());
    let share = x.panels().len().div_ceil(team.threads()).max(1);
    let shares = std::iter::from_fn(|| {
        let share: Vec<_> = pairs.by_ref().take(share).collect();
        (!share.is_empty()).then_some(share)
    });
    team.each(shares.collect(), |share| {
        for (room, x) in share {
            room.fill(level, x);
        }
    });
}

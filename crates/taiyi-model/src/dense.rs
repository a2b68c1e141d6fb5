//! Dense layers: `W·x + b`, whatever the weights are kept as.

use std::ops::Range;

use crate::config::Activation;
use crate::machine::{Lanes, Level, Panels, f32};
use crate::team::Team;
use crate::values::Values;

/// Outputs that the kernels compute together: layers are split over threads at multiples of it.
const ROWS: usize = 12;

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
pub(crate) struct DenseScratch {}

impl Dense {
    /// `weights` is `[outputs, inputs]`, `bias` `[outputs]`.
    pub(crate) fn f32(inputs: usize, outputs: usize, weights: Values, bias: Option<Vec<f32>>) -> Self {
        debug_assert!(weights.as_slice().len() == inputs * outputs);
        Self { inputs, outputs, weights: Weights::F32(weights), bias }
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
        let bias = self.bias.as_deref().and_then(|bias| bias.get(rows.clone()));
        match &self.weights {
            Weights::F32(weights) => {
                let range = rows.start * self.inputs..rows.end * self.inputs;
                let weights = weights.as_slice().get(range).unwrap_or_default();
                let add = epilogue == Epilogue::Add;
                f32::product(level, weights, self.inputs, bias, &x.panels, x.tokens, add, y);
            }
        }
        if let Epilogue::Activate(activation) = epilogue {
            for y in y {
                f32::activate(level, activation, y);
            }
        }
    }
}

/// What layers are applied to, in the form that their kernels take.
struct Input<'a> {
    tokens: usize,
    panels: Vec<&'a [Lanes]>,
}

/// Applies layers to the same `x`, f32 `[tokens, inputs]`, each into a `y` of its own, `[tokens, outputs]`, which is given its
/// size unless the epilogue adds to it. The outputs are split over the team.
pub(crate) fn apply<const N: usize>(
    team: &Team,
    x: &Panels,
    layers: [(&Dense, Epilogue, &mut Panels); N],
    _scratch: &mut DenseScratch,
) {
    let input = Input { tokens: x.tokens(), panels: x.panels().collect() };
    let mut shares: Vec<Vec<_>> = (0..team.threads()).map(|_| Vec::with_capacity(N)).collect();
    for (dense, epilogue, y) in layers {
        debug_assert!(x.features() == dense.inputs);
        if epilogue != Epilogue::Add {
            y.reset(x.tokens(), dense.outputs);
        }
        for (share, part) in shares.iter_mut().zip(y.split_features(team.threads(), ROWS)) {
            share.push((dense, epilogue, part));
        }
    }
    team.each(shares, |share| {
        for (dense, epilogue, (rows, mut y)) in share {
            dense.rows(team.level(), rows, &input, epilogue, &mut y);
        }
    });
}

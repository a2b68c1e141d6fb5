//! Dense layers: `W·x + b`, whatever the weights are kept as.

use std::ops::Range;

use crate::config::Activation;
use crate::machine::{Lanes, Level, Panels, f32};
use crate::team::Team;
use crate::values::Values;

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
pub(crate) enum Weights {
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
    pub(crate) fn f32(inputs: usize, outputs: usize, weights: Values, bias: Option<Vec<f32>>) -> Self {
        Self { inputs, outputs, weights: Weights::F32(weights), bias }
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Computes outputs of every token of `x`, `[tokens, inputs]`, into features `at..at + outputs` of `y`, the rows split over
    /// the team. `y` has as many tokens and at least so many features.
    pub(crate) fn apply(
        &self,
        team: &Team,
        x: &Panels,
        epilogue: Epilogue,
        y: &mut Panels,
        at: usize,
        _scratch: &mut DenseScratch,
    ) {
        debug_assert!(x.features() == self.inputs && x.tokens() == y.tokens());
        let x: Vec<&[Lanes]> = x.panels().collect();
        team.split_rows(y, at..at + self.outputs, |rows, y| {
            self.rows(team.level(), rows, &x, epilogue, y);
        });
    }

    /// Computes `rows` of the outputs.
    fn rows(
        &self,
        level: Level,
        rows: Range<usize>,
        x: &[&[Lanes]],
        epilogue: Epilogue,
        y: &mut [&mut [Lanes]],
    ) {
        let bias = self.bias.as_deref().and_then(|bias| bias.get(rows.clone()));
        match &self.weights {
            Weights::F32(weights) => {
                let range = rows.start * self.inputs..rows.end * self.inputs;
                let weights = weights.as_slice().get(range).unwrap_or_default();
                f32::product(level, weights, self.inputs, bias, x, epilogue == Epilogue::Add, y);
            }
        }
        if let Epilogue::Activate(activation) = epilogue {
            for y in y {
                f32::activate(level, activation, y);
            }
        }
    }
}

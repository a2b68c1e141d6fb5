//! What is done to the rows of a panel between products: LayerNorm and the non-linearities.

use super::functions::{gelu, gelu_tanh, quick_gelu};
use super::multiply_add;
use crate::config::Activation;
use crate::machine::level::{Arch, Job};
use crate::machine::{LANES, Lanes, Level};

/// Applies the non-linearity to every value.
pub(crate) fn activate(level: Level, activation: Activation, values: &mut [Lanes]) {
    level.run(Activate { activation, values });
}

struct Activate<'a> {
    activation: Activation,
    values: &'a mut [Lanes],
}

impl Job for Activate<'_> {
    #[inline(always)]
    fn run<A: Arch>(self) {
        match self.activation {
            Activation::Gelu => {
                for row in self.values {
                    for l in 0..LANES {
                        row.0[l] = gelu::<A>(row.0[l]);
                    }
                }
            }
            Activation::GeluTanh => {
                for row in self.values {
                    for l in 0..LANES {
                        row.0[l] = gelu_tanh::<A>(row.0[l]);
                    }
                }
            }
            Activation::QuickGelu => {
                for row in self.values {
                    for l in 0..LANES {
                        row.0[l] = quick_gelu::<A>(row.0[l]);
                    }
                }
            }
            Activation::Relu => {
                for row in self.values {
                    for l in 0..LANES {
                        // Not `max`, which would make zero of what is not a number.
                        row.0[l] = if row.0[l] < 0.0 { 0.0 } else { row.0[l] };
                    }
                }
            }
        }
    }
}

/// LayerNorm of a panel, over its features: `(x − mean)/√(variance + eps)·gain + bias`. Into `y`, or in place.
pub(crate) fn layer_norm(
    level: Level,
    gain: &[f32],
    bias: &[f32],
    eps: f32,
    x: &mut [Lanes],
    y: Option<&mut [Lanes]>,
) {
    assert!(gain.len() == x.len() && bias.len() == x.len());
    assert!(y.as_ref().is_none_or(|y| y.len() == x.len()));
    level.run(LayerNorm { gain, bias, eps, x, y });
}

struct LayerNorm<'a> {
    gain: &'a [f32],
    bias: &'a [f32],
    eps: f32,
    x: &'a mut [Lanes],
    y: Option<&'a mut [Lanes]>,
}

/// Sums that run side by side, so that one addition need not wait for the last.
const CHAINS: usize = 4;

impl Job for LayerNorm<'_> {
    #[inline(always)]
    fn run<A: Arch>(self) {
        let count = self.x.len() as f32;
        let mut mean = sum_of(self.x, |x| x);
        for mean in &mut mean {
            *mean /= count;
        }
        let mut scale = sum_of_squares::<A>(self.x, &mean);
        for scale in &mut scale {
            *scale = 1.0 / (*scale / count + self.eps).sqrt();
        }
        match self.y {
            Some(y) => {
                for (index, (x, y)) in self.x.iter().zip(y).enumerate() {
                    let (gain, bias) = (self.gain[index], self.bias[index]);
                    for l in 0..LANES {
                        y.0[l] = multiply_add::<A>((x.0[l] - mean[l]) * scale[l], gain, bias);
                    }
                }
            }
            None => {
                for (index, x) in self.x.iter_mut().enumerate() {
                    let (gain, bias) = (self.gain[index], self.bias[index]);
                    for l in 0..LANES {
                        x.0[l] = multiply_add::<A>((x.0[l] - mean[l]) * scale[l], gain, bias);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn sum_of(rows: &[Lanes], value: impl Fn(f32) -> f32) -> [f32; LANES] {
    let mut sums = [[0.0; LANES]; CHAINS];
    let (chunks, rest) = rows.as_chunks::<CHAINS>();
    for chunk in chunks {
        for c in 0..CHAINS {
            for l in 0..LANES {
                sums[c][l] += value(chunk[c].0[l]);
            }
        }
    }
    for row in rest {
        for l in 0..LANES {
            sums[0][l] += value(row.0[l]);
        }
    }
    join(sums)
}

#[inline(always)]
fn sum_of_squares<A: Arch>(rows: &[Lanes], mean: &[f32; LANES]) -> [f32; LANES] {
    let mut sums = [[0.0; LANES]; CHAINS];
    let (chunks, rest) = rows.as_chunks::<CHAINS>();
    for chunk in chunks {
        for c in 0..CHAINS {
            for l in 0..LANES {
                let off = chunk[c].0[l] - mean[l];
                sums[c][l] = multiply_add::<A>(off, off, sums[c][l]);
            }
        }
    }
    for row in rest {
        for l in 0..LANES {
            let off = row.0[l] - mean[l];
            sums[0][l] = multiply_add::<A>(off, off, sums[0][l]);
        }
    }
    join(sums)
}

#[inline(always)]
fn join(sums: [[f32; LANES]; CHAINS]) -> [f32; LANES] {
    std::array::from_fn(|l| (sums[0][l] + sums[1][l]) + (sums[2][l] + sums[3][l]))
}

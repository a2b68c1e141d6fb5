//! What is done to the rows of a panel between products: LayerNorm and the non-linearities.

use super::functions::{gelu, gelu_tanh, quick_gelu};
use crate::config::Activation;
use crate::machine::level::{Arch, Job};
use crate::machine::vector::Vector;
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
        activate_rows::<A>(self.activation, self.values);
    }
}

/// [`activate`] within a job.
#[inline(always)]
pub(super) fn activate_rows<A: Arch>(activation: Activation, rows: &mut [Lanes]) {
    match activation {
        Activation::Gelu => {
            for row in rows {
                for l in 0..LANES {
                    row.0[l] = gelu::<A>(row.0[l]);
                }
            }
        }
        Activation::GeluTanh => {
            for row in rows {
                for l in 0..LANES {
                    row.0[l] = gelu_tanh::<A>(row.0[l]);
                }
            }
        }
        Activation::QuickGelu => {
            for row in rows {
                for l in 0..LANES {
                    row.0[l] = quick_gelu::<A>(row.0[l]);
                }
            }
        }
        Activation::Relu => {
            for row in rows {
                for l in 0..LANES {
                    // Not `max`, which would make zero of what is not a number.
                    row.0[l] = if row.0[l] < 0.0 { 0.0 } else { row.0[l] };
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
        let mut less_mean = sum::<A::Whole>(self.x);
        for value in &mut less_mean.0 {
            *value = -*value / count;
        }
        let less_mean = A::Whole::load(&less_mean);
        let mut scale = sum_of_squares(self.x, less_mean);
        for value in &mut scale.0 {
            *value = 1.0 / (*value / count + self.eps).sqrt();
        }
        let scale = A::Whole::load(&scale);
        match self.y {
            Some(y) => {
                for ((x, y), (gain, bias)) in self.x.iter().zip(y).zip(self.gain.iter().zip(self.bias)) {
                    normed(A::Whole::load(x), less_mean, scale, *gain, *bias).store(y);
                }
            }
            None => {
                for (x, (gain, bias)) in self.x.iter_mut().zip(self.gain.iter().zip(self.bias)) {
                    normed(A::Whole::load(x), less_mean, scale, *gain, *bias).store(x);
                }
            }
        }
    }
}

// No closures here: one that is not inlined would be compiled for the baseline.

#[inline(always)]
fn normed<T: Vector>(x: T, less_mean: T, scale: T, gain: f32, bias: f32) -> T {
    x.add(less_mean).multiply(scale).multiply_add(T::splat(gain), T::splat(bias))
}

#[inline(always)]
fn sum<T: Vector>(rows: &[Lanes]) -> Lanes {
    let mut sums = [T::splat(0.0); CHAINS];
    let (chunks, rest) = rows.as_chunks::<CHAINS>();
    for chunk in chunks {
        for c in 0..CHAINS {
            sums[c] = sums[c].add(T::load(&chunk[c]));
        }
    }
    for row in rest {
        sums[0] = sums[0].add(T::load(row));
    }
    join(sums)
}

/// Of what rows are off the mean.
#[inline(always)]
fn sum_of_squares<T: Vector>(rows: &[Lanes], less_mean: T) -> Lanes {
    let mut sums = [T::splat(0.0); CHAINS];
    let (chunks, rest) = rows.as_chunks::<CHAINS>();
    for chunk in chunks {
        for c in 0..CHAINS {
            let off = T::load(&chunk[c]).add(less_mean);
            sums[c] = off.multiply_add(off, sums[c]);
        }
    }
    for row in rest {
        let off = T::load(row).add(less_mean);
        sums[0] = off.multiply_add(off, sums[0]);
    }
    join(sums)
}

#[inline(always)]
fn join<T: Vector>(sums: [T; CHAINS]) -> Lanes {
    let mut total = Lanes::ZERO;
    sums[0].add(sums[1]).add(sums[2].add(sums[3])).store(&mut total);
    total
}

//! The inverse transform of a block to fewer samples than it was made from.
//!
//! The coarsest n coefficients of a cosine transform of 8 samples are those of n samples of the same signal
//! with all finer detail removed, but for a factor: exactly what sampling at a lower rate asks for. So nothing is lost that
//! the smaller picture could hold, and nothing is folded back into it that it could not.

use std::f64::consts::PI;

/// `BASIS[u][x]`: the share of coefficient `u` in sample `x`.
type Basis<const N: usize> = [[f32; N]; N];

fn basis<const N: usize>() -> Basis<N> {
    std::array::from_fn(|u| {
        std::array::from_fn(|x| {
            let angle = (2 * x + 1) as f64 * u as f64 * PI / (2 * N) as f64;
            let scale = if u == 0 { 0.125f64.sqrt() } else { 0.5 };
            (scale * angle.cos()) as f32
        })
    })
}

/// A block's inverse transform to `width` × `height` samples, each 1, 2, 4 or 8.
pub(super) struct Transform {
    width: usize,
    height: usize,
    of_1: Basis<1>,
    of_2: Basis<2>,
    of_4: Basis<4>,
    of_8: Basis<8>,
}

impl Transform {
    /// `None` for other sizes.
    pub(super) fn new(width: usize, height: usize) -> Option<Self> {
        let known = |n| matches!(n, 1 | 2 | 4 | 8);
        // Components are stored at most at a quarter of each other's resolution, across or down.
        (known(width) && known(height) && width <= 4 * height && height <= 4 * width).then(|| Self {
            width,
            height,
            of_1: basis(),
            of_2: basis(),
            of_4: basis(),
            of_8: basis(),
        })
    }

    /// Transforms rows of eight dequantised coefficients and writes the samples to the top left of `samples`.
    #[inline]
    pub(super) fn apply(&self, coefficients: &[f32; 64], samples: &mut [u8], stride: usize) {
        let Self { of_1, of_2, of_4, of_8, .. } = self;
        match (self.width, self.height) {
            (1, 1) => transform(coefficients, of_1, of_1, samples, stride),
            (1, 2) => transform(coefficients, of_1, of_2, samples, stride),
            (1, 4) => transform(coefficients, of_1, of_4, samples, stride),
            (2, 1) => transform(coefficients, of_2, of_1, samples, stride),
            (2, 2) => transform(coefficients, of_2, of_2, samples, stride),
            (2, 4) => transform(coefficients, of_2, of_4, samples, stride),
            (2, 8) => transform(coefficients, of_2, of_8, samples, stride),
            (4, 1) => transform(coefficients, of_4, of_1, samples, stride),
            (4, 2) => transform(coefficients, of_4, of_2, samples, stride),
            (4, 4) => transform(coefficients, of_4, of_4, samples, stride),
            (4, 8) => transform(coefficients, of_4, of_8, samples, stride),
            (8, 2) => transform(coefficients, of_8, of_2, samples, stride),
            (8, 4) => transform(coefficients, of_8, of_4, samples, stride),
            _ => transform(coefficients, of_8, of_8, samples, stride),
        }
    }
}

#[inline]
fn transform<const W: usize, const H: usize>(
    coefficients: &[f32; 64],
    across: &Basis<W>,
    down: &Basis<H>,
    samples: &mut [u8],
    stride: usize,
) {
    let mut columns = [[0f32; W]; H];
    for (weights, coefficients) in down.iter().zip(coefficients.as_chunks::<8>().0) {
        for (row, weight) in columns.iter_mut().zip(weights) {
            for (sum, value) in row.iter_mut().zip(coefficients) {
                *sum += weight * value;
            }
        }
    }
    for (y, row) in columns.iter().enumerate() {
        let mut values = [0f32; W];
        for (weights, value) in across.iter().zip(row) {
            for (sum, weight) in values.iter_mut().zip(weights) {
                *sum += weight * value;
            }
        }
        if let Some(out) = samples.get_mut(y * stride..y * stride + W) {
            out.copy_from_slice(&values.map(to_sample));
        }
    }
}

/// The nearest sample: values are stored around 128.
#[inline]
pub(super) fn to_sample(value: f32) -> u8 {
    // `as` holds what is beyond at 0 and 255.
    (value + 128.5) as u8
}

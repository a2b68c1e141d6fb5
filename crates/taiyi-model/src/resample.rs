//! Pillow's bicubic resize of 8-bit pictures, bit for bit, of one window of the result.
//!
//! The towers were trained on Pillow's pixels. `fast_image_resize` follows the same plan but rounds its
//! weights to 16 bits where Pillow keeps 22 fractional ones, so single pixels differ by one; and a crop
//! given to it as a fractional box of the source moves the filter's centres by a rounding. This module
//! keeps Pillow's arithmetic, and computes only what the crop keeps: a strip of 20,000×3 pixels would
//! otherwise become one of 1,493,333×224.

/// Bits behind the point of a weight: 8 are left for the pixel, 2 for overshoot and sign.
const FRACTION_BITS: u32 = 32 - 8 - 2;
/// Half the width of the cubic kernel, in source pixels at scale 1.
const SUPPORT: f64 = 2.0;

/// One axis of a resize: of `from` pixels, the `span` that begins at `origin` becomes `to` pixels, of which the window of
/// `length` from `start` is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) from: u32,
    pub(crate) origin: f64,
    pub(crate) span: f64,
    pub(crate) to: u64,
    pub(crate) start: u64,
    pub(crate) length: u32,
}

/// The source pixels under one output pixel, and where their weights lie.
struct Taps {
    first: usize,
    count: usize,
    weights_at: usize,
}

/// The kernel for every output pixel of an axis.
struct Kernel {
    taps: Vec<Taps>,
    weights: Vec<i32>,
}

/// The cubic convolution kernel with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

impl Axis {
    /// Nothing to scale: every pixel is its own, without its neighbours of weight zero.
    fn is_copy(&self) -> bool {
        u64::from(self.from) == self.to && self.origin == 0.0 && self.span == f64::from(self.from)
    }
}

impl Kernel {
    fn new(axis: Axis) -> Self {
        let scale = axis.span / axis.to as f64;
        // When shrinking, the kernel widens so that every source pixel counts.
        let stretch = scale.max(1.0);
        let (support, squeeze) = (SUPPORT * stretch, 1.0 / stretch);
        let mut kernel = Self { taps: Vec::with_capacity(axis.length as usize), weights: Vec::new() };
        if axis.is_copy() {
            kernel.weights.push(1 << FRACTION_BITS);
            let own = axis.start as usize..axis.start as usize + axis.length as usize;
            kernel.taps.extend(own.map(|first| Taps { first, count: 1, weights_at: 0 }));
            return kernel;
        }
        let mut exact: Vec<f64> = Vec::new();
        for index in axis.start..axis.start + u64::from(axis.length) {
            let center = axis.origin + (index as f64 + 0.5) * scale;
            // `as` rounds towards zero and holds negative numbers at 0, as wanted.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(axis.from as usize);
            exact.clear();
            exact.extend((first..end).map(|x| cubic((x as f64 - center + 0.5) * squeeze)));
            let sum: f64 = exact.iter().sum();
            let weights_at = kernel.weights.len();
            kernel.weights.extend(exact.iter().map(|weight| {
                let weight = if sum == 0.0 { *weight } else { weight / sum };
                let scaled = weight * f64::from(1u32 << FRACTION_BITS);
                (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
            }));
            kernel.taps.push(Taps { first, count: end.saturating_sub(first), weights_at });
        }
        kernel
    }

    fn weights(&self, taps: &Taps) -> &[i32] {
        &self.weights[taps.weights_at..taps.weights_at + taps.count]
    }

    /// The source pixels that any output pixel needs.
    fn source(&self) -> std::ops::Range<usize> {
        let start = self.taps.iter().map(|taps| taps.first).min().unwrap_or(0);
        let end = self.taps.iter().map(|taps| taps.first + taps.count).max().unwrap_or(0);
        start..end
    }
}

fn to_pixel(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (FRACTION_BITS - 1);

/// Resizes `pixels` (`rows.from` rows of `columns.from` RGB pixels) and returns the window of
/// `rows.length` × `columns.length` pixels.
///
/// Both axes have at least one pixel, `pixels` has exactly their size, and the windows lie inside the
/// results.
pub(crate) fn resize_window(pixels: &[u8], columns: Axis, rows: Axis) -> Vec<u8> {
    debug_assert_eq!(pixels.len() as u64, u64::from(columns.from) * u64::from(rows.from) * 3);
    let (across, down) = (Kernel::new(columns), Kernel::new(rows));
    let needed = down.source();
    let (stride, width) = (columns.from as usize * 3, columns.length as usize * 3);

    // Across first and rounded to 8 bits, then down, as every Pillow before 13 and so what the towers were trained
    // on: the order decides the rounding. (13 turns it round where the height shrinks much more than the width.)
    let mut narrow = vec![0u8; needed.len() * width];
    for (row, out) in pixels.chunks_exact(stride).skip(needed.start).zip(narrow.chunks_exact_mut(width)) {
        if columns.is_copy() {
            let start = columns.start as usize * 3;
            out.copy_from_slice(&row[start..start + width]);
            continue;
        }
        for (taps, out) in across.taps.iter().zip(out.as_chunks_mut::<3>().0) {
            let (source, _) = row[taps.first * 3..(taps.first + taps.count) * 3].as_chunks::<3>();
            let mut sums = [HALF; 3];
            for (pixel, weight) in source.iter().zip(across.weights(taps)) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            *out = sums.map(to_pixel);
        }
    }
    if rows.is_copy() {
        // The rows needed are the window's.
        return narrow;
    }
    let mut result = vec![0u8; rows.length as usize * width];
    let mut sums = vec![0i32; width];
    for (taps, out) in down.taps.iter().zip(result.chunks_exact_mut(width)) {
        sums.fill(HALF);
        let source = narrow.chunks_exact(width).skip(taps.first - needed.start);
        for (row, weight) in source.zip(down.weights(taps)) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        for (out, sum) in out.iter_mut().zip(&sums) {
            *out = to_pixel(*sum);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(from: u32, to: u32) -> Axis {
        Axis { from, origin: 0.0, span: f64::from(from), to: u64::from(to), start: 0, length: to }
    }

    #[test]
    fn weights_add_up_to_one() {
        for (from, to) in [(1, 224), (3, 224), (224, 224), (225, 224), (4000, 224), (7, 1000)] {
            let kernel = Kernel::new(whole(from, to));
            for taps in &kernel.taps {
                let sum: i32 = kernel.weights(taps).iter().sum();
                let off = (sum - (1 << FRACTION_BITS)).unsigned_abs() as usize;
                assert!(off <= taps.count, "{from} to {to}: off by {off}");
            }
        }
    }

    #[test]
    fn an_area_is_where_it_is() {
        // A ramp: pixel x has the value 4x. From the middle of pixel 10 on, each pixel of the result covers one and a half.
        let ramp: Vec<u8> = (0..60u8).flat_map(|x| [x * 4; 3]).collect();
        let columns = Axis { from: 60, origin: 10.5, span: 30.0, to: 20, start: 0, length: 20 };
        let resized = resize_window(&ramp, columns, whole(1, 1));
        for (x, pixel) in resized.as_chunks::<3>().0.iter().enumerate() {
            let center = 10.5 + (x as f64 + 0.5) * 1.5;
            assert!((f64::from(pixel[0]) - (center - 0.5) * 4.0).abs() <= 1.0, "{x}: {pixel:?}");
        }
    }

    proptest! {
        #[test]
        fn a_window_is_a_cut_of_the_whole(
            (from, to) in ((1u32..60, 1u32..60), (1u32..60, 1u32..60)),
            corner in (0.0..1.0, 0.0..1.0),
            seed in any::<u64>(),
        ) {
            let mut state = seed;
            let pixels: Vec<u8> = (0..from.0 * from.1 * 3)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            let all = resize_window(&pixels, whole(from.0, to.0), whole(from.1, to.1));
            let start = ((f64::from(to.0) * corner.0) as u32, (f64::from(to.1) * corner.1) as u32);
            let length = (to.0 - start.0, to.1 - start.1);
            let part = resize_window(
                &pixels,
                Axis { start: u64::from(start.0), length: length.0, ..whole(from.0, to.0) },
                Axis { start: u64::from(start.1), length: length.1, ..whole(from.1, to.1) },
            );
            let cut: Vec<u8> = all
                .chunks_exact(to.0 as usize * 3)
                .skip(start.1 as usize)
                .flat_map(|row| &row[start.0 as usize * 3..])
                .copied()
                .collect();
            prop_assert_eq!(part, cut);
        }

        #[test]
        fn one_colour_stays_that_colour(from in (1u32..40, 1u32..40), to in (1u32..40, 1u32..40), value: u8) {
            let pixels = vec![value; (from.0 * from.1 * 3) as usize];
            let resized = resize_window(&pixels, whole(from.0, to.0), whole(from.1, to.1));
            prop_assert!(resized.iter().all(|pixel| *pixel == value));
        }
    }
}

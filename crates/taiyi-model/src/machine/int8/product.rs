//! The product of a layer's blocks with panels of tokens.

use std::ops::Range;

use super::super::{LANES, Lanes};
use super::blocks::Block;
use super::level::Kind;
use super::tokens::{Panel, Steps};
use super::{BLOCK, Blocks, Level, MAX_PANELS, QuantisedTokens, Sums, TokenLine, scalar};

/// Bytes of panels that all blocks are multiplied with before the next ones: they stay in the second-level
/// cache meanwhile.
const PANEL_BYTES: usize = 384 << 10;

/// What becomes of the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish<'a> {
    /// `[channels]`, added.
    pub(crate) bias: Option<&'a [f32]>,
    /// Whether the product is added to what is there.
    pub(crate) add: bool,
}

/// Computes the channels `rows` of `w` times every panel of `x` into the panels of `y`, `[rows]` each. `rows`
/// begins at a multiple of [`BLOCK`]. `done` is given every piece of `y` as soon as it is there.
///
/// A token's outputs do not depend on the other tokens, nor on how channels are split over threads.
pub(crate) fn product(
    level: Level,
    w: Blocks<'_>,
    rows: Range<usize>,
    x: &QuantisedTokens,
    finish: Finish<'_>,
    y: &mut [&mut [Lanes]],
    done: impl Fn(&mut [Lanes]),
) {
    debug_assert!(rows.start.is_multiple_of(BLOCK) && w.groups() == x.groups() && x.panels() == y.len());
    let at_once = (PANEL_BYTES / (w.groups() * size_of::<TokenLine>())).max(1).next_multiple_of(MAX_PANELS);
    let mut sums: Sums = [[[0; LANES]; BLOCK]; MAX_PANELS];
    for start in (0..y.len()).step_by(at_once) {
        let end = y.len().min(start + at_once);
        for channels in rows.clone().step_by(BLOCK) {
            let Some(block) = w.block(channels / BLOCK) else { return };
            let to = channels - rows.start..rows.end.min(channels + BLOCK) - rows.start;
            let biases: [f32; BLOCK] = std::array::from_fn(|channel| {
                finish.bias.and_then(|bias| bias.get(channels + channel)).copied().unwrap_or(0.0)
            });
            for first in (start..end).step_by(MAX_PANELS) {
                let panels: [Option<Panel<'_>>; MAX_PANELS] =
                    std::array::from_fn(|at| (first + at < end).then(|| x.panel(first + at)).flatten());
                multiply(level, &block, &panels, &mut sums);
                for ((panel, sums), y) in panels.iter().flatten().zip(&sums).zip(&mut y[first..end]) {
                    let Some(y) = y.get_mut(to.clone()) else { return };
                    let (steps, add) = (panel.steps, finish.add);
                    let (w_scales, w_sums) = (block.scales, block.sums);
                    Store { sums, steps, w_scales, w_sums, biases: &biases, add }.run(level, y);
                    done(y);
                }
            }
        }
    }
}

fn multiply(level: Level, block: &Block<'_>, all: &[Option<Panel<'_>>; MAX_PANELS], sums: &mut Sums) {
    let panels = all.iter().flatten();
    match level.kind() {
        Kind::Scalar => {
            for (panel, sums) in panels.zip(sums) {
                scalar::sums(block.lines, panel.lines, sums);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => {
            for (panel, sums) in panels.zip(sums) {
                // SAFETY: the level is only made where the processor has its instructions.
                unsafe { super::x86::avx2(block.lines, panel.lines, sums) };
            }
        }
        #[cfg(target_arch = "x86_64")]
        Kind::AvxVnni => {
            for (panel, sums) in panels.zip(sums) {
                // SAFETY: as above.
                unsafe { super::x86::avx_vnni(block.lines, panel.lines, sums) };
            }
        }
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512Vnni => {
            if let [Some(panel), None, ..] = all
                && panel.is_half
            {
                let [sums, ..] = sums;
                // SAFETY: as above.
                return unsafe { super::x86::avx512_vnni_half(block.lines, panel.lines, sums) };
            }
            let mut lines: [&[TokenLine]; MAX_PANELS] = [&[]; MAX_PANELS];
            let mut count = 0;
            for (slot, panel) in lines.iter_mut().zip(panels) {
                *slot = panel.lines;
                count += 1;
            }
            // SAFETY: as above.
            unsafe { super::x86::avx512_vnni(block.lines, &lines[..count], sums) };
        }
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Kind::Neon => {
            for (panel, sums) in panels.zip(sums) {
                // SAFETY: as above.
                unsafe { super::neon::neon(block.lines, panel.lines, block.sums, sums) };
            }
        }
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Kind::NeonDot => {
            for (panel, sums) in panels.zip(sums) {
                // SAFETY: as above.
                unsafe { super::neon::neon_dot(block.lines, panel.lines, block.sums, sums) };
            }
        }
    }
}

/// What makes numbers of a block's sums with a panel.
pub(super) struct Store<'a> {
    pub(super) sums: &'a [[i32; LANES]; BLOCK],
    pub(super) steps: &'a Steps,
    pub(super) w_scales: &'a [f32; BLOCK],
    pub(super) w_sums: &'a [i32; BLOCK],
    pub(super) biases: &'a [f32; BLOCK],
    pub(super) add: bool,
}

impl Store<'_> {
    /// Into as many channels as `y` has.
    fn run(&self, level: Level, y: &mut [Lanes]) {
        match level.kind() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is only made where the processor has its instructions.
            Kind::Avx512Vnni => unsafe { super::x86::avx512_store(self, y) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kind::Avx2 | Kind::AvxVnni => unsafe { self.lanes_avx2(y) },
            _ => self.lanes(y),
        }
    }

    /// # Safety
    /// The processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn lanes_avx2(&self, y: &mut [Lanes]) {
        self.lanes(y);
    }

    /// Products and sums are rounded one by one, so that all levels agree.
    #[allow(clippy::needless_range_loop)] // Plain loops over lanes become vectors.
    #[inline(always)]
    fn lanes(&self, y: &mut [Lanes]) {
        let of_channels = self.w_scales.iter().zip(self.w_sums).zip(self.biases);
        for ((sums, y), ((scale, w_sum), bias)) in self.sums.iter().zip(y).zip(of_channels) {
            for lane in 0..LANES {
                let sum = sums[lane] - self.steps.zeros[lane] * w_sum;
                let value = sum as f32 * (scale * self.steps.scales[lane]) + bias;
                y.0[lane] = if self.add { y.0[lane] + value } else { value };
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // Parts of a layer, of which one is the whole.
mod tests {
    use proptest::prelude::*;

    use super::super::OwnedBlocks;
    use super::*;

    /// Numbers in no particular order, and some that are large.
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| if next() > 0.97 { next() * 20.0 } else { next() }).collect()
    }

    struct Case {
        channels: usize,
        inputs: usize,
        weights: Vec<f32>,
        blocks: OwnedBlocks,
        bias: Vec<f32>,
        tokens: usize,
        x: Vec<Vec<Lanes>>,
    }

    impl Case {
        fn new(channels: usize, inputs: usize, tokens: usize, seed: u64) -> Self {
            let weights = numbers(channels * inputs, seed);
            let blocks = OwnedBlocks::quantise(&weights, channels, inputs).unwrap();
            let x = (0..tokens.div_ceil(LANES))
                .map(|panel| {
                    let values = numbers(inputs * LANES, seed + 1 + panel as u64);
                    values.as_chunks::<LANES>().0.iter().map(|lanes| Lanes(*lanes)).collect()
                })
                .collect();
            Self { channels, inputs, weights, blocks, bias: numbers(channels, seed + 99), tokens, x }
        }

        fn run(&self, level: Level, parts: &[Range<usize>], add: bool) -> Vec<Vec<Lanes>> {
            let mut x = QuantisedTokens::default();
            x.reset(self.tokens, self.inputs).zip(&self.x).for_each(|(room, x)| room.fill(level, x));
            let mut y = vec![vec![Lanes([0.5; LANES]); self.channels]; self.x.len()];
            let finish = Finish { bias: Some(&self.bias), add };
            for part in parts {
                let mut y: Vec<&mut [Lanes]> = y.iter_mut().map(|y| &mut y[part.clone()]).collect();
                product(level, self.blocks.view(), part.clone(), &x, finish, &mut y, |_| {});
            }
            y
        }

        fn exact(&self, panel: usize, channel: usize, lane: usize) -> f32 {
            let row = &self.weights[channel * self.inputs..][..self.inputs];
            row.iter().zip(&self.x[panel]).map(|(w, x)| w * x.0[lane]).sum::<f32>() + self.bias[channel]
        }
    }

    /// Of the lanes that are tokens.
    fn bits(case: &Case, y: &[Vec<Lanes>]) -> Vec<u32> {
        let of_panel = |(panel, y): (usize, &Vec<Lanes>)| {
            let lanes = LANES.min(case.tokens - panel * LANES);
            y.iter().flat_map(|y| y.0[..lanes].iter().map(|y| y.to_bits())).collect::<Vec<_>>()
        };
        y.iter().enumerate().flat_map(of_panel).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn all_levels_agree_to_the_bit(
            channels in 1usize..70, inputs in 1usize..150, tokens in 1usize..130, seed: u32, add: bool,
        ) {
            let case = Case::new(channels, inputs, tokens, seed.into());
            let whole = [0..channels];
            let expected = bits(&case, &case.run(Level::SCALAR, &whole, add));
            let middle = (channels / 2).next_multiple_of(BLOCK);
            let parts: &[_] = if middle < channels { &[0..middle, middle..channels] } else { &whole };
            for level in Level::available() {
                prop_assert_eq!(&bits(&case, &case.run(level, &whole, add)), &expected, "{:?}", level);
                prop_assert_eq!(&bits(&case, &case.run(level, parts, add)), &expected, "{:?} in parts", level);
            }
        }
    }

    #[test]
    fn it_is_near_the_product_of_the_numbers_themselves() {
        let case = Case::new(33, 300, 80, 7);
        let y = case.run(Level::detect(), &[0..33], false);
        let (mut error, mut size) = (0.0, 0.0);
        for (panel, y) in y.iter().enumerate() {
            for (channel, y) in y.iter().enumerate() {
                for (lane, y) in y.0.iter().enumerate() {
                    let exact = case.exact(panel, channel, lane);
                    error += (y - exact).powi(2);
                    size += exact.powi(2);
                }
            }
        }
        assert!((error / size).sqrt() < 0.03, "{}", (error / size).sqrt());
    }

    #[test]
    fn the_largest_sums_fit() {
        let (channels, inputs) = (3, 1 << 16);
        let weights: Vec<f32> = [1.0, -1.0, 1.0].iter().flat_map(|w| vec![*w; inputs]).collect();
        let blocks = OwnedBlocks::quantise(&weights, channels, inputs).unwrap();
        let case = Case {
            channels,
            inputs,
            weights,
            blocks,
            bias: vec![0.0; channels],
            tokens: LANES,
            x: vec![vec![Lanes([2.0; LANES]); inputs]],
        };
        for level in Level::available() {
            let y = &case.run(level, &[0..channels], false)[0];
            assert_eq!(y.iter().map(|y| y.0[3]).collect::<Vec<_>>(), [131_072.0, -131_072.0, 131_072.0]);
        }
    }

    #[test]
    fn what_is_no_number_shows_where_it_belongs() {
        let mut case = Case::new(20, 9, 32, 3);
        case.x[1][4].0[5] = f32::NAN;
        case.weights[7 * 9] = f32::INFINITY;
        case.blocks = OwnedBlocks::quantise(&case.weights, 20, 9).unwrap();
        for level in Level::available() {
            let y = case.run(level, &[0..20], false);
            for (panel, y) in y.iter().enumerate() {
                for (channel, y) in y.iter().enumerate() {
                    for (lane, y) in y.0.iter().enumerate() {
                        assert_eq!(y.is_nan(), channel == 7 || (panel, lane) == (1, 5), "{level:?}");
                    }
                }
            }
        }
    }
}

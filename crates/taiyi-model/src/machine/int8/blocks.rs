//! Weights in blocks of 16 output channels: `[channels / 16][inputs / 4][16][4]` of i8, the last block and the
//! last group filled up with zeros. A block is read front to back, whatever the processor.

use super::{BLOCK, GROUP, WeightLine};

/// The largest weight; -128 is not used, so that the scale has two equal sides.
const LARGEST: f32 = 127.0;
/// More inputs could overflow a sum: `255 · 127 · inputs` must stay below 2³¹.
const MAX_INPUTS: usize = 1 << 16;

/// What the weights of a layer take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockSizes {
    /// Weights, filling included, a byte each.
    pub(crate) values: usize,
    /// Scales, and as many sums, filling included.
    pub(crate) channels: usize,
}

impl BlockSizes {
    /// `None` for a layer that is empty or that no 8-bit product can take.
    pub(crate) fn new(channels: usize, inputs: usize) -> Option<Self> {
        if channels == 0 || inputs == 0 || inputs > MAX_INPUTS {
            return None;
        }
        let channels = channels.checked_next_multiple_of(BLOCK)?;
        let values = channels.checked_mul(inputs.next_multiple_of(GROUP))?;
        Some(Self { values, channels })
    }
}

/// The quantised weights of a dense layer, wherever they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks<'a> {
    inputs: usize,
    values: &'a [i8],
    scales: &'a [f32],
    sums: &'a [i32],
}

/// One block: 16 channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    /// A line for each group of inputs.
    pub(super) lines: &'a [WeightLine],
    pub(super) scales: &'a [f32; BLOCK],
    pub(super) sums: &'a [i32; BLOCK],
}

impl<'a> Blocks<'a> {
    /// `channels` × `inputs` weights, their scales, and the sums of each channel's weights; `None` if one of the
    /// slices has not the length that this takes.
    pub(crate) fn new(
        channels: usize,
        inputs: usize,
        values: &'a [i8],
        scales: &'a [f32],
        sums: &'a [i32],
    ) -> Option<Self> {
        let sizes = BlockSizes::new(channels, inputs)?;
        let fits =
            values.len() == sizes.values && scales.len() == sizes.channels && sums.len() == sizes.channels;
        fits.then_some(Self { inputs, values, scales, sums })
    }

    /// Weights as they lie.
    pub(crate) fn values(&self) -> &'a [i8] {
        self.values
    }

    /// What a step of a channel's weights is worth.
    pub(crate) fn scales(&self) -> &'a [f32] {
        self.scales
    }

    /// The sum of each channel's weights.
    pub(crate) fn sums(&self) -> &'a [i32] {
        self.sums
    }

    /// Groups of inputs, the last one perhaps filled up.
    pub(super) fn groups(&self) -> usize {
        self.inputs.div_ceil(GROUP)
    }

    /// Block `index`; empty behind the last one.
    pub(super) fn block(&self, index: usize) -> Option<Block<'a>> {
        let bytes = self.groups() * BLOCK * GROUP;
        let lines = self.values.get(index * bytes..(index + 1) * bytes)?;
        Some(Block {
            lines: lines.as_chunks().0,
            scales: self.scales.get(index * BLOCK..)?.first_chunk()?,
            sums: self.sums.get(index * BLOCK..)?.first_chunk()?,
        })
    }
}

/// Quantised weights in memory of their own.
#[derive(Clone, Debug)]
pub(crate) struct OwnedBlocks {
    inputs: usize,
    values: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl OwnedBlocks {
    /// Quantises `weights`, `[channels, inputs]`. A channel with a weight that is not finite gets a scale that
    /// is not a number, so that it shows in the result. `None` for sizes that do not fit.
    pub(crate) fn quantise(weights: &[f32], channels: usize, inputs: usize) -> Option<Self> {
        let sizes = BlockSizes::new(channels, inputs)?;
        if Some(weights.len()) != channels.checked_mul(inputs) {
            return None;
        }
        let mut values = vec![0i8; sizes.values];
        let mut scales = vec![0f32; sizes.channels];
        let mut sums = vec![0i32; sizes.channels];
        let block_bytes = inputs.div_ceil(GROUP) * BLOCK * GROUP;
        let mut quantised = vec![0i8; inputs];
        let rows = weights.chunks_exact(inputs).enumerate();
        for ((channel, row), (scale, sum)) in rows.zip(scales.iter_mut().zip(&mut sums)) {
            *scale = scale_of(row);
            quantise_row(row, *scale, &mut quantised);
            *sum = quantised.iter().map(|w| i32::from(*w)).sum();
            let block = values.get_mut(channel / BLOCK * block_bytes..).unwrap_or_default();
            let lane = channel % BLOCK * GROUP;
            for (line, group) in block.chunks_exact_mut(BLOCK * GROUP).zip(quantised.chunks(GROUP)) {
                for (slot, w) in line.iter_mut().skip(lane).zip(group) {
                    *slot = *w;
                }
            }
        }
        Some(Self { inputs, values, scales, sums })
    }

    /// Keeps scales and sums alone, once the weights lie elsewhere.
    pub(crate) fn forget_values(&mut self) {
        self.values = Vec::new();
    }

    pub(crate) fn view(&self) -> Blocks<'_> {
        let Self { inputs, values, scales, sums } = self;
        Blocks { inputs: *inputs, values, scales, sums }
    }
}

/// What one step of the row's weights is worth; not a number if one of them is not finite.
pub(crate) fn scale_of(row: &[f32]) -> f32 {
    let (mut largest, mut exponents) = (0f32, 0u32);
    for weight in row {
        let size = weight.abs();
        largest = if size > largest { size } else { largest };
        exponents = exponents.max(size.to_bits());
    }
    if exponents >= f32::INFINITY.to_bits() {
        return f32::NAN;
    }
    let scale = largest / LARGEST;
    // Weights so small that their step is no normal number count as zeros: its inverse would be infinite.
    if scale.is_normal() { scale } else { 0.0 }
}

/// Writes the row's weights in steps of `scale`, which is [`scale_of`] it; zeros if that is zero or no number.
pub(crate) fn quantise_row(row: &[f32], scale: f32, to: &mut [i8]) {
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (weight, to) in row.iter().zip(to) {
        // Saturates, and makes zero of what is no number.
        *to = (weight * inverse).round_ties_even() as i8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_lie_in_their_block_and_come_back() {
        let (channels, inputs) = (19, 6);
        let weights: Vec<f32> = (0..channels * inputs).map(|i| (i as f32 * 0.7).sin()).collect();
        let blocks = OwnedBlocks::quantise(&weights, channels, inputs).unwrap();
        let view = blocks.view();
        assert_eq!((view.groups(), view.values().len()), (2, 2 * 2 * 64));
        assert!(view.block(1).is_some() && view.block(2).is_none());
        for channel in 0..channels {
            let step = view.scales()[channel];
            let mut sum = 0;
            for input in 0..inputs {
                let at = ((channel / 16 * 2 + input / 4) * 16 + channel % 16) * 4 + input % 4;
                let back = f32::from(view.values()[at]) * step;
                assert!((back - weights[channel * inputs + input]).abs() <= step * 0.5001);
                sum += i32::from(view.values()[at]);
            }
            assert_eq!(sum, view.sums()[channel]);
        }
        assert!(view.scales()[channels..].iter().all(|scale| *scale == 0.0));
        let all: i32 = view.values().iter().map(|w| i32::from(*w)).sum();
        assert_eq!(all, view.sums().iter().sum::<i32>(), "nothing but zeros fills up");
    }

    #[test]
    fn extreme_rows() {
        let rows =
            [[0.0; 4], [f32::MIN_POSITIVE; 4], [f32::MAX, -f32::MAX, 0.0, 1.0], [1.0, f32::NAN, 0.0, 0.0]];
        let blocks = OwnedBlocks::quantise(&rows.concat(), 4, 4).unwrap();
        let view = blocks.view();
        assert_eq!(view.scales()[..2], [0.0, 0.0]);
        assert_eq!(view.values()[8..12], [127, -127, 0, 0]);
        assert!(view.scales()[3].is_nan());
        assert!(OwnedBlocks::quantise(&[], 0, 4).is_none());
        assert!(OwnedBlocks::quantise(&[1.0], 1, 2).is_none());
        assert!(BlockSizes::new(1, MAX_INPUTS + 1).is_none() && BlockSizes::new(usize::MAX, 2).is_none());
    }
}

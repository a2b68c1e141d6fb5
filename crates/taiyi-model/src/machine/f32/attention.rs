//! Attention of one head in one sequence: scores, softmax and the mixed values without leaving the caches.

use std::ops::Range;

use super::functions::exp;
use super::multiply_add;
use super::product::tile;
use crate::machine::level::{Arch, Job};
use crate::machine::{LANES, Lanes, Level};

/// One head in one sequence. Panels are those of all sequences; slices are the head's features in each.
pub(crate) struct Attention<'a> {
    /// Panels of `[head]` features.
    pub(crate) queries: &'a [&'a [Lanes]],
    /// The tokens that ask.
    pub(crate) asking: Range<usize>,
    /// Panels of `[head]` features.
    pub(crate) keys: &'a [&'a [Lanes]],
    /// Panels of `[head]` features.
    pub(crate) values: &'a [&'a [Lanes]],
    /// The tokens that are asked.
    pub(crate) asked: Range<usize>,
}

/// Buffers for one head, used again for the next.
#[derive(Default)]
pub(crate) struct AttentionScratch {
    /// `[asked, head]`
    keys: Vec<f32>,
    /// `[head, asked]`
    values: Vec<f32>,
    /// `[head]`
    queries: Vec<Lanes>,
    /// `[asked]`
    scores: Vec<Lanes>,
}

impl Attention<'_> {
    /// For each token that asks, `softmax(q·k/√head)·v`, into the same tokens of `mixed`, panels of `[head]`
    /// features. Every sum goes over the tokens asked in their order.
    pub(crate) fn run(&self, level: Level, scratch: &mut AttentionScratch, mixed: &mut [&mut [Lanes]]) {
        let head = mixed.first().map_or(0, |panel| panel.len());
        for panels in [self.queries, self.keys, self.values] {
            assert!(panels.iter().all(|panel| panel.len() == head));
        }
        assert!(mixed.iter().all(|panel| panel.len() == head));
        if head > 0 && !self.asked.is_empty() {
            level.run(AttentionJob { attention: self, head, scratch, mixed });
        }
    }
}

struct AttentionJob<'a, 'b> {
    attention: &'a Attention<'a>,
    head: usize,
    scratch: &'a mut AttentionScratch,
    mixed: &'a mut [&'b mut [Lanes]],
}

impl Job for AttentionJob<'_, '_> {
    #[inline(always)]
    fn run<A: Arch>(self) {
        let Self { attention, head, scratch, mixed } = self;
        let Attention { queries, asking, keys, values, asked } = attention;
        let count = asked.len();
        // As weights of a product: a row a token asked for the scores, a row a feature for the mixed values.
        scratch.keys.resize(count * head, 0.0);
        scratch.values.resize(count * head, 0.0);
        scratch.queries.resize(head, Lanes::ZERO);
        scratch.scores.resize(count, Lanes::ZERO);
        for (panel, lanes, at) in pieces(asked) {
            for feature in 0..head {
                let from = &keys[panel][feature].0[lanes.clone()];
                for (index, value) in from.iter().enumerate() {
                    scratch.keys[(at + index) * head + feature] = *value;
                }
                let from = &values[panel][feature].0[lanes.clone()];
                scratch.values[feature * count + at..][..from.len()].copy_from_slice(from);
            }
        }
        let scale = 1.0 / (head as f32).sqrt();
        for start in asking.clone().step_by(LANES) {
            let block = start..asking.end.min(start + LANES);
            for (panel, lanes, at) in pieces(&block) {
                for feature in 0..head {
                    let from = &queries[panel][feature].0[lanes.clone()];
                    for (to, value) in scratch.queries[feature].0[at..].iter_mut().zip(from) {
                        *to = value * scale;
                    }
                }
            }
            rows::<A>(&scratch.keys, head, &scratch.queries, &mut scratch.scores);
            let sums = softmax::<A>(&mut scratch.scores);
            rows::<A>(&scratch.values, count, &scratch.scores, &mut scratch.queries);
            for (panel, lanes, at) in pieces(&block) {
                for feature in 0..head {
                    let to = &mut mixed[panel][feature].0[lanes.clone()];
                    for (index, to) in to.iter_mut().enumerate() {
                        *to = scratch.queries[feature].0[at + index] / sums[at + index];
                    }
                }
            }
        }
    }
}

/// The parts of `tokens` in each panel: its number, the lanes there, and where they begin among `tokens`.
#[inline(always)]
fn pieces(tokens: &Range<usize>) -> impl Iterator<Item = (usize, Range<usize>, usize)> {
    let (start, end) = (tokens.start, tokens.end);
    (start / LANES..end.div_ceil(LANES)).map(move |panel| {
        let first = panel * LANES;
        let lanes = start.max(first) - first..end.min(first + LANES) - first;
        (panel, lanes.clone(), first + lanes.start - start)
    })
}

/// `y = W·x` for one panel.
#[inline(always)]
fn rows<A: Arch>(weights: &[f32], inputs: usize, x: &[Lanes], y: &mut [Lanes]) {
    match A::REGISTER_VALUES {
        // Of more rows, the compiler no longer keeps the sums in registers.
        512 => tiles::<A, 6, 2>(weights, inputs, x, y),
        128 => tiles::<A, 6, 2>(weights, inputs, x, y),
        _ => tiles::<A, 2, 1>(weights, inputs, x, y),
    }
}

#[inline(always)]
fn tiles<A: Arch, const R: usize, const S: usize>(
    weights: &[f32],
    inputs: usize,
    x: &[Lanes],
    y: &mut [Lanes],
) {
    let mut row = 0;
    while row < y.len() {
        let left = y.len() - row;
        if left >= R {
            tile_into::<A, R>(weights, inputs, x, y, row);
            row += R;
        } else if left >= S {
            tile_into::<A, S>(weights, inputs, x, y, row);
            row += S;
        } else {
            tile_into::<A, 1>(weights, inputs, x, y, row);
            row += 1;
        }
    }
}

#[inline(always)]
fn tile_into<A: Arch, const R: usize>(
    weights: &[f32],
    inputs: usize,
    x: &[Lanes],
    y: &mut [Lanes],
    row: usize,
) {
    let sums = tile::<A, R, 1, LANES>(&weights[row * inputs..(row + R) * inputs], inputs, [x]);
    for (y, [sum]) in y[row..].iter_mut().zip(sums) {
        y.0 = sum;
    }
}

/// `e^(x − greatest)` in each lane, in place, and their sums.
#[inline(always)]
fn softmax<A: Arch>(rows: &mut [Lanes]) -> [f32; LANES] {
    let mut greatest = [f32::NEG_INFINITY; LANES];
    for row in rows.iter() {
        for l in 0..LANES {
            greatest[l] = if row.0[l] > greatest[l] { row.0[l] } else { greatest[l] };
        }
    }
    let mut sums = [0.0; LANES];
    for row in rows {
        for l in 0..LANES {
            row.0[l] = exp::<A>(row.0[l] - greatest[l]);
            sums[l] = multiply_add::<A>(row.0[l], 1.0, sums[l]);
        }
    }
    sums
}

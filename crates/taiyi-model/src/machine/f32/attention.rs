//! Attention of one head in one sequence: scores, softmax and the mixed values without leaving the caches.

use std::ops::Range;

use super::functions::exp;
use super::product::{Steps, tile};
use crate::machine::level::{Arch, Job};
use crate::machine::vector::Vector;
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
    /// `[head, asked]`
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
            for (from, to) in [(keys, &mut scratch.keys), (values, &mut scratch.values)] {
                for (from, to) in from[panel].iter().zip(to.chunks_exact_mut(count)) {
                    to[at..at + lanes.len()].copy_from_slice(&from.0[lanes.clone()]);
                }
            }
        }
        let scale = Lanes([1.0 / (head as f32).sqrt(); LANES]);
        for start in asking.clone().step_by(LANES) {
            let block = start..asking.end.min(start + LANES);
            for (panel, lanes, at) in pieces(&block) {
                for (from, to) in queries[panel].iter().zip(&mut scratch.queries) {
                    to.0[at..at + lanes.len()].copy_from_slice(&from.0[lanes.clone()]);
                }
            }
            let steps = Steps { row: 1, input: count };
            rows::<A>(&scratch.keys, steps, &scratch.queries, &scale, &mut scratch.scores);
            let mut shares = softmax::<A>(&mut scratch.scores);
            for share in &mut shares.0 {
                *share = 1.0 / *share;
            }
            let steps = Steps { row: count, input: 1 };
            rows::<A>(&scratch.values, steps, &scratch.scores, &shares, &mut scratch.queries);
            for (panel, lanes, at) in pieces(&block) {
                for (from, to) in scratch.queries.iter().zip(mixed[panel].iter_mut()) {
                    to.0[lanes.clone()].copy_from_slice(&from.0[at..at + lanes.len()]);
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

/// `y = W·x` for one panel, times a factor in each lane.
#[inline(always)]
fn rows<A: Arch>(weights: &[f32], steps: Steps, x: &[Lanes], factors: &Lanes, y: &mut [Lanes]) {
    match A::REGISTER_VALUES {
        512 => tiles::<A, 12, 4>(weights, steps, x, factors, y),
        128 => tiles::<A, 6, 2>(weights, steps, x, factors, y),
        _ => tiles::<A, 2, 1>(weights, steps, x, factors, y),
    }
}

#[inline(always)]
fn tiles<A: Arch, const R: usize, const S: usize>(
    weights: &[f32],
    steps: Steps,
    x: &[Lanes],
    factors: &Lanes,
    y: &mut [Lanes],
) {
    let mut row = 0;
    while row < y.len() {
        let left = y.len() - row;
        if left >= R {
            tile_into::<A, R>(weights, steps, x, factors, y, row);
            row += R;
        } else if left >= S {
            tile_into::<A, S>(weights, steps, x, factors, y, row);
            row += S;
        } else {
            tile_into::<A, 1>(weights, steps, x, factors, y, row);
            row += 1;
        }
    }
}

#[inline(always)]
fn tile_into<A: Arch, const R: usize>(
    weights: &[f32],
    steps: Steps,
    x: &[Lanes],
    factors: &Lanes,
    y: &mut [Lanes],
    row: usize,
) {
    let factors = A::Whole::load(factors);
    let sums = tile::<A::Whole, R, 1, false>(&weights[row * steps.row..], steps, [x]);
    for (y, [sum]) in y[row..].iter_mut().zip(sums) {
        sum.multiply(factors).store(y);
    }
}

/// `e^(x − greatest)` in each lane, in place, and their sums.
#[inline(always)]
fn softmax<A: Arch>(rows: &mut [Lanes]) -> Lanes {
    let mut greatest = [f32::NEG_INFINITY; LANES];
    for row in rows.iter() {
        for l in 0..LANES {
            greatest[l] = if row.0[l] > greatest[l] { row.0[l] } else { greatest[l] };
        }
    }
    let mut sums = Lanes::ZERO;
    for row in rows {
        for l in 0..LANES {
            row.0[l] = exp::<A>(row.0[l] - greatest[l]);
        }
        A::Whole::load(&sums).add(A::Whole::load(row)).store(&mut sums);
    }
    sums
}

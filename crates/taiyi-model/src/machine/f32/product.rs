//! A weight matrix times panels of tokens.

use super::rows::activate_rows;
use crate::config::Activation;
use crate::machine::level::{Arch, Job};
use crate::machine::vector::{Vector, prefetch};
use crate::machine::{LANES, Lanes, Level};

/// Bytes of panels that are run over all weights before the next panels are: they stay in the second-level
/// cache, while the weights come by from memory.
const GROUP_BYTES: usize = 640 * 1024;

/// How far ahead weights are fetched, in tiles.
const AHEAD_TILES: usize = 4;
/// Values in a line of the caches.
const LINE: usize = 16;

/// Rows of a weight matrix.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    /// `[rows, inputs]`
    pub(crate) weights: &'a [f32],
    pub(crate) inputs: usize,
    /// `[rows]`
    pub(crate) bias: Option<&'a [f32]>,
}

/// What becomes of the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// `y = W·x + b`
    Store,
    /// `y = f(W·x + b)`
    Activate(Activation),
    /// `y += W·x + b`
    Add,
}

/// Multiplies every panel of `x` (`[inputs]` each) with `matrix`, into the panels of `y` (`[rows]` each). Of the last
/// panel, the lanes of `tokens` count.
///
/// Every output is one sum over the inputs in their order, whatever the number of tokens and however rows are
/// split over threads; so it has the same bits each time.
pub(crate) fn product(
    level: Level,
    matrix: Matrix<'_>,
    x: &[&[Lanes]],
    tokens: usize,
    finish: Finish,
    y: &mut [&mut [Lanes]],
) {
    let Matrix { weights, inputs, bias } = matrix;
    let rows = weights.len().checked_div(inputs).unwrap_or(0);
    assert!(x.iter().all(|x| x.len() == inputs) && y.iter().all(|y| y.len() == rows) && x.len() == y.len());
    assert!(bias.is_none_or(|bias| bias.len() == rows) && tokens.div_ceil(LANES) == x.len());
    level.run(Product { weights, inputs, rows, bias, x, tokens, finish, y });
}

struct Product<'a, 'b> {
    weights: &'a [f32],
    inputs: usize,
    rows: usize,
    bias: Option<&'a [f32]>,
    x: &'a [&'a [Lanes]],
    tokens: usize,
    finish: Finish,
    y: &'a mut [&'b mut [Lanes]],
}

impl Job for Product<'_, '_> {
    #[inline(always)]
    fn run<A: Arch>(mut self) {
        // Sums of a tile and the inputs beside them fill the registers. 12 rows of one panel wait less for memory than 6.
        // But in matrices of 1024, 3072 or 4096 inputs, the same input of all rows lies in one set of the first-level cache,
        // which has room for 8; and with more panels, 6 rows take fewer reads.
        match A::REGISTER_VALUES {
            512 if self.x.len() == 1 && !self.inputs.is_multiple_of(1024) => self.tiles::<A, 12, 4, 1>(),
            512 => self.tiles::<A, 6, 2, 4>(),
            128 => self.tiles::<A, 6, 2, 1>(),
            _ => self.tiles::<A, 2, 1, 1>(),
        }
    }
}

impl Product<'_, '_> {
    /// In tiles of `R` rows and `V` panels; what is left, of `S` rows and of one.
    #[inline(always)]
    fn tiles<A: Arch, const R: usize, const S: usize, const V: usize>(&mut self) {
        let group = (GROUP_BYTES / (self.inputs * size_of::<Lanes>()).max(1)).max(V).next_multiple_of(V);
        let panels = self.x.len();
        // Half a vector does for half a panel.
        let halved = match self.tokens % LANES {
            left if left > 0 && left <= LANES / 2 => panels - 1,
            _ => panels,
        };
        for start in (0..panels).step_by(group) {
            let end = panels.min(start + group);
            let mut row = 0;
            while row < self.rows {
                let left = self.rows - row;
                if left >= R {
                    self.row_tile::<A, R, V>(row, start, end, halved);
                    row += R;
                } else if left >= S {
                    self.row_tile::<A, S, V>(row, start, end, halved);
                    row += S;
                } else {
                    self.row_tile::<A, 1, V>(row, start, end, halved);
                    row += 1;
                }
            }
        }
    }

    /// `R` rows of the panels from `start` to `end`; those from `halved` on in their first half.
    #[inline(always)]
    fn row_tile<A: Arch, const R: usize, const V: usize>(
        &mut self,
        row: usize,
        start: usize,
        end: usize,
        halved: usize,
    ) {
        let weights = &self.weights[row * self.inputs..(row + R) * self.inputs];
        let steps = Steps { row: self.inputs, input: 1 };
        let whole = end.min(halved);
        let mut panel = start;
        // While the first panels are multiplied, the next weights are fetched: they come from memory.
        if panel + V <= whole {
            self.tile::<A::Whole, R, V, true>(weights, steps, row, panel);
            panel += V;
        }
        while panel + V <= whole {
            self.tile::<A::Whole, R, V, false>(weights, steps, row, panel);
            panel += V;
        }
        if V > 2 && panel + 2 <= whole {
            self.tile::<A::Whole, R, 2, true>(weights, steps, row, panel);
            panel += 2;
        }
        while panel < whole {
            self.tile::<A::Whole, R, 1, true>(weights, steps, row, panel);
            panel += 1;
        }
        while panel < end {
            self.tile::<A::Half, R, 1, true>(weights, steps, row, panel);
            panel += 1;
        }
        if let Finish::Activate(activation) = self.finish {
            for y in &mut self.y[start..end] {
                activate_rows::<A>(activation, &mut y[row..row + R]);
            }
        }
    }

    #[inline(always)]
    fn tile<T: Vector, const R: usize, const V: usize, const AHEAD: bool>(
        &mut self,
        weights: &[f32],
        steps: Steps,
        row: usize,
        panel: usize,
    ) {
        let x: [&[Lanes]; V] = std::array::from_fn(|v| self.x[panel + v]);
        let sums = tile::<T, R, V, AHEAD>(weights, steps, x);
        self.store(sums, row, panel);
    }

    #[inline(always)]
    fn store<T: Vector, const R: usize, const V: usize>(
        &mut self,
        sums: [[T; V]; R],
        row: usize,
        panel: usize,
    ) {
        for r in 0..R {
            let bias = T::splat(self.bias.map_or(0.0, |bias| bias[row + r]));
            for v in 0..V {
                let y = &mut self.y[panel + v][row + r];
                let sum = sums[r][v].add(bias);
                let sum = if self.finish == Finish::Add { T::load(y).add(sum) } else { sum };
                sum.store(y);
            }
        }
    }
}

/// Where a tile's weights lie: weight `(row, input)` at `row·row_step + input·input_step`.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    pub(super) row: usize,
    pub(super) input: usize,
}

/// `R` rows of `weights` times `V` panels. If `AHEAD`, as many weights further on are fetched meanwhile.
#[inline(always)]
pub(super) fn tile<T: Vector, const R: usize, const V: usize, const AHEAD: bool>(
    weights: &[f32],
    steps: Steps,
    x: [&[Lanes]; V],
) -> [[T; V]; R] {
    let inputs = x[0].len();
    assert!(x.iter().all(|x| x.len() == inputs));
    assert!(inputs == 0 || weights.len() > (R - 1) * steps.row + (inputs - 1) * steps.input);
    let mut sums = [[T::splat(0.0); V]; R];
    let mut start = 0;
    while start < inputs {
        let end = if AHEAD { inputs.min(start + LINE) } else { inputs };
        if AHEAD {
            for r in 0..R {
                prefetch(weights.as_ptr().wrapping_add((AHEAD_TILES * R + r) * steps.row + start));
            }
        }
        for input in start..end {
            let x: [T; V] = std::array::from_fn(|v| T::load(&x[v][input]));
            for r in 0..R {
                // SAFETY: as `r < R` and `input < inputs`, this is within `weights`: asserted above. The check would
                // cost as much as the sums.
                let weight = unsafe { *weights.get_unchecked(r * steps.row + input * steps.input) };
                let weight = T::splat(weight);
                for v in 0..V {
                    sums[r][v] = weight.multiply_add(x[v], sums[r][v]);
                }
            }
        }
        start = end;
    }
    sums
}

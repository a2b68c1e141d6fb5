//! A weight matrix times panels of tokens.

use super::multiply_add;
use crate::machine::level::{Arch, Job};
use crate::machine::{LANES, Lanes, Level};

/// Bytes of panels that are run over all weights before the next panels are: they stay in the second-level
/// cache, while the weights come by from memory.
const GROUP_BYTES: usize = 640 * 1024;

/// Adds up `weights`, f32 `[rows, inputs]`, times every panel of `x` (`[inputs]` each), plus `bias`, into the
/// panels of `y` (`[rows]` each): `y = W·x + b`, or `y += W·x + b` if `add`. Of the last panel, the lanes of
/// `tokens` count.
///
/// Every output is one sum over the inputs in their order, whatever the number of tokens and however rows are
/// split over threads; so it has the same bits each time.
pub(crate) fn product(
    level: Level,
    weights: &[f32],
    inputs: usize,
    bias: Option<&[f32]>,
    x: &[&[Lanes]],
    tokens: usize,
    add: bool,
    y: &mut [&mut [Lanes]],
) {
    let rows = if inputs == 0 { 0 } else { weights.len() / inputs };
    assert!(x.iter().all(|x| x.len() == inputs) && y.iter().all(|y| y.len() == rows) && x.len() == y.len());
    assert!(bias.is_none_or(|bias| bias.len() == rows) && tokens.div_ceil(LANES) == x.len());
    level.run(Product { weights, inputs, rows, bias, x, tokens, add, y });
}

struct Product<'a, 'b> {
    weights: &'a [f32],
    inputs: usize,
    rows: usize,
    bias: Option<&'a [f32]>,
    x: &'a [&'a [Lanes]],
    tokens: usize,
    add: bool,
    y: &'a mut [&'b mut [Lanes]],
}

impl Job for Product<'_, '_> {
    #[inline(always)]
    fn run<A: Arch>(mut self) {
        // Sums of a tile and the inputs beside them fill the registers: 12 rows of 2 panels in 32 of 16 values.
        match A::REGISTER_VALUES {
            512 => self.tiles::<A, 12, 4, 2>(),
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
        let whole = end.min(halved);
        let mut panel = start;
        while panel + V <= whole {
            let x: [&[Lanes]; V] = std::array::from_fn(|v| self.x[panel + v]);
            let sums = tile::<A, R, V, LANES>(weights, self.inputs, x);
            self.store(sums, row, panel);
            panel += V;
        }
        while panel < whole {
            let sums = tile::<A, R, 1, LANES>(weights, self.inputs, [self.x[panel]]);
            self.store(sums, row, panel);
            panel += 1;
        }
        while panel < end {
            let sums = tile::<A, R, 1, { LANES / 2 }>(weights, self.inputs, [self.x[panel]]);
            self.store(sums, row, panel);
            panel += 1;
        }
    }

    #[inline(always)]
    fn store<const R: usize, const V: usize, const W: usize>(
        &mut self,
        sums: [[[f32; W]; V]; R],
        row: usize,
        panel: usize,
    ) {
        for r in 0..R {
            let bias = self.bias.map_or(0.0, |bias| bias[row + r]);
            for v in 0..V {
                let y = &mut self.y[panel + v][row + r].0;
                for l in 0..W {
                    let sum = sums[r][v][l] + bias;
                    y[l] = if self.add { y[l] + sum } else { sum };
                }
            }
        }
    }
}

/// `R` rows of `weights` times the first `W` lanes of `V` panels.
#[inline(always)]
pub(super) fn tile<A: Arch, const R: usize, const V: usize, const W: usize>(
    weights: &[f32],
    inputs: usize,
    x: [&[Lanes]; V],
) -> [[[f32; W]; V]; R] {
    assert!(weights.len() == R * inputs && x.iter().all(|x| x.len() == inputs));
    let mut sums = [[[0.0; W]; V]; R];
    for input in 0..inputs {
        for r in 0..R {
            // SAFETY: `r < R` and `input < inputs`, and there are `R * inputs` weights: asserted above. The check
            // would cost as much as the sums.
            let weight = unsafe { *weights.get_unchecked(r * inputs + input) };
            for v in 0..V {
                for l in 0..W {
                    sums[r][v][l] = multiply_add::<A>(weight, x[v][input].0[l], sums[r][v][l]);
                }
            }
        }
    }
    sums
}

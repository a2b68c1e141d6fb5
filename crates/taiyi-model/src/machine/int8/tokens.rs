//! Activations as whole numbers: quantised token by token, in panels of 16.

use super::super::{LANES, Lanes};
use super::level::Kind;
use super::{GROUP, Level, TokenLine};

/// The largest quantised activation; the smallest is 0.
const LARGEST: f32 = 255.0;
/// Added to a number from 0 to 2²², it leaves the number, rounded to even, in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// Panels of activations as 8-bit numbers, `[inputs / 4][16 tokens][4]` each, the last group filled up with
/// zeros. What is in the lanes beyond the last token stays there and touches no other.
#[derive(Debug, Default)]
pub(crate) struct QuantisedTokens {
    tokens: usize,
    groups: usize,
    lines: Vec<TokenLine>,
    steps: Vec<Steps>,
}

/// What the numbers of a panel's tokens stand for: `scale · (q - zero)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Steps {
    pub(super) scales: [f32; LANES],
    pub(super) zeros: [i32; LANES],
}

const NONE: Steps = Steps { scales: [0.0; LANES], zeros: [0; LANES] };

/// One panel of [`QuantisedTokens`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel<'a> {
    /// A line for each group of inputs.
    pub(super) lines: &'a [TokenLine],
    pub(super) steps: &'a Steps,
    /// Whether none of the lanes beyond the first half counts.
    pub(super) is_half: bool,
}

/// Room for one panel of [`QuantisedTokens`].
pub(crate) struct PanelRoom<'a> {
    lines: &'a mut [TokenLine],
    steps: &'a mut Steps,
}

impl QuantisedTokens {
    /// Makes room for the panels of `tokens` of `inputs`, and gives it out panel by panel, so that several threads can
    /// [`fill`](PanelRoom::fill) it. Memory is kept for the next time.
    pub(crate) fn reset(
        &mut self,
        tokens: usize,
        inputs: usize,
    ) -> impl ExactSizeIterator<Item = PanelRoom<'_>> {
        let panels = tokens.div_ceil(LANES);
        self.tokens = tokens;
        self.groups = inputs.div_ceil(GROUP);
        self.lines.resize(panels * self.groups, TokenLine::default());
        self.steps.resize(panels, NONE);
        self.lines
            .chunks_exact_mut(self.groups.max(1))
            .zip(&mut self.steps)
            .map(|(lines, steps)| PanelRoom { lines, steps })
    }

    /// How many panels there are.
    pub(crate) fn panels(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    pub(super) fn panel(&self, index: usize) -> Option<Panel<'_>> {
        let lines = self.lines.get(index * self.groups..(index + 1) * self.groups)?;
        let is_half = self.tokens.saturating_sub(index * LANES) <= LANES / 2;
        Some(Panel { lines, steps: self.steps.get(index)?, is_half })
    }
}

impl PanelRoom<'_> {
    /// Takes `x`, `[inputs]`. A token with a number that is not finite gets a scale that is not a number, so
    /// that it shows in the result.
    pub(crate) fn fill(self, level: Level, x: &[Lanes]) {
        let Self { lines, steps } = self;
        match level.kind() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is only made where the processor has its instructions.
            Kind::Avx512Vnni => unsafe { fill_avx512(x, lines, steps) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kind::Avx2 | Kind::AvxVnni => unsafe { fill_avx2(x, lines, steps) },
            // On AArch64 the compiler takes NEON anyway.
            _ => fill(x, lines, steps),
        }
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn fill_avx512(x: &[Lanes], lines: &mut [TokenLine], steps: &mut Steps) {
    fill(x, lines, steps);
}

/// # Safety
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn fill_avx2(x: &[Lanes], lines: &mut [TokenLine], steps: &mut Steps) {
    fill(x, lines, steps);
}

/// Lane by lane the same, so that the compiler makes vectors of it, whatever it may use where this is inlined.
#[inline(always)]
fn fill(x: &[Lanes], lines: &mut [TokenLine], steps: &mut Steps) {
    // Zero is always among the numbers, as in what fills up.
    let (mut least, mut most, mut exponents) = ([0f32; LANES], [0f32; LANES], [0u32; LANES]);
    for Lanes(x) in x {
        for lane in 0..LANES {
            least[lane] = if x[lane] < least[lane] { x[lane] } else { least[lane] };
            most[lane] = if x[lane] > most[lane] { x[lane] } else { most[lane] };
            exponents[lane] = exponents[lane].max(x[lane].to_bits() & f32::INFINITY.to_bits());
        }
    }
    let (mut inverses, mut offsets) = ([0f32; LANES], [0f32; LANES]);
    for lane in 0..LANES {
        // Divided first, so that the difference is no infinity.
        let scale = most[lane] / LARGEST - least[lane] / LARGEST;
        let is_finite = exponents[lane] < f32::INFINITY.to_bits();
        if is_finite && scale.is_normal() {
            inverses[lane] = 1.0 / scale;
            offsets[lane] = (-least[lane] * inverses[lane] + ROUNDER) - ROUNDER;
            steps.scales[lane] = scale;
        } else {
            steps.scales[lane] = if is_finite { 0.0 } else { f32::NAN };
        }
        steps.zeros[lane] = offsets[lane] as i32;
    }
    let number = |x: f32, lane: usize| {
        let q = x * inverses[lane] + offsets[lane];
        let q = if q > 0.0 { q } else { 0.0 };
        let q = if q < LARGEST { q } else { LARGEST };
        (q + ROUNDER).to_bits() & 0xff
    };
    let (groups, rest) = x.as_chunks::<GROUP>();
    for (line, [a, b, c, d]) in lines.iter_mut().zip(groups) {
        for (lane, slot) in line.0.iter_mut().enumerate() {
            let (low, high) = (number(a.0[lane], lane), number(c.0[lane], lane));
            *slot = low | number(b.0[lane], lane) << 8 | high << 16 | number(d.0[lane], lane) << 24;
        }
    }
    if !rest.is_empty()
        && let Some(line) = lines.get_mut(groups.len())
    {
        *line = TokenLine::default();
        for (input, x) in rest.iter().enumerate() {
            for (lane, slot) in line.0.iter_mut().enumerate() {
                *slot |= number(x.0[lane], lane) << (8 * input);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantised(x: &[Vec<Lanes>], level: Level) -> QuantisedTokens {
        let mut tokens = QuantisedTokens::default();
        // What was here before must not matter.
        tokens.reset(2 * LANES, 9).for_each(|room| room.fill(level, &[Lanes([7.0; LANES]); 9]));
        tokens.reset(x.len() * LANES, x[0].len()).zip(x).for_each(|(room, x)| room.fill(level, x));
        tokens
    }

    fn back(tokens: &QuantisedTokens, panel: usize, lane: usize, input: usize) -> f32 {
        let panel = tokens.panel(panel).unwrap();
        let q = panel.lines[input / GROUP].0[lane] >> (8 * (input % GROUP)) & 0xff;
        panel.steps.scales[lane] * (q as i32 - panel.steps.zeros[lane]) as f32
    }

    #[test]
    fn tokens_come_back_within_a_step_and_alike_on_every_level() {
        for (panels, inputs) in [(1, 1), (2, 5), (1, 16), (3, 67), (2, 768)] {
            let x: Vec<Vec<Lanes>> = (0..panels)
                .map(|panel| {
                    let value = |i: usize, lane: usize| {
                        ((i * 16 + lane + panel) as f32 * 1.3).sin() * (i % 7) as f32 + lane as f32 * 0.1
                    };
                    (0..inputs).map(|i| Lanes(std::array::from_fn(|lane| value(i, lane)))).collect()
                })
                .collect();
            let scalar = quantised(&x, Level::SCALAR);
            for level in Level::available() {
                let tokens = quantised(&x, level);
                assert_eq!((tokens.panels(), tokens.groups()), (panels, inputs.div_ceil(4)));
                for (panel, x) in x.iter().enumerate() {
                    let (a, b) = (tokens.panel(panel).unwrap(), scalar.panel(panel).unwrap());
                    assert_eq!(a.steps, b.steps, "{level:?}");
                    assert!(a.lines.iter().zip(b.lines).all(|(a, b)| a.0 == b.0), "{level:?}");
                    for lane in 0..LANES {
                        for (input, x) in x.iter().enumerate() {
                            let error = (back(&tokens, panel, lane, input) - x.0[lane]).abs();
                            // Half a step for the number, half a one for the zero at the ends.
                            assert!(
                                error <= a.steps.scales[lane] * 1.001,
                                "{level:?} {lane} {input}: {error}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_at_the_edge_keep_to_their_token() {
        let of_lanes: [[f32; 2]; 6] = [
            [0.0, 0.0],
            [1e-44, 0.0],
            [f32::MAX, -f32::MAX],
            [f32::NAN, 1.0],
            [1.0, f32::NEG_INFINITY],
            [5.0, 5.0],
        ];
        let x: Vec<Lanes> = (0..2)
            .map(|i| Lanes(std::array::from_fn(|lane| of_lanes.get(lane).map_or(0.0, |x| x[i]))))
            .collect();
        for level in Level::available() {
            let tokens = quantised(std::slice::from_ref(&x), level);
            let steps = tokens.panel(0).unwrap().steps;
            assert_eq!((steps.scales[0], steps.scales[1], steps.zeros[0]), (0.0, 0.0, 0));
            assert!(steps.scales[2].is_finite() && (back(&tokens, 0, 2, 0) / f32::MAX - 1.0).abs() < 0.01);
            assert!(steps.scales[3].is_nan() && steps.scales[4].is_nan());
            assert_eq!((back(&tokens, 0, 5, 0), back(&tokens, 0, 5, 1)), (5.0, 5.0));
        }
    }
}

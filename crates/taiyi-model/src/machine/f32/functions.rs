//! The exponential function and the non-linearities made of it, free of branches, for one lane of many.

use super::multiply_add;
use crate::machine::level::Arch;

/// `eˣ` to within 2 units of the last place; below −87.3 and above 88.3 as at these. Not a number stays so.
#[inline(always)]
pub(super) fn exp<A: Arch>(x: f32) -> f32 {
    // Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first of which times any exponent is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    let shifted = multiply_add::<A>(x, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let rest = multiply_add::<A>(whole, -LN_2_HIGH, x);
    let rest = multiply_add::<A>(whole, -LN_2_LOW, rest);
    // Least relative error over half of ln 2 to both sides: 3e-9.
    let sum = multiply_add::<A>(1.381_446_3e-3, rest, 8.368_781e-3);
    let sum = multiply_add::<A>(sum, rest, 4.166_839_4e-2);
    let sum = multiply_add::<A>(sum, rest, 0.166_665_2);
    let sum = multiply_add::<A>(sum, rest, 0.499_999_93);
    let sum = multiply_add::<A>(sum, rest * rest, rest) + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    sum * power
}

/// `x·σ(1.702x)`
#[inline(always)]
pub(super) fn quick_gelu<A: Arch>(x: f32) -> f32 {
    x / (1.0 + exp::<A>(-1.702 * x))
}

/// `x/2·(1 + tanh(√(2/π)·(x + 0.044715x³)))`, by `(1 + tanh u)/2 = σ(2u)`.
#[inline(always)]
pub(super) fn gelu_tanh<A: Arch>(x: f32) -> f32 {
    let inner = x * multiply_add::<A>(0.044_715, x * x, 1.0);
    x / (1.0 + exp::<A>(-1.595_769_2 * inner))
}

/// `x·Φ(x) = x/2·erfc(−x/√2)`, with `erfc(t) = e^(−t²)·P(1/(1 + t/2))` for `t ≥ 0`.
#[inline(always)]
pub(super) fn gelu<A: Arch>(x: f32) -> f32 {
    // Least relative error for t up to 10: 3e-8. In 2.4/(1 + t/2) − 1.4, so that sums do not cancel.
    const P: [f32; 10] = [
        -2.083_890_1e-5,
        -2.281_742_6e-5,
        2.522_466_2e-4,
        7.847_496e-5,
        -2.928_270_7e-3,
        -1.101_884_5e-3,
        4.599_164_5e-2,
        0.195_443_05,
        0.428_634_7,
        0.333_673_66,
    ];
    let t = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let place = 2.4 / multiply_add::<A>(0.5, t, 1.0) - 1.4;
    let mut sum = P[0];
    for coefficient in &P[1..] {
        sum = multiply_add::<A>(sum, place, *coefficient);
    }
    let tail = 0.5 * x * sum * exp::<A>(-t * t);
    if x < 0.0 { tail } else { x - tail }
}

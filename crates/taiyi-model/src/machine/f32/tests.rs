//! Every level against plain f64 over odd shapes, and levels against each other.

use super::{Attention, AttentionScratch, Finish, Matrix, activate, layer_norm, product};
use crate::config::Activation;
use crate::machine::{LANES, Lanes, Level, Panels};

/// Numbers from −1 to 1 without a pattern.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0) as f32
    };
    (0..count).map(|_| next()).collect()
}

/// `values`, `[tokens, features]`, as panels. Lanes behind the last token are not numbers.
fn panels(values: &[f32], tokens: usize, features: usize) -> Panels {
    let mut panels = Panels::default();
    panels.reset(tokens, features);
    for panel in panels.panels_mut() {
        panel.fill(Lanes([f32::NAN; LANES]));
    }
    for token in 0..tokens {
        for feature in 0..features {
            panels.set(token, feature, values[token * features + feature]);
        }
    }
    panels
}

/// `[tokens, features]`
fn values(panels: &Panels) -> Vec<f32> {
    (0..panels.tokens()).flat_map(|token| panels.token(token)).collect()
}

fn is_fused(level: Level) -> bool {
    cfg!(target_arch = "aarch64") || level != Level::available()[0]
}

/// Runs `compute` on every level: `check` is given each result, and fused levels give the same bits.
fn on_levels(compute: impl Fn(Level) -> Vec<f32>, check: impl Fn(Level, &[f32])) {
    let mut fused: Option<Vec<u32>> = None;
    for level in Level::available() {
        let result = compute(level);
        check(level, &result);
        if is_fused(level) {
            let bits: Vec<u32> = result.iter().map(|value| value.to_bits()).collect();
            assert_eq!(*fused.get_or_insert_with(|| bits.clone()), bits, "{level:?}");
        }
    }
}

fn multiplied(
    level: Level,
    weights: &[f32],
    inputs: usize,
    bias: Option<&[f32]>,
    x: &Panels,
    before: Option<&[f32]>,
) -> Vec<f32> {
    let (tokens, rows) = (x.tokens(), weights.len() / inputs);
    let mut y = match before {
        Some(before) => panels(before, tokens, rows),
        None => panels(&vec![f32::NAN; tokens * rows], tokens, rows),
    };
    let x: Vec<&[Lanes]> = x.panels().collect();
    let mut parts: Vec<&mut [Lanes]> = y.panels_mut().collect();
    let finish = if before.is_some() { Finish::Add } else { Finish::Store };
    product(level, Matrix { weights, inputs, bias }, &x, tokens, finish, &mut parts);
    values(&y)
}

#[test]
fn products_of_odd_shapes() {
    for rows in [1, 2, 3, 5, 6, 7, 11, 12, 13, 26] {
        for inputs in [1, 2, 15, 16, 17, 70] {
            for tokens in [1, 7, 8, 9, 16, 17, 31, 33, 47, 49, 65, 73, 120] {
                let (weights, x) = (noise(rows * inputs, 1), noise(tokens * inputs, 2));
                let (bias, before) = (noise(rows, 3), noise(tokens * rows, 4));
                let panelled = panels(&x, tokens, inputs);
                for (bias, before) in
                    [(Some(bias.as_slice()), None), (None, None), (Some(bias.as_slice()), Some(&*before))]
                {
                    on_levels(
                        |level| multiplied(level, &weights, inputs, bias, &panelled, before),
                        |level, y| {
                            for (index, y) in y.iter().enumerate() {
                                let (token, row) = (index / rows, index % rows);
                                let sum: f64 = (0..inputs)
                                    .map(|input| {
                                        f64::from(weights[row * inputs + input])
                                            * f64::from(x[token * inputs + input])
                                    })
                                    .sum();
                                let expected = sum
                                    + bias.map_or(0.0, |bias| f64::from(bias[row]))
                                    + before.map_or(0.0, |before| f64::from(before[index]));
                                let off = (f64::from(*y) - expected).abs();
                                assert!(
                                    off < 1e-5,
                                    "{level:?} {rows}×{inputs}, {tokens} tokens: off by {off}"
                                );
                            }
                        },
                    );
                }
            }
        }
    }
}

/// More panels than run together, and a row a cache set.
#[test]
fn a_product_has_the_same_bits_in_any_company_and_any_split() {
    let (rows, inputs, tokens) = (20, 1024, 300);
    let (weights, x) = (noise(rows * inputs, 5), noise(tokens * inputs, 6));
    let level = Level::detect();
    let whole = multiplied(level, &weights, inputs, None, &panels(&x, tokens, inputs), None);
    for token in (0..tokens).step_by(37) {
        let alone = panels(&x[token * inputs..(token + 1) * inputs], 1, inputs);
        for split in [0, 1, 6, 13] {
            let (first, second) = weights.split_at(split * inputs);
            let mut y = if split > 0 { multiplied(level, first, inputs, None, &alone, None) } else { vec![] };
            y.extend(multiplied(level, second, inputs, None, &alone, None));
            assert_eq!(y, whole[token * rows..(token + 1) * rows], "token {token}, split at {split}");
        }
    }
}

#[test]
fn what_is_no_number_stays_with_its_token() {
    let (rows, inputs, tokens) = (7, 9, 20);
    let mut x = noise(tokens * inputs, 7);
    x[3 * inputs + 4] = f32::NAN;
    let weights = noise(rows * inputs, 8);
    for level in Level::available() {
        let mut y = panels(
            &multiplied(level, &weights, inputs, None, &panels(&x, tokens, inputs), None),
            tokens,
            rows,
        );
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu, Activation::Relu] {
            y.panels_mut().for_each(|panel| activate(level, activation, panel));
            for panel in y.panels_mut() {
                layer_norm(level, &[1.0; 7], &[0.0; 7], 1e-5, panel, None);
            }
            for (index, value) in values(&y).into_iter().enumerate() {
                assert_eq!(value.is_nan(), index / rows == 3, "{level:?} {activation:?}");
            }
        }
    }
}

/// `erfc(x)` for `x ≥ 0`: a series where that converges, else a continued fraction.
fn erfc(x: f64) -> f64 {
    if x < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let fraction = (1..100).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
    (-x * x).exp() / fraction * std::f64::consts::FRAC_2_SQRT_PI / 2.0
}

#[test]
fn non_linearities() {
    let exact = |activation, x: f64| match activation {
        Activation::Gelu => {
            let upper = erfc(x.abs() / std::f64::consts::SQRT_2);
            0.5 * x * if x < 0.0 { upper } else { 2.0 - upper }
        }
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
        Activation::Relu => x.max(0.0),
    };
    let x: Vec<f32> =
        (-4000..=4000).map(|step| step as f32 / 333.0).chain([1e-20, -1e-20, 90.0, -90.0]).collect();
    for activation in [Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu, Activation::Relu] {
        on_levels(
            |level| {
                let mut y = panels(&x, x.len(), 1);
                y.panels_mut().for_each(|panel| activate(level, activation, panel));
                values(&y)
            },
            |level, y| {
                for (x, y) in x.iter().zip(y) {
                    let expected = exact(activation, f64::from(*x));
                    let off = (f64::from(*y) - expected).abs();
                    let bound = 3e-7 * expected.abs() + 2e-7 * f64::from(x.abs().min(1.0));
                    assert!(off <= bound, "{level:?} {activation:?} of {x}: {y}, expected {expected}");
                }
            },
        );
    }
}

/// Within a product or after it.
#[test]
fn a_product_and_its_non_linearity() {
    let (rows, inputs, tokens) = (29, 40, 70);
    let (weights, x) = (noise(rows * inputs, 15), noise(tokens * inputs, 16));
    let x = panels(&x, tokens, inputs);
    for level in Level::available() {
        let mut after = panels(&multiplied(level, &weights, inputs, None, &x, None), tokens, rows);
        after.panels_mut().for_each(|panel| activate(level, Activation::Gelu, panel));
        let mut within = panels(&vec![0.0; tokens * rows], tokens, rows);
        let x: Vec<&[Lanes]> = x.panels().collect();
        let matrix = Matrix { weights: &weights, inputs, bias: None };
        let mut parts: Vec<&mut [Lanes]> = within.panels_mut().collect();
        product(level, matrix, &x, tokens, Finish::Activate(Activation::Gelu), &mut parts);
        assert_eq!(values(&within), values(&after), "{level:?}");
    }
}

#[test]
fn layer_norms() {
    for features in [1, 2, 3, 4, 5, 31, 768] {
        let tokens = 19;
        let x: Vec<f32> = noise(tokens * features, 9).iter().map(|x| 3.0 * x + 5.0).collect();
        let (gain, bias) = (noise(features, 10), noise(features, 11));
        let in_place = |level| {
            let mut y = panels(&x, tokens, features);
            y.panels_mut().for_each(|panel| layer_norm(level, &gain, &bias, 1e-5, panel, None));
            values(&y)
        };
        on_levels(in_place, |level, y| {
            let mut from = panels(&x, tokens, features);
            let mut to = panels(&x, tokens, features);
            for (from, to) in from.panels_mut().zip(to.panels_mut()) {
                layer_norm(level, &gain, &bias, 1e-5, from, Some(to));
            }
            assert_eq!(values(&to), y, "{level:?}: in place or not");
            for (x, y) in x.chunks(features).zip(y.chunks(features)) {
                let count = features as f64;
                let mean = x.iter().copied().map(f64::from).sum::<f64>() / count;
                let variance = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
                for (index, (x, y)) in x.iter().zip(y).enumerate() {
                    let normed = (f64::from(*x) - mean) / (variance + 1e-5).sqrt();
                    let expected = normed * f64::from(gain[index]) + f64::from(bias[index]);
                    let off = (f64::from(*y) - expected).abs();
                    assert!(off < 2e-5, "{level:?} {features} features: off by {off}");
                }
            }
        });
    }
}

/// Sequences that begin and end anywhere in a panel, and one question of a sequence alone.
#[test]
fn attention_of_sequences_that_lie_anywhere() {
    for head in [1, 5, 6, 16, 64] {
        let tokens = 90;
        let [query, key, value] =
            [12, 13, 14].map(|seed| noise(tokens * head, seed).iter().map(|x| 2.0 * x).collect::<Vec<_>>());
        for (asking, asked) in [
            (0..1, 0..1),
            (0..50, 0..50),
            (50..90, 50..90),
            (3..17, 3..17),
            (15..33, 15..33),
            (89..90, 7..61),
        ] {
            on_levels(
                |level| {
                    let sources = [&query, &key, &value].map(|values| panels(values, tokens, head));
                    let [queries, keys, values] =
                        sources.each_ref().map(|it| it.panels().collect::<Vec<_>>());
                    let mut mixed = panels(&vec![7.0; tokens * head], tokens, head);
                    let mut parts: Vec<&mut [Lanes]> = mixed.panels_mut().collect();
                    let mut scratch = AttentionScratch::default();
                    let (asking, asked) = (asking.clone(), asked.clone());
                    Attention { queries: &queries, asking, keys: &keys, values: &values, asked }.run(
                        level,
                        &mut scratch,
                        &mut parts,
                    );
                    self::values(&mixed)
                },
                |level, mixed| {
                    for (token, mixed) in mixed.chunks(head).enumerate() {
                        if !asking.contains(&token) {
                            assert!(
                                mixed.iter().all(|value| *value == 7.0),
                                "{level:?}: token {token} is not ours"
                            );
                            continue;
                        }
                        let at =
                            |values: &[f32], token: usize, feature| f64::from(values[token * head + feature]);
                        let weights: Vec<f64> = asked
                            .clone()
                            .map(|other| {
                                let product: f64 =
                                    (0..head).map(|f| at(&query, token, f) * at(&key, other, f)).sum();
                                (product / (head as f64).sqrt()).exp()
                            })
                            .collect();
                        for (feature, mixed) in mixed.iter().enumerate() {
                            let sum: f64 = asked
                                .clone()
                                .zip(&weights)
                                .map(|(other, weight)| weight * at(&value, other, feature))
                                .sum();
                            let expected = sum / weights.iter().sum::<f64>();
                            let off = (f64::from(*mixed) - expected).abs();
                            assert!(off < 1e-5, "{level:?} head {head} {asking:?} {asked:?}: off by {off}");
                        }
                    }
                },
            );
        }
    }
}

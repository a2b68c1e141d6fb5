//! Vectors in a byte a component: what the walk compares, a quarter of the memory traffic of f32.
//!
//! What all vectors have in common, their mean, is taken off first: CLIP's vectors lie off the origin, in
//! a few components by far, and steps wide enough for those would leave little of the others. A code is
//! the rest in whole steps of a length of its own for every row. Every row also knows how much the steps
//! left out, so that the score by codes bounds the true one.

use bytemuck::{Pod, Zeroable};

use crate::generation::vectors::VectorTable;
use crate::machine::kernels::Kernels;

/// The largest code; -128 is not used.
const CODE_MAX: f32 = 127.0;
/// Codes are filled up with zeros to a multiple of so many bytes, a cache line.
const ALIGN: usize = 64;
/// What rounding may add to a dot product of unit vectors, in f32 and with a thousand components.
const ROUNDING: f32 = 1e-5;
/// Rows whose distance by codes is below so many squares of what the codes leave out are compared by vector.
const NEAR: f32 = 2.0;

/// Bytes of a row's codes.
pub(crate) fn code_bytes(dimension: usize) -> usize {
    dimension.next_multiple_of(ALIGN)
}

/// What there is to a row besides its codes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CodeScale {
    /// Length of a step.
    pub(crate) step: f32,
    /// At least the length of what the steps left out.
    pub(crate) residual: f32,
}

/// The mean of vectors, component by component; zeros when there are none.
pub(crate) fn mean(vectors: &VectorTable, rows: impl Iterator<Item = u32>) -> Vec<f32> {
    let mut sums = vec![0.0f64; vectors.dimension()];
    let mut count = 0u32;
    for vector in rows.filter_map(|row| vectors.row(row)) {
        for (sum, x) in sums.iter_mut().zip(vector) {
            *sum += f64::from(*x);
        }
        count += 1;
    }
    let count = f64::from(count.max(1));
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// Writes the codes of a vector, zeros after them.
pub(crate) fn encode(vector: &[f32], mean: &[f32], codes: &mut [i8]) -> CodeScale {
    let rest = || vector.iter().zip(mean).map(|(x, m)| x - m);
    let largest = rest().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let step = largest / CODE_MAX;
    // A damaged vector gets codes that mean nothing, and no number that is none.
    let step = if step.is_normal() { step } else { f32::MIN_POSITIVE };
    let mut left_out = 0.0f64;
    codes.fill(0);
    for (code, x) in codes.iter_mut().zip(rest()) {
        let steps = (x / step).round_ties_even().clamp(-CODE_MAX, CODE_MAX);
        *code = steps as i8;
        left_out += f64::from(x - steps * step).powi(2);
    }
    let residual = left_out.sqrt() as f32;
    CodeScale { step, residual: if residual.is_finite() { residual } else { f32::MAX } }
}

/// A query in the form that rows of codes are compared with.
#[derive(Debug)]
pub(crate) struct QueryCodes {
    kernels: Kernels,
    codes: Vec<i16>,
    step: f32,
    /// The query's dot product with the mean.
    base: f32,
    /// Length of the query, and of what its own steps left out.
    length: f32,
    residual: f32,
}

impl QueryCodes {
    pub(crate) fn new(query: &[f32], mean: &[f32]) -> Self {
        let kernels = Kernels::best();
        // As fine as the sum of all products fits an i32.
        let most = i32::MAX as usize / (CODE_MAX as usize * query.len().max(1));
        let most = most.clamp(1, i16::MAX as usize) as f32;
        let largest = query.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let step = if (largest / most).is_normal() { largest / most } else { f32::MIN_POSITIVE };
        let mut left_out = 0.0f64;
        let mut codes = vec![0; code_bytes(query.len())];
        for (code, x) in codes.iter_mut().zip(query) {
            let steps = (x / step).round_ties_even().clamp(-most, most);
            *code = steps as i16;
            left_out += f64::from(x - steps * step).powi(2);
        }
        let length = query.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt() as f32;
        let residual = left_out.sqrt() as f32;
        Self { kernels, codes, step, base: kernels.dot(query, mean), length, residual }
    }

    pub(crate) fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// The dot product of query and row, nearly.
    #[inline]
    pub(crate) fn score(&self, row: &[i8], scale: CodeScale) -> f32 {
        self.base + self.kernels.dot_query(&self.codes, row) as f32 * (self.step * scale.step)
    }

    /// What the true dot product cannot be above, given the score by codes.
    #[inline]
    pub(crate) fn upper_bound(&self, score: f32, scale: CodeScale) -> f32 {
        // What is left of two unit vectors after taking the mean off one is no longer than 2.
        score + scale.residual * self.length + self.residual * 2.0 + ROUNDING
    }
}

/// The codes of many rows in memory, for building a graph over them.
///
/// Codes tell near-duplicates apart no better than they are: frames of one burst may all have the same. A
/// graph built over such ties links them only among themselves, so the vectors decide between those.
pub(crate) struct CodeTable<'a> {
    kernels: Kernels,
    vectors: &'a VectorTable,
    /// The row of every point.
    rows: &'a [u32],
    mean: Vec<f32>,
    code_bytes: usize,
    /// Per row its codes, then a [`Tail`], so that a distance waits for one place in memory a row.
    records: Vec<i8>,
}

/// What follows the codes of a row.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tail {
    step: f32,
    residual: f32,
    /// Squared length of what the codes stand for.
    square: f32,
    zero: [u32; 13],
}

const TAIL_BYTES: usize = size_of::<Tail>();

impl<'a> CodeTable<'a> {
    /// Encodes rows of a table, in the order given, without their mean.
    pub(crate) fn encode(vectors: &'a VectorTable, rows: &'a [u32], mean: Vec<f32>) -> Self {
        let kernels = Kernels::best();
        let code_bytes = code_bytes(vectors.dimension());
        let mut records = vec![0; rows.len() * (code_bytes + TAIL_BYTES)];
        for (row, record) in rows.iter().zip(records.chunks_exact_mut(code_bytes + TAIL_BYTES)) {
            let (codes, tail) = record.split_at_mut(code_bytes);
            let CodeScale { step, residual } = encode(vectors.row(*row).unwrap_or(&[]), &mean, codes);
            let square = kernels.dot_codes(codes, codes) as f32 * (step * step);
            tail.copy_from_slice(bytemuck::cast_slice(&[Tail { step, residual, square, zero: [0; 13] }]));
        }
        Self { kernels, vectors, rows, mean, code_bytes, records }
    }

    pub(crate) fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// What [`distance`](Self::distance) reads of a row, for asking for it ahead.
    #[inline]
    pub(crate) fn record_bytes(&self, i: usize) -> &[u8] {
        let stride = self.code_bytes + TAIL_BYTES;
        bytemuck::cast_slice(self.records.get(i * stride..(i + 1) * stride).unwrap_or(&[]))
    }

    #[inline]
    fn record(&self, i: usize) -> Option<(&[i8], Tail)> {
        let stride = self.code_bytes + TAIL_BYTES;
        let at = i.checked_mul(stride)?;
        let (codes, tail) =
            self.records.get(at..at.checked_add(stride)?)?.split_at_checked(self.code_bytes)?;
        Some((codes, bytemuck::pod_read_unaligned(bytemuck::cast_slice(tail))))
    }

    /// Codes and scale of the `i`th of the rows.
    pub(crate) fn get(&self, i: usize) -> Option<(&[i8], CodeScale)> {
        let (codes, Tail { step, residual, .. }) = self.record(i)?;
        Some((codes, CodeScale { step, residual }))
    }

    /// Half the squared distance of two rows, which of unit vectors is one minus their cosine. Never
    /// negative, never NaN.
    #[inline]
    pub(crate) fn distance(&self, a: usize, b: usize) -> f32 {
        let (Some((x, x_tail)), Some((y, y_tail))) = (self.record(a), self.record(b)) else {
            return f32::MAX;
        };
        let xy = self.kernels.dot_codes(x, y) as f32 * (x_tail.step * y_tail.step);
        let distance = (0.5 * (x_tail.square + y_tail.square) - xy).max(0.0);
        let left_out = x_tail.residual + y_tail.residual;
        if distance < NEAR * left_out * left_out { self.exact_distance(a, b) } else { distance }
    }

    /// The same by the vectors.
    #[cold]
    fn exact_distance(&self, a: usize, b: usize) -> f32 {
        let vector = |i: usize| self.rows.get(i).and_then(|&row| self.vectors.row(row));
        let (Some(x), Some(y)) = (vector(a), vector(b)) else { return f32::MAX };
        let square: f32 = x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum();
        if square.is_finite() { 0.5 * square } else { f32::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(values: &[f32]) -> Vec<f32> {
        let length = values.iter().map(|x| x * x).sum::<f32>().sqrt();
        values.iter().map(|x| x / length).collect()
    }

    proptest! {
        #[test]
        fn scores_by_codes_are_near_and_bounded(
            values in prop::collection::vec((-1f32..1.0, -1f32..1.0, -0.3f32..0.3), 1..200),
            outlier in 0f32..20.0,
        ) {
            let mut row: Vec<f32> = values.iter().map(|v| v.0).collect();
            let mut query: Vec<f32> = values.iter().map(|v| v.1).collect();
            // As CLIP has: one component far larger than the others, in every vector.
            row[0] += outlier + 0.5;
            query[0] += outlier + 0.5;
            let (row, query) = (unit(&row), unit(&query));
            let mean: Vec<f32> = values.iter().zip(&row).map(|(v, x)| x + v.2 / (values.len() as f32).sqrt()).collect();
            let mut codes = vec![1; code_bytes(row.len())];
            let scale = encode(&row, &mean, &mut codes);
            prop_assert!(codes[row.len()..].iter().all(|&c| c == 0));
            let query_codes = QueryCodes::new(&query, &mean);
            let score = query_codes.score(&codes, scale);
            let exact: f64 = row.iter().zip(&query).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            prop_assert!((f64::from(score) - exact).abs() < 0.02, "{score} {exact}");
            prop_assert!(exact <= f64::from(query_codes.upper_bound(score, scale)));
            prop_assert!(Kernels::best().dot(&row, &query) <= query_codes.upper_bound(score, scale));
        }

        #[test]
        fn whatever_a_damaged_vector_is_its_codes_are_numbers(
            bits in prop::collection::vec(any::<u32>(), 1..80),
        ) {
            let vector: Vec<f32> = bits.iter().map(|&b| f32::from_bits(b)).collect();
            let mut codes = vec![0; code_bytes(vector.len())];
            let scale = encode(&vector, &vec![0.0; vector.len()], &mut codes);
            prop_assert!(!scale.step.is_nan() && !scale.residual.is_nan());
            prop_assert!(codes.iter().all(|&c| c > i8::MIN));
        }
    }
}

//! Dot products, by the widest instructions that the processor has.
//!
//! Every kernel gives the same bits on every processor. Integers are exact anyway; floating-point sums
//! run in [`LANES`] lanes, are halved onto each other in one order, and are never fused with the product
//! before them: since vectors come from memory, the second instruction costs nothing.

use std::sync::LazyLock;

/// Partial sums of a floating-point dot product: four AVX-512 registers, eight of AVX2, sixteen of NEON.
pub(super) const LANES: usize = 64;

/// The kernels of one instruction set. There is none of a set that this processor lacks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernels {
    /// Which instruction set, for tests and benchmarks.
    pub(crate) name: &'static str,
    dot: unsafe fn(&[f32], &[f32]) -> f32,
    dot_codes: unsafe fn(&[i8], &[i8]) -> i32,
    dot_query: unsafe fn(&[i16], &[i8]) -> i32,
}

const SCALAR: Kernels = Kernels { name: "scalar", dot, dot_codes, dot_query };

static AVAILABLE: LazyLock<Vec<Kernels>> = LazyLock::new(|| {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        use super::x86_64::{avx2, avx512};
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            let (dot, dot_codes, dot_query) = (avx512::dot, avx512::dot_codes, avx512::dot_query);
            found.push(Kernels { name: "avx512", dot, dot_codes, dot_query });
        }
        if is_x86_feature_detected!("avx2") {
            let (dot, dot_codes, dot_query) = (avx2::dot, avx2::dot_codes, avx2::dot_query);
            found.push(Kernels { name: "avx2", dot, dot_codes, dot_query });
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        use super::aarch64::{dot, dot_codes, dot_query};
        found.push(Kernels { name: "neon", dot, dot_codes, dot_query });
    }
    found.push(SCALAR);
    found
});

static BEST: LazyLock<Kernels> = LazyLock::new(|| {
    let best = Kernels::available().first().copied().unwrap_or(SCALAR);
    tracing::debug!("dot products by {}", best.name);
    best
});

impl Kernels {
    /// The widest of this processor.
    pub(crate) fn best() -> Self {
        *BEST
    }

    /// All of this processor, the widest first and the scalar ones last.
    pub(crate) fn available() -> &'static [Self] {
        &AVAILABLE
    }

    /// Dot product of two vectors; of the longer one, only as much as the shorter has.
    #[inline]
    pub(crate) fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        let len = a.len().min(b.len());
        // SAFETY: a value of this type is only made for instructions that the processor has.
        unsafe { (self.dot)(a.get(..len).unwrap_or(a), b.get(..len).unwrap_or(b)) }
    }

    /// Dot product of two rows of codes, which must fit an `i32`.
    #[inline]
    pub(crate) fn dot_codes(&self, a: &[i8], b: &[i8]) -> i32 {
        let len = a.len().min(b.len());
        // SAFETY: as above.
        unsafe { (self.dot_codes)(a.get(..len).unwrap_or(a), b.get(..len).unwrap_or(b)) }
    }

    /// Dot product of a query's codes and those of a row, which must fit an `i32`.
    #[inline]
    pub(crate) fn dot_query(&self, query: &[i16], row: &[i8]) -> i32 {
        let len = query.len().min(row.len());
        // SAFETY: as above.
        unsafe { (self.dot_query)(query.get(..len).unwrap_or(query), row.get(..len).unwrap_or(row)) }
    }
}

/// Asks for the cache lines of a slice that will be read soon.
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// Sums the lanes: the upper half onto the lower, and again.
pub(super) fn halve(mut sums: [f32; LANES]) -> f32 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        let (low, high) = sums.split_at_mut(width);
        for (sum, other) in low.iter_mut().zip(high) {
            *sum += *other;
        }
    }
    let [sum, ..] = sums;
    sum
}

/// The last elements of a vector, filled up with zeros.
#[inline]
pub(super) fn padded<T: Copy + Default>(rest: &[T]) -> [T; LANES] {
    let mut block = [T::default(); LANES];
    for (to, from) in block.iter_mut().zip(rest) {
        *to = *from;
    }
    block
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let mut add = |a: &[f32; LANES], b: &[f32; LANES]| {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    };
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks(), b.as_chunks());
    a.iter().zip(b).for_each(|(a, b)| add(a, b));
    if !a_rest.is_empty() {
        add(&padded(a_rest), &padded(b_rest));
    }
    halve(sums)
}

fn dot_codes(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).fold(0, i32::wrapping_add)
}

fn dot_query(query: &[i16], row: &[i8]) -> i32 {
    query.iter().zip(row).map(|(&a, &b)| i32::from(a) * i32::from(b)).fold(0, i32::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn floats() -> impl Strategy<Value = Vec<(f32, f32)>> {
        let float = || prop_oneof![-1f32..1.0, Just(0.0), Just(-0.0), Just(1e-40), -1e30f32..1e30];
        prop::collection::vec((float(), float()), 0..300)
    }

    proptest! {
        #[test]
        fn every_kernel_gives_the_bits_of_the_scalar_one(pairs in floats()) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            for kernels in Kernels::available() {
                let (wide, scalar) = (kernels.dot(&a, &b), SCALAR.dot(&a, &b));
                prop_assert_eq!(wide.to_bits(), scalar.to_bits(), "{}: {} {}", kernels.name, wide, scalar);
            }
        }

        #[test]
        fn integers_are_exact(
            a in prop::collection::vec(any::<i8>(), 0..700),
            b in prop::collection::vec(any::<i8>(), 0..700),
            query in prop::collection::vec(any::<i16>(), 0..400),
        ) {
            let exact = |a: &mut dyn Iterator<Item = i64>, b: &[i8]| {
                a.zip(b).map(|(a, &b)| a * i64::from(b)).sum::<i64>()
            };
            for kernels in Kernels::available() {
                let codes = exact(&mut a.iter().map(|&a| i64::from(a)), &b);
                prop_assert_eq!(i64::from(kernels.dot_codes(&a, &b)), codes, "{}", kernels.name);
                let codes = exact(&mut query.iter().map(|&a| i64::from(a)), &b);
                prop_assert_eq!(i64::from(kernels.dot_query(&query, &b)), codes, "{}", kernels.name);
            }
        }

        #[test]
        fn lanes_change_nothing(pairs in prop::collection::vec((-1f32..1.0, -1f32..1.0), 0..200)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let plain: f64 = pairs.iter().map(|&(x, y)| f64::from(x) * f64::from(y)).sum();
            prop_assert!((f64::from(Kernels::best().dot(&a, &b)) - plain).abs() < 1e-4);
        }
    }
}

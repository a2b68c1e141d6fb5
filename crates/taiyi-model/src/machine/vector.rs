//! The few operations on vectors that products and sums over rows are made of.
//!
//! Written out, since a compiler that is left to find the vectors by itself may take one lane of several rows together,
//! which is many times slower.

use super::Lanes;

/// Some of a row's lanes, the first ones, in registers.
///
/// What is not [`Plain`] may only be used in a [`Job`](super::level::Job) that runs on a level which has its
/// instructions; only such levels name it.
pub(super) trait Vector: Copy {
    /// Every lane the same.
    fn splat(value: f32) -> Self;
    fn load(row: &Lanes) -> Self;
    fn store(self, row: &mut Lanes);
    fn add(self, other: Self) -> Self;
    fn multiply(self, other: Self) -> Self;
    /// `self·factor + sum`
    fn multiply_add(self, factor: Self, sum: Self) -> Self;
}

/// Asks for the line of memory at `place`, if there is one, to be brought near. Changes nothing.
#[inline(always)]
pub(super) fn prefetch(place: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction is in every x86-64 processor, and what cannot be read is not fetched.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Whether [`Plain`] rounds a product and a sum once.
pub(super) const PLAIN_IS_FUSED: bool = cfg!(target_arch = "aarch64");

/// What the compiler makes of it.
#[derive(Clone, Copy)]
pub(super) struct Plain<const N: usize>([f32; N]);

impl<const N: usize> Vector for Plain<N> {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; N])
    }

    #[inline(always)]
    fn load(row: &Lanes) -> Self {
        Self(std::array::from_fn(|l| row.0[l]))
    }

    #[inline(always)]
    fn store(self, row: &mut Lanes) {
        row.0[..N].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|l| self.0[l] + other.0[l]))
    }

    #[inline(always)]
    fn multiply(self, other: Self) -> Self {
        Self(std::array::from_fn(|l| self.0[l] * other.0[l]))
    }

    #[inline(always)]
    fn multiply_add(self, factor: Self, sum: Self) -> Self {
        Self(std::array::from_fn(|l| {
            if PLAIN_IS_FUSED {
                self.0[l].mul_add(factor.0[l], sum.0[l])
            } else {
                self.0[l] * factor.0[l] + sum.0[l]
            }
        }))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Pair, Ymm, Zmm};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_mul_ps, _mm256_set1_ps,
        _mm256_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_set1_ps,
        _mm512_storeu_ps,
    };

    use super::Vector;
    use crate::machine::Lanes;

    /// 8 lanes.
    #[derive(Clone, Copy)]
    pub(in crate::machine) struct Ymm(__m256);

    // SAFETY, of every block: the instructions are there, as this type is named by levels that have them alone; and a
    // row has 16 values to read or write.
    impl Vector for Ymm {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        fn load(row: &Lanes) -> Self {
            Self(unsafe { _mm256_loadu_ps(row.0.as_ptr()) })
        }

        #[inline(always)]
        fn store(self, row: &mut Lanes) {
            unsafe { _mm256_storeu_ps(row.0.as_mut_ptr(), self.0) };
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn multiply(self, other: Self) -> Self {
            Self(unsafe { _mm256_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn multiply_add(self, factor: Self, sum: Self) -> Self {
            Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, sum.0) })
        }
    }

    /// 16 lanes.
    #[derive(Clone, Copy)]
    pub(in crate::machine) struct Zmm(__m512);

    // SAFETY, of every block: as above.
    impl Vector for Zmm {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        fn load(row: &Lanes) -> Self {
            Self(unsafe { _mm512_loadu_ps(row.0.as_ptr()) })
        }

        #[inline(always)]
        fn store(self, row: &mut Lanes) {
            unsafe { _mm512_storeu_ps(row.0.as_mut_ptr(), self.0) };
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn multiply(self, other: Self) -> Self {
            Self(unsafe { _mm512_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn multiply_add(self, factor: Self, sum: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, sum.0) })
        }
    }

    /// 16 lanes in two halves.
    #[derive(Clone, Copy)]
    pub(in crate::machine) struct Pair(__m256, __m256);

    // SAFETY, of every block: as above.
    impl Vector for Pair {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            let half = unsafe { _mm256_set1_ps(value) };
            Self(half, half)
        }

        #[inline(always)]
        fn load(row: &Lanes) -> Self {
            unsafe { Self(_mm256_loadu_ps(row.0.as_ptr()), _mm256_loadu_ps(row.0[8..].as_ptr())) }
        }

        #[inline(always)]
        fn store(self, row: &mut Lanes) {
            unsafe {
                _mm256_storeu_ps(row.0.as_mut_ptr(), self.0);
                _mm256_storeu_ps(row.0[8..].as_mut_ptr(), self.1);
            }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn multiply(self, other: Self) -> Self {
            unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn multiply_add(self, factor: Self, sum: Self) -> Self {
            unsafe {
                Self(_mm256_fmadd_ps(self.0, factor.0, sum.0), _mm256_fmadd_ps(self.1, factor.1, sum.1))
            }
        }
    }
}

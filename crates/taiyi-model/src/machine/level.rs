//! Which vector instructions the processor has, and running code that is compiled for them.

use super::LANES;
use super::vector::{PLAIN_IS_FUSED, Plain, Vector};
#[cfg(target_arch = "x86_64")]
use super::vector::{Pair, Ymm, Zmm};

/// A set of vector instructions that this processor was asked for and has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// What code may use where a [`Job`] is compiled.
pub(super) trait Arch {
    /// Whether a product and a sum are one instruction, rounded once. All such levels give the same bits.
    const FUSED: bool;
    /// Values that all vector registers hold together.
    const REGISTER_VALUES: usize;
    /// One feature of a panel's tokens.
    type Whole: Vector;
    /// One feature of the first half of a panel's tokens.
    type Half: Vector;
}

/// Whatever every processor of the architecture has: SSE2, NEON, or nothing.
struct Baseline;

impl Arch for Baseline {
    const FUSED: bool = PLAIN_IS_FUSED;
    const REGISTER_VALUES: usize = if cfg!(target_arch = "aarch64") { 32 * 4 } else { 16 * 4 };
    type Whole = Plain<LANES>;
    type Half = Plain<{ LANES / 2 }>;
}

#[cfg(target_arch = "x86_64")]
struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Arch for Avx2 {
    const FUSED: bool = true;
    const REGISTER_VALUES: usize = 16 * 8;
    type Whole = Pair;
    type Half = Ymm;
}

#[cfg(target_arch = "x86_64")]
struct Avx512;

#[cfg(target_arch = "x86_64")]
impl Arch for Avx512 {
    const FUSED: bool = true;
    const REGISTER_VALUES: usize = 32 * 16;
    type Whole = Zmm;
    type Half = Ymm;
}

/// Code that is compiled once for every level. `run` must be `#[inline(always)]`, and so must all that it calls
/// with values in vectors; else that is compiled for the baseline.
pub(super) trait Job {
    fn run<A: Arch>(self);
}

impl Level {
    /// The most that this processor has.
    pub(crate) fn detect() -> Self {
        Self::available().pop().unwrap_or(Self(Kind::Baseline))
    }

    /// Every level that this processor can run, the best one last.
    pub(crate) fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut))]
        let mut levels = vec![Self(Kind::Baseline)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            levels.push(Self(Kind::Avx2));
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                levels.push(Self(Kind::Avx512));
            }
        }
        levels
    }

    pub(super) fn run(self, job: impl Job) {
        match self.0 {
            Kind::Baseline => job.run::<Baseline>(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available`, which alone makes this level, asked for AVX2 and FMA.
            Kind::Avx2 => unsafe { run_avx2(job) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available`, which alone makes this level, asked for these features.
            Kind::Avx512 => unsafe { run_avx512(job) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(job: impl Job) {
    job.run::<Avx2>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl")]
fn run_avx512(job: impl Job) {
    job.run::<Avx512>();
}

//! Which instructions there are for 8-bit products.

/// A way to multiply, by the instructions that it takes. Made only where the processor was asked and has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level(Kind);

/// The ways that there is code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Plain Rust, right on every machine, and the measure of all others.
    Scalar,
    /// 256 bits, widened to 16-bit numbers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Dot products of four, 256 bits.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// Dot products of four, 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// 128 bits, widened to 16-bit products.
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    Neon,
    /// Dot products of four, 128 bits.
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    NeonDot,
}

impl Level {
    /// What every machine can do.
    pub(super) const SCALAR: Self = Self(Kind::Scalar);

    /// The best that this processor has.
    pub(crate) fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::SCALAR)
    }

    /// All that this processor has, the best one last.
    pub(crate) fn available() -> Vec<Self> {
        let mut kinds = vec![Kind::Scalar];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            kinds.push(Kind::Avx2);
            if is_x86_feature_detected!("avxvnni") {
                kinds.push(Kind::AvxVnni);
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
            {
                kinds.push(Kind::Avx512Vnni);
            }
        }
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        if std::arch::is_aarch64_feature_detected!("neon") {
            kinds.push(Kind::Neon);
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                kinds.push(Kind::NeonDot);
            }
        }
        kinds.into_iter().map(Self).collect()
    }

    pub(super) fn kind(self) -> Kind {
        self.0
    }
}

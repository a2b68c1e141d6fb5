//! The product of a block and a panel with NEON: widened to 16 bits, or with the dot product of four where there
//! is one.
//!
//! Both take signed numbers, so 128 comes off the activations (one bit is flipped) and `128 · Σ w` is added again
//! at the end.

#![cfg(all(target_arch = "aarch64", target_endian = "little"))]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::LANES;
use super::{BLOCK, GROUP, TokenLine, WeightLine};

/// Sums that a register holds.
const WIDTH: usize = 4;

macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, $features:literal, $channels:literal, $step:ident, $finish:ident, $zero:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The processor has the features.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(
            w: &[WeightLine],
            x: &[TokenLine],
            w_sums: &[i32; BLOCK],
            sums: &mut [[i32; LANES]; BLOCK],
        ) {
            let parts = sums.as_chunks_mut::<$channels>().0.iter_mut().zip(w_sums.as_chunks::<$channels>().0);
            for (part, (sums, w_sums)) in parts.enumerate() {
                let mut acc = [[$zero; LANES / WIDTH]; $channels];
                for (w, x) in w.iter().zip(x) {
                    // SAFETY: a line has 64 bytes of numbers.
                    unsafe {
                        let x: [int8x16_t; LANES / WIDTH] = std::array::from_fn(|quarter| {
                            let x = vld1q_u32(x.0.as_ptr().add(quarter * WIDTH));
                            vreinterpretq_s8_u32(veorq_u32(x, vdupq_n_u32(0x8080_8080)))
                        });
                        let w = w.as_ptr().add(part * $channels * GROUP);
                        for (channel, acc) in acc.iter_mut().enumerate() {
                            let w = w.add(channel * GROUP).cast::<u32>().read_unaligned();
                            let w = vreinterpretq_s8_u32(vdupq_n_u32(w));
                            for (acc, x) in acc.iter_mut().zip(x) {
                                *acc = $step(*acc, x, w);
                            }
                        }
                    }
                }
                for ((acc, sums), w_sum) in acc.iter().zip(sums).zip(w_sums) {
                    let offset = vdupq_n_s32(128 * w_sum);
                    for (acc, sums) in acc.iter().zip(sums.as_chunks_mut::<WIDTH>().0) {
                        // SAFETY: four numbers of 32 bits.
                        unsafe { vst1q_s32(sums.as_mut_ptr(), vaddq_s32($finish(*acc), offset)) };
                    }
                }
            }
        }
    };
}

kernel!(
    /// Sums of one panel on any 64-bit ARM.
    neon, "neon", 2, widened, pairs, (vdupq_n_s32(0), vdupq_n_s32(0))
);
kernel!(
    /// Sums of one panel where there is `sdot`.
    neon_dot, "neon,dotprod", 4, dotted, whole, vdupq_n_s32(0)
);

/// Products of 16 bits, of which two neighbours are added to the 32 bits of their token.
#[target_feature(enable = "neon")]
#[inline]
fn widened((low, high): (int32x4_t, int32x4_t), x: int8x16_t, w: int8x16_t) -> (int32x4_t, int32x4_t) {
    let (first, second) = (vmull_s8(vget_low_s8(x), vget_low_s8(w)), vmull_high_s8(x, w));
    (vpadalq_s16(low, first), vpadalq_s16(high, second))
}

#[target_feature(enable = "neon")]
#[inline]
fn pairs((low, high): (int32x4_t, int32x4_t)) -> int32x4_t {
    vpaddq_s32(low, high)
}

/// `sdot`, whose intrinsic is not stable.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dotted(mut acc: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    // SAFETY: registers in, a register out.
    unsafe {
        asm!(
            "sdot {acc:v}.4s, {x:v}.16b, {w:v}.16b",
            acc = inout(vreg) acc,
            x = in(vreg) x,
            w = in(vreg) w,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    acc
}

#[target_feature(enable = "neon")]
#[inline]
fn whole(acc: int32x4_t) -> int32x4_t {
    acc
}

//! The kernels for 64-bit ARM: NEON, with two instructions a product as everywhere.

use core::arch::aarch64::{
    float32x4_t, int8x8_t, int16x8_t, vaddq_f32, vaddvq_s32, vdupq_n_f32, vdupq_n_s32, vget_high_s16,
    vget_low_s16, vld1_s8, vld1q_f32, vld1q_s16, vmlal_s16, vmovl_s8, vmull_s8, vmulq_f32, vpadalq_s16,
    vst1q_f32,
};

use crate::machine::kernels::{LANES, halve, padded};

#[inline]
#[target_feature(enable = "neon")]
fn floats(part: &[f32; 4]) -> float32x4_t {
    // SAFETY: 4 floats are 16 bytes.
    unsafe { vld1q_f32(part.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn codes(part: &[i8; 8]) -> int8x8_t {
    // SAFETY: 8 bytes.
    unsafe { vld1_s8(part.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn query_codes(part: &[i16; 8]) -> int16x8_t {
    // SAFETY: 8 numbers of two bytes are 16 bytes.
    unsafe { vld1q_s16(part.as_ptr()) }
}

#[target_feature(enable = "neon")]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [vdupq_n_f32(0.0); LANES / 4];
    let mut add = |a: &[f32; LANES], b: &[f32; LANES]| {
        let (a, b) = (a.as_chunks().0, b.as_chunks().0);
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = vaddq_f32(*sum, vmulq_f32(floats(a), floats(b)));
        }
    };
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks(), b.as_chunks());
    for (a, b) in a.iter().zip(b) {
        add(a, b);
    }
    if !a_rest.is_empty() {
        add(&padded(a_rest), &padded(b_rest));
    }
    let mut lanes = [0.0; LANES];
    for (sum, part) in sums.iter().zip(lanes.as_chunks_mut::<4>().0) {
        // SAFETY: 4 floats are 16 bytes.
        unsafe { vst1q_f32(part.as_mut_ptr(), *sum) };
    }
    halve(lanes)
}

#[target_feature(enable = "neon")]
pub(super) fn dot_codes(a: &[i8], b: &[i8]) -> i32 {
    let mut sums = [vdupq_n_s32(0); 4];
    let mut add = |a: &[i8; LANES], b: &[i8; LANES]| {
        let (a, b) = (a.as_chunks().0, b.as_chunks().0);
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            let products = vmull_s8(codes(a), codes(b));
            if let Some(sum) = sums.get_mut(i % 4) {
                *sum = vpadalq_s16(*sum, products);
            }
        }
    };
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks(), b.as_chunks());
    for (a, b) in a.iter().zip(b) {
        add(a, b);
    }
    if !a_rest.is_empty() {
        add(&padded(a_rest), &padded(b_rest));
    }
    sums.iter().fold(0i32, |all, sum| all.wrapping_add(vaddvq_s32(*sum)))
}

#[target_feature(enable = "neon")]
pub(super) fn dot_query(query: &[i16], row: &[i8]) -> i32 {
    let mut sums = [vdupq_n_s32(0); 2];
    let mut add = |query: &[i16; LANES], row: &[i8; LANES]| {
        let (query, row) = (query.as_chunks().0, row.as_chunks().0);
        let [low, high] = &mut sums;
        for (q, r) in query.iter().zip(row) {
            let (q, r) = (query_codes(q), vmovl_s8(codes(r)));
            *low = vmlal_s16(*low, vget_low_s16(q), vget_low_s16(r));
            *high = vmlal_s16(*high, vget_high_s16(q), vget_high_s16(r));
        }
    };
    let ((query, q_rest), (row, r_rest)) = (query.as_chunks(), row.as_chunks());
    for (q, r) in query.iter().zip(row) {
        add(q, r);
    }
    if !q_rest.is_empty() {
        add(&padded(q_rest), &padded(r_rest));
    }
    sums.iter().fold(0i32, |all, sum| all.wrapping_add(vaddvq_s32(*sum)))
}

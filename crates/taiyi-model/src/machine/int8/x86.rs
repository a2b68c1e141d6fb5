//! The product of a block and some panels with AVX2, AVX-VNNI and AVX-512 VNNI.

#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::*;

use super::super::{LANES, Lanes};
use super::product::Store;
use super::{BLOCK, GROUP, MAX_PANELS, Sums, TokenLine, WeightLine};

/// Lines that the weights are asked for ahead of their use. Processors look ahead too, but stop at the end of
/// each page, and a layer is used only once when there is one prompt.
const AHEAD: usize = 24;

/// Sums of every panel of `x`, at most [`MAX_PANELS`], which have a line for each of `w`.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn avx512_vnni(w: &[WeightLine], x: &[&[TokenLine]], sums: &mut Sums) {
    match *x {
        [a] => avx512_part::<1, 16, 0>(w, [a], sums),
        [a, b] => {
            avx512_part::<2, 8, 0>(w, [a, b], sums);
            avx512_part::<2, 8, 8>(w, [a, b], sums);
        }
        [a, b, c] => {
            avx512_part::<3, 8, 0>(w, [a, b, c], sums);
            avx512_part::<3, 8, 8>(w, [a, b, c], sums);
        }
        _ => debug_assert!(x.is_empty(), "at most {MAX_PANELS} panels"),
    }
}

/// Sums of the first half of one panel's tokens, in half the time; those of the others are zero.
///
/// # Safety
/// As [`avx512_vnni`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn avx512_vnni_half(w: &[WeightLine], x: &[TokenLine], sums: &mut [[i32; LANES]; BLOCK]) {
    let mut acc = [_mm256_setzero_si256(); BLOCK];
    for (w, x) in w.iter().zip(x) {
        // SAFETY: a line has 64 bytes; a prefetch may point anywhere.
        unsafe {
            let w = w.as_ptr();
            _mm_prefetch::<_MM_HINT_T0>(w.wrapping_add(AHEAD * BLOCK * GROUP));
            let x = _mm256_load_si256(x.0.as_ptr().cast());
            for (channel, acc) in acc.iter_mut().enumerate() {
                let w = w.add(channel * GROUP).cast::<i32>().read_unaligned();
                *acc = _mm256_dpbusd_epi32(*acc, x, _mm256_set1_epi32(w));
            }
        }
    }
    for (acc, sums) in acc.iter().zip(sums) {
        *sums = [0; LANES];
        // SAFETY: eight numbers of 32 bits.
        unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), *acc) };
    }
}

/// Sums of `CHANNELS` channels from `FIRST` on: as many as registers hold.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn avx512_part<const PANELS: usize, const CHANNELS: usize, const FIRST: usize>(
    w: &[WeightLine],
    x: [&[TokenLine]; PANELS],
    sums: &mut Sums,
) {
    let lines = x.iter().fold(w.len(), |least, x| least.min(x.len()));
    let mut acc = [[_mm512_setzero_si512(); PANELS]; CHANNELS];
    for at in 0..lines {
        // SAFETY: every slice has so many lines; a prefetch may point anywhere.
        unsafe {
            let w = w.as_ptr().add(at);
            if FIRST == 0 {
                _mm_prefetch::<_MM_HINT_T0>(w.wrapping_add(AHEAD).cast());
            }
            let mut line = [_mm512_setzero_si512(); PANELS];
            for (line, x) in line.iter_mut().zip(x) {
                *line = _mm512_load_si512(x.as_ptr().add(at).cast());
            }
            let w: *const i8 = w.cast();
            for (channel, acc) in acc.iter_mut().enumerate() {
                let w = w.add((FIRST + channel) * GROUP).cast::<i32>().read_unaligned();
                let w = _mm512_set1_epi32(w);
                for (acc, line) in acc.iter_mut().zip(line) {
                    *acc = _mm512_dpbusd_epi32(*acc, line, w);
                }
            }
        }
    }
    for (channel, acc) in acc.iter().enumerate() {
        for (acc, sums) in acc.iter().zip(sums.iter_mut()) {
            let sums = &mut sums[FIRST + channel];
            // SAFETY: 16 numbers of 32 bits.
            unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), *acc) };
        }
    }
}

/// From sums to numbers, as in plain Rust; there, the compiler makes gathers and scatters of it.
///
/// # Safety
/// As [`avx512_vnni`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn avx512_store(store: &Store<'_>, y: &mut [Lanes]) {
    let of_channels = store.w_scales.iter().zip(store.w_sums).zip(store.biases);
    // SAFETY: all are arrays of 16 numbers of 32 bits.
    unsafe {
        let x_scales = _mm512_loadu_ps(store.steps.scales.as_ptr());
        let zeros = _mm512_loadu_si512(store.steps.zeros.as_ptr().cast());
        for ((sums, y), ((scale, w_sum), bias)) in store.sums.iter().zip(y).zip(of_channels) {
            let sums = _mm512_loadu_si512(sums.as_ptr().cast());
            let sums = _mm512_sub_epi32(sums, _mm512_mullo_epi32(zeros, _mm512_set1_epi32(*w_sum)));
            let scales = _mm512_mul_ps(_mm512_set1_ps(*scale), x_scales);
            let mut value =
                _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), scales), _mm512_set1_ps(*bias));
            let y = y.0.as_mut_ptr();
            if store.add {
                value = _mm512_add_ps(_mm512_loadu_ps(y), value);
            }
            _mm512_storeu_ps(y, value);
        }
    }
}

/// Sums of one panel.
///
/// # Safety
/// The processor has AVX-VNNI.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) unsafe fn avx_vnni(w: &[WeightLine], x: &[TokenLine], sums: &mut [[i32; LANES]; BLOCK]) {
    for (part, sums) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let mut acc = [[_mm256_setzero_si256(); 2]; 4];
        for (w, x) in w.iter().zip(x) {
            // SAFETY: a line has 64 bytes, and 16 bytes of weights begin at each multiple of 16.
            unsafe {
                let x: *const __m256i = x.0.as_ptr().cast();
                let x = [_mm256_load_si256(x), _mm256_load_si256(x.add(1))];
                let w = w.as_ptr().add(part * 4 * GROUP);
                for (channel, acc) in acc.iter_mut().enumerate() {
                    let w = _mm256_set1_epi32(w.add(channel * GROUP).cast::<i32>().read_unaligned());
                    for (acc, x) in acc.iter_mut().zip(x) {
                        *acc = _mm256_dpbusd_avx_epi32(*acc, x, w);
                    }
                }
            }
        }
        for ([low, high], sums) in acc.iter().zip(sums) {
            let sums = sums.as_mut_ptr();
            // SAFETY: 16 numbers of 32 bits.
            unsafe {
                _mm256_storeu_si256(sums.cast(), *low);
                _mm256_storeu_si256(sums.add(LANES / 2).cast(), *high);
            }
        }
    }
}

/// Sums of one panel. `vpmaddubsw` would be shorter, but two products of 255 and 127 do not fit its 16 bits.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn avx2(w: &[WeightLine], x: &[TokenLine], sums: &mut [[i32; LANES]; BLOCK]) {
    for (part, sums) in sums.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        // Each holds four tokens, of each the sums over inputs 0 and 1, and 2 and 3, of every group.
        let mut acc = [[_mm256_setzero_si256(); 4]; 2];
        for (w, x) in w.iter().zip(x) {
            // SAFETY: a line has 64 bytes, and 8 bytes of weights begin at each multiple of 8.
            unsafe {
                let x: *const __m128i = x.0.as_ptr().cast();
                let w = w.as_ptr().add(part * 2 * GROUP);
                let mut wide = [_mm256_setzero_si256(); 2];
                for (channel, wide) in wide.iter_mut().enumerate() {
                    let w = w.add(channel * GROUP).cast::<i32>().read_unaligned();
                    *wide = _mm256_cvtepi8_epi16(_mm_set1_epi32(w));
                }
                for quarter in 0..4 {
                    let x = _mm256_cvtepu8_epi16(_mm_load_si128(x.add(quarter)));
                    for (acc, w) in acc.iter_mut().zip(wide) {
                        acc[quarter] = _mm256_add_epi32(acc[quarter], _mm256_madd_epi16(x, w));
                    }
                }
            }
        }
        for ([a, b, c, d], sums) in acc.iter().zip(sums) {
            let sums = sums.as_mut_ptr();
            // Sums of neighbours go by halves of the register: [a0 a1 b0 b1 | a2 a3 b2 b3].
            let low = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(*a, *b));
            let high = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(*c, *d));
            // SAFETY: 16 numbers of 32 bits.
            unsafe {
                _mm256_storeu_si256(sums.cast(), low);
                _mm256_storeu_si256(sums.add(LANES / 2).cast(), high);
            }
        }
    }
}

//! The kernels for x86-64.
//!
//! Loads are of whole arrays that a slice was cut into, so every pointer is good for as many bytes as are
//! read through it. What is left at the end of a slice is filled up with zeros, which change no sum.

/// AVX-512 F and BW.
pub(super) mod avx512 {
    use core::arch::x86_64::{
        __m512, __m512i, _mm256_loadu_si256, _mm512_add_epi32, _mm512_add_ps, _mm512_cvtepi8_epi16,
        _mm512_loadu_ps, _mm512_loadu_si512, _mm512_madd_epi16, _mm512_mul_ps, _mm512_reduce_add_epi32,
        _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_ps,
    };

    use crate::machine::kernels::{LANES, halve, padded};

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn floats(part: &[f32; 16]) -> __m512 {
        // SAFETY: 16 floats are 64 bytes.
        unsafe { _mm512_loadu_ps(part.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn codes(part: &[i8; 32]) -> __m512i {
        // SAFETY: 32 bytes.
        _mm512_cvtepi8_epi16(unsafe { _mm256_loadu_si256(part.as_ptr().cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn query_codes(part: &[i16; 32]) -> __m512i {
        // SAFETY: 32 numbers of two bytes are 64 bytes.
        unsafe { _mm512_loadu_si512(part.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in crate::machine) fn dot(a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [_mm512_setzero_ps(); LANES / 16];
        let mut add = |a: &[f32; LANES], b: &[f32; LANES]| {
            let (a, b) = (a.as_chunks().0, b.as_chunks().0);
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum = _mm512_add_ps(*sum, _mm512_mul_ps(floats(a), floats(b)));
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
        for (sum, part) in sums.iter().zip(lanes.as_chunks_mut::<16>().0) {
            // SAFETY: 16 floats are 64 bytes.
            unsafe { _mm512_storeu_ps(part.as_mut_ptr(), *sum) };
        }
        halve(lanes)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in crate::machine) fn dot_codes(a: &[i8], b: &[i8]) -> i32 {
        let mut sums = [_mm512_setzero_si512(); 2];
        let mut add = |a: &[i8; LANES], b: &[i8; LANES]| {
            let (a, b) = (a.as_chunks().0, b.as_chunks().0);
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(codes(a), codes(b)));
            }
        };
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks(), b.as_chunks());
        for (a, b) in a.iter().zip(b) {
            add(a, b);
        }
        if !a_rest.is_empty() {
            add(&padded(a_rest), &padded(b_rest));
        }
        let [low, high] = sums;
        _mm512_reduce_add_epi32(_mm512_add_epi32(low, high))
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in crate::machine) fn dot_query(query: &[i16], row: &[i8]) -> i32 {
        let mut sums = [_mm512_setzero_si512(); 2];
        let mut add = |query: &[i16; LANES], row: &[i8; LANES]| {
            let (query, row) = (query.as_chunks().0, row.as_chunks().0);
            for ((sum, q), r) in sums.iter_mut().zip(query).zip(row) {
                *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(query_codes(q), codes(r)));
            }
        };
        let ((query, q_rest), (row, r_rest)) = (query.as_chunks(), row.as_chunks());
        for (q, r) in query.iter().zip(row) {
            add(q, r);
        }
        if !q_rest.is_empty() {
            add(&padded(q_rest), &padded(r_rest));
        }
        let [low, high] = sums;
        _mm512_reduce_add_epi32(_mm512_add_epi32(low, high))
    }
}

/// AVX2.
pub(super) mod avx2 {
    use core::arch::x86_64::{
        __m256, __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi8_epi16,
        _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_ps, _mm256_setzero_ps,
        _mm256_setzero_si256, _mm256_storeu_ps, _mm256_storeu_si256,
    };

    use crate::machine::kernels::{LANES, halve, padded};

    #[inline]
    #[target_feature(enable = "avx2")]
    fn floats(part: &[f32; 8]) -> __m256 {
        // SAFETY: 8 floats are 32 bytes.
        unsafe { _mm256_loadu_ps(part.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn codes(part: &[i8; 16]) -> __m256i {
        // SAFETY: 16 bytes.
        _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(part.as_ptr().cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn query_codes(part: &[i16; 16]) -> __m256i {
        // SAFETY: 16 numbers of two bytes are 32 bytes.
        unsafe { _mm256_loadu_si256(part.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn sum(sums: [__m256i; 4]) -> i32 {
        let [a, b, c, d] = sums;
        let all = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
        let mut lanes = [0i32; 8];
        // SAFETY: 8 numbers of four bytes are 32 bytes.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), all) };
        lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
    }

    #[target_feature(enable = "avx2")]
    pub(in crate::machine) fn dot(a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [_mm256_setzero_ps(); LANES / 8];
        let mut add = |a: &[f32; LANES], b: &[f32; LANES]| {
            let (a, b) = (a.as_chunks().0, b.as_chunks().0);
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum = _mm256_add_ps(*sum, _mm256_mul_ps(floats(a), floats(b)));
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
        for (sum, part) in sums.iter().zip(lanes.as_chunks_mut::<8>().0) {
            // SAFETY: 8 floats are 32 bytes.
            unsafe { _mm256_storeu_ps(part.as_mut_ptr(), *sum) };
        }
        halve(lanes)
    }

    #[target_feature(enable = "avx2")]
    pub(in crate::machine) fn dot_codes(a: &[i8], b: &[i8]) -> i32 {
        let mut sums = [_mm256_setzero_si256(); 4];
        let mut add = |a: &[i8; LANES], b: &[i8; LANES]| {
            let (a, b) = (a.as_chunks().0, b.as_chunks().0);
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(codes(a), codes(b)));
            }
        };
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks(), b.as_chunks());
        for (a, b) in a.iter().zip(b) {
            add(a, b);
        }
        if !a_rest.is_empty() {
            add(&padded(a_rest), &padded(b_rest));
        }
        sum(sums)
    }

    #[target_feature(enable = "avx2")]
    pub(in crate::machine) fn dot_query(query: &[i16], row: &[i8]) -> i32 {
        let mut sums = [_mm256_setzero_si256(); 4];
        let mut add = |query: &[i16; LANES], row: &[i8; LANES]| {
            let (query, row) = (query.as_chunks().0, row.as_chunks().0);
            for ((sum, q), r) in sums.iter_mut().zip(query).zip(row) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(query_codes(q), codes(r)));
            }
        };
        let ((query, q_rest), (row, r_rest)) = (query.as_chunks(), row.as_chunks());
        for (q, r) in query.iter().zip(row) {
            add(q, r);
        }
        if !q_rest.is_empty() {
            add(&padded(q_rest), &padded(r_rest));
        }
        sum(sums)
    }
}

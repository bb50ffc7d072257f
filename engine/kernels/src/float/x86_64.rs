//! Fused multiply-add over four registers of partial sums, enough to hide its latency.

#![allow(unsafe_code, reason = "loads of std::arch take pointers")]

use std::arch::x86_64::*;

use super::{SQUARED_DIFFERENCE, Term};

#[target_feature(enable = "avx2,fma")]
pub(super) fn sum_avx2<const TERM: Term>(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_tail) = a.as_chunks::<8>();
    let (b, b_tail) = b.as_chunks::<8>();
    let mut sums = [_mm256_setzero_ps(); 4];
    let (a_quads, a_rest) = a.as_chunks::<4>();
    let (b_quads, b_rest) = b.as_chunks::<4>();
    for (a, b) in a_quads.iter().zip(b_quads) {
        for i in 0..4 {
            sums[i] = add_term_256::<TERM>(sums[i], load_256(&a[i]), load_256(&b[i]));
        }
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        sums[0] = add_term_256::<TERM>(sums[0], load_256(a), load_256(b));
    }
    if !a_tail.is_empty() {
        let (mut a, mut b) = ([0.0; 8], [0.0; 8]);
        a[..a_tail.len()].copy_from_slice(a_tail);
        b[..b_tail.len()].copy_from_slice(b_tail);
        sums[3] = add_term_256::<TERM>(sums[3], load_256(&a), load_256(&b));
    }
    total_256(sums)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) fn total_256([s0, s1, s2, s3]: [__m256; 4]) -> f32 {
    let sum = _mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3));
    let sum = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_term_256<const TERM: Term>(sum: __m256, x: __m256, y: __m256) -> __m256 {
    if TERM == SQUARED_DIFFERENCE {
        let difference = _mm256_sub_ps(x, y);
        return _mm256_fmadd_ps(difference, difference, sum);
    }
    _mm256_fmadd_ps(x, y, sum)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) fn load_256(values: &[f32; 8]) -> __m256 {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
pub(super) fn sum_avx512<const TERM: Term>(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_tail) = a.as_chunks::<16>();
    let (b, b_tail) = b.as_chunks::<16>();
    let mut sums = [_mm512_setzero_ps(); 4];
    let (a_quads, a_rest) = a.as_chunks::<4>();
    let (b_quads, b_rest) = b.as_chunks::<4>();
    for (a, b) in a_quads.iter().zip(b_quads) {
        for i in 0..4 {
            sums[i] = add_term_512::<TERM>(sums[i], load_512(&a[i]), load_512(&b[i]));
        }
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        sums[0] = add_term_512::<TERM>(sums[0], load_512(a), load_512(b));
    }
    let mask = ((1_u32 << a_tail.len()) - 1) as __mmask16;
    // SAFETY: the mask selects exactly the numbers of the two tails, which are equally long.
    let (a, b) = unsafe {
        (_mm512_maskz_loadu_ps(mask, a_tail.as_ptr()), _mm512_maskz_loadu_ps(mask, b_tail.as_ptr()))
    };
    sums[3] = add_term_512::<TERM>(sums[3], a, b);
    let [s0, s1, s2, s3] = sums;
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add_term_512<const TERM: Term>(sum: __m512, x: __m512, y: __m512) -> __m512 {
    if TERM == SQUARED_DIFFERENCE {
        let difference = _mm512_sub_ps(x, y);
        return _mm512_fmadd_ps(difference, difference, sum);
    }
    _mm512_fmadd_ps(x, y, sum)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_512(values: &[f32; 16]) -> __m512 {
    // SAFETY: the array is 64 readable bytes; no alignment is asked for.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

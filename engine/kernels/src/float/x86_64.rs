//! Fused multiply-add over four registers of partial sums, enough to hide its latency.
//!
//! What does not fill a register is the end of the last one that lies inside the slices, so nothing is
//! copied; lanes that were counted before are left as they were.

#![allow(unsafe_code, reason = "loads of std::arch take pointers")]

use std::arch::x86_64::*;

use super::{SQUARED_DIFFERENCE, Term};

#[target_feature(enable = "avx2,fma")]
pub(super) fn sum_avx2<const TERM: Term>(all_a: &[f32], all_b: &[f32]) -> f32 {
    let (a, a_tail) = all_a.as_chunks::<8>();
    let (b, b_tail) = all_b.as_chunks::<8>();
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
        let (a, b) = (last_chunk(all_a, a_tail), last_chunk(all_b, b_tail));
        let more = add_term_256::<TERM>(sums[3], load_256(&a), load_256(&b));
        sums[3] = _mm256_blendv_ps(sums[3], more, last_lanes(a_tail.len()));
    }
    total_256(sums)
}

/// Returns the last `N` of `all`, or, where there are fewer, those in the last places; `tail`, the ones
/// that count, are in the last places either way.
#[inline]
pub(crate) fn last_chunk<T: Copy + Default, const N: usize>(all: &[T], tail: &[T]) -> [T; N] {
    all.last_chunk().copied().unwrap_or_else(|| {
        let mut padded = [T::default(); N];
        padded[N - tail.len()..].copy_from_slice(tail);
        padded
    })
}

/// Returns a mask of the last `count` lanes.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) fn last_lanes(count: usize) -> __m256 {
    let lanes = _mm256_setr_epi32(8, 7, 6, 5, 4, 3, 2, 1);
    _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32 + 1), lanes))
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

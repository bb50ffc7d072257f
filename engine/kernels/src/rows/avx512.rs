//! AVX-512: sixteen numbers a register; otherwise as on AVX2.

#![allow(unsafe_code, reason = "loads of std::arch take pointers")]

use std::arch::x86_64::*;

use super::{SQUARED_DIFFERENCE, Term};
use crate::float::x86_64::last_chunk;

macro_rules! sum {
    ($name:ident, $element:ty, $widen:ident) => {
        #[target_feature(enable = "avx512f,avx2")]
        pub(super) fn $name<const TERM: Term>(
            all_query: &[f32],
            all_row: &[$element],
            scale: f32,
        ) -> f32 {
            let scale = _mm512_set1_ps(scale);
            let (query, query_tail) = all_query.as_chunks::<16>();
            let (row, row_tail) = all_row.as_chunks::<16>();
            let mut sums = [_mm512_setzero_ps(); 4];
            let (query_quads, query_rest) = query.as_chunks::<4>();
            let (row_quads, row_rest) = row.as_chunks::<4>();
            for (q, r) in query_quads.iter().zip(row_quads) {
                for i in 0..4 {
                    sums[i] = add_term::<TERM>(sums[i], load(&q[i]), $widen(&r[i]), scale);
                }
            }
            for (q, r) in query_rest.iter().zip(row_rest) {
                sums[0] = add_term::<TERM>(sums[0], load(q), $widen(r), scale);
            }
            if !query_tail.is_empty() {
                let (q, r) = (last_chunk(all_query, query_tail), last_chunk(all_row, row_tail));
                let more = add_term::<TERM>(sums[3], load(&q), $widen(&r), scale);
                let last_lanes = (u16::MAX << (16 - query_tail.len())) as __mmask16;
                sums[3] = _mm512_mask_mov_ps(sums[3], last_lanes, more);
            }
            let [s0, s1, s2, s3] = sums;
            _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)))
        }
    };
}

sum!(sum_f16, u16, widen_halves);
sum!(sum_i8, i8, widen_bytes);

#[inline]
#[target_feature(enable = "avx512f,avx2")]
fn add_term<const TERM: Term>(sum: __m512, q: __m512, r: __m512, scale: __m512) -> __m512 {
    if TERM == SQUARED_DIFFERENCE {
        let difference = _mm512_fnmadd_ps(scale, r, q);
        return _mm512_fmadd_ps(difference, difference, sum);
    }
    _mm512_fmadd_ps(q, r, sum)
}

#[inline]
#[target_feature(enable = "avx512f,avx2")]
pub(crate) fn load(values: &[f32; 16]) -> __m512 {
    // SAFETY: the array is 64 readable bytes; no alignment is asked for.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx2")]
pub(crate) fn widen_halves(values: &[u16; 16]) -> __m512 {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(values.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx2")]
fn widen_bytes(values: &[i8; 16]) -> __m512 {
    // SAFETY: the array is 16 readable bytes; no alignment is asked for.
    let bytes = unsafe { _mm_loadu_si128(values.as_ptr().cast()) };
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))
}

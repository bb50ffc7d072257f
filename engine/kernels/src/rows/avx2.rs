//! AVX2: eight numbers a register, widened by F16C or by sign extension; four registers of partial
//! sums hide the latency of the fused multiply-add.

#![allow(unsafe_code, reason = "loads of std::arch take pointers")]

use std::arch::x86_64::*;

use super::{SQUARED_DIFFERENCE, Term};
use crate::float::x86_64::{last_chunk, last_lanes, load_256, total_256};

macro_rules! sum {
    ($name:ident, $element:ty, $widen:ident) => {
        #[target_feature(enable = "avx2,fma,f16c")]
        pub(super) fn $name<const TERM: Term>(
            all_query: &[f32],
            all_row: &[$element],
            scale: f32,
        ) -> f32 {
            let scale = _mm256_set1_ps(scale);
            let (query, query_tail) = all_query.as_chunks::<8>();
            let (row, row_tail) = all_row.as_chunks::<8>();
            let mut sums = [_mm256_setzero_ps(); 4];
            let (query_quads, query_rest) = query.as_chunks::<4>();
            let (row_quads, row_rest) = row.as_chunks::<4>();
            for (q, r) in query_quads.iter().zip(row_quads) {
                for i in 0..4 {
                    sums[i] = add_term::<TERM>(sums[i], load_256(&q[i]), $widen(&r[i]), scale);
                }
            }
            for (q, r) in query_rest.iter().zip(row_rest) {
                sums[0] = add_term::<TERM>(sums[0], load_256(q), $widen(r), scale);
            }
            if !query_tail.is_empty() {
                let (q, r) = (last_chunk(all_query, query_tail), last_chunk(all_row, row_tail));
                let more = add_term::<TERM>(sums[3], load_256(&q), $widen(&r), scale);
                sums[3] = _mm256_blendv_ps(sums[3], more, last_lanes(query_tail.len()));
            }
            total_256(sums)
        }
    };
}

sum!(sum_f16, u16, widen_halves);
sum!(sum_i8, i8, widen_bytes);

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_term<const TERM: Term>(sum: __m256, q: __m256, r: __m256, scale: __m256) -> __m256 {
    if TERM == SQUARED_DIFFERENCE {
        let difference = _mm256_fnmadd_ps(scale, r, q);
        return _mm256_fmadd_ps(difference, difference, sum);
    }
    _mm256_fmadd_ps(q, r, sum)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn widen_halves(values: &[u16; 8]) -> __m256 {
    // SAFETY: the array is 16 readable bytes; no alignment is asked for.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(values.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn widen_bytes(values: &[i8; 8]) -> __m256 {
    // SAFETY: the array is eight readable bytes, all that this load touches.
    let bytes = unsafe { _mm_loadl_epi64(values.as_ptr().cast()) };
    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))
}

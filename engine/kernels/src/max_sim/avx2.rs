//! AVX2: tiles of four tokens of the query by two, eight numbers a register, so that all of a tile's sums
//! stay in registers; its products fill one.

#![allow(unsafe_code, reason = "stores of std::arch take pointers")]

use std::arch::x86_64::*;

use super::{TILE_QUERIES, padded, raise, rows};
use crate::float::x86_64::load_256;
use crate::rows::avx2::widen_halves;

const TILE_TOKENS: usize = 2;

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn max_sim(query: &[f32], tokens: &[u16], dims: usize, best: &mut [f32]) {
    let tiles = query.chunks(TILE_QUERIES * dims).zip(best.chunks_mut(TILE_QUERIES));
    for (queries, best) in tiles {
        let queries = rows(queries, dims);
        let mut largest = _mm256_set1_ps(f32::NEG_INFINITY);
        for tokens in tokens.chunks(TILE_TOKENS * dims) {
            // Of a product that is not a number, the second operand is the largest.
            largest = _mm256_max_ps(products(queries, rows(tokens, dims)), largest);
        }
        let mut lanes = [0.0; 8];
        // SAFETY: the array is 32 writable bytes; no alignment is asked for.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), largest) };
        raise::<TILE_TOKENS>(best, &lanes);
    }
}

/// Returns the products of a tile, those of the first query first.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn products(queries: [&[f32]; 4], tokens: [&[u16]; 2]) -> __m256 {
    let [(q0, q0_tail), (q1, q1_tail), (q2, q2_tail), (q3, q3_tail)] =
        queries.map(<[f32]>::as_chunks::<8>);
    let [(t0, t0_tail), (t1, t1_tail)] = tokens.map(<[u16]>::as_chunks::<8>);
    let mut sums = [[_mm256_setzero_ps(); 2]; 4];
    let queries = q0.iter().zip(q1).zip(q2).zip(q3);
    for ((((q0, q1), q2), q3), (t0, t1)) in queries.zip(t0.iter().zip(t1)) {
        let tokens = [widen_halves(t0), widen_halves(t1)];
        add(&mut sums, [load_256(q0), load_256(q1), load_256(q2), load_256(q3)], tokens);
    }
    if !q0_tail.is_empty() {
        let load = |tail| load_256(&padded(tail));
        let tokens = [widen_halves(&padded(t0_tail)), widen_halves(&padded(t1_tail))];
        add(&mut sums, [load(q0_tail), load(q1_tail), load(q2_tail), load(q3_tail)], tokens);
    }
    let [[a, b], [c, d], [e, f], [g, h]] = sums;
    let (low, high) = (quarters([a, b, c, d]), quarters([e, f, g, h]));
    _mm256_add_ps(
        _mm256_permute2f128_ps::<0x20>(low, high),
        _mm256_permute2f128_ps::<0x31>(low, high),
    )
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add(sums: &mut [[__m256; 2]; 4], queries: [__m256; 4], tokens: [__m256; 2]) {
    for (sums, query) in sums.iter_mut().zip(queries) {
        for (sum, token) in sums.iter_mut().zip(tokens) {
            *sum = _mm256_fmadd_ps(query, token, *sum);
        }
    }
}

/// Adds up the four numbers of each half of each register: half by half one sum of each.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn quarters([a, b, c, d]: [__m256; 4]) -> __m256 {
    let ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
    let (low, high) = (_mm256_unpacklo_pd(ab, cd), _mm256_unpackhi_pd(ab, cd));
    _mm256_add_ps(_mm256_castpd_ps(low), _mm256_castpd_ps(high))
}

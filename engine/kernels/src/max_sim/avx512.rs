//! AVX-512: tiles of four by four, sixteen numbers a register; a tile's products fill one.

#![allow(unsafe_code, reason = "stores of std::arch take pointers")]

use std::arch::x86_64::*;

use super::{TILE_QUERIES, padded, raise, rows};
use crate::rows::avx512::{load, widen_halves};

const TILE_TOKENS: usize = 4;

#[target_feature(enable = "avx512f,avx2")]
pub(super) fn max_sim(query: &[f32], tokens: &[u16], dims: usize, best: &mut [f32]) {
    let tiles = query.chunks(TILE_QUERIES * dims).zip(best.chunks_mut(TILE_QUERIES));
    for (queries, best) in tiles {
        let queries = rows(queries, dims);
        let mut largest = _mm512_set1_ps(f32::NEG_INFINITY);
        for tokens in tokens.chunks(TILE_TOKENS * dims) {
            // Of a product that is not a number, the second operand is the largest.
            largest = _mm512_max_ps(products(queries, rows(tokens, dims)), largest);
        }
        let mut lanes = [0.0; 16];
        // SAFETY: the array is 64 writable bytes; no alignment is asked for.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), largest) };
        raise::<TILE_TOKENS>(best, &lanes);
    }
}

/// Returns the products of a tile, those of the first query first.
#[inline]
#[target_feature(enable = "avx512f,avx2")]
fn products(queries: [&[f32]; 4], tokens: [&[u16]; 4]) -> __m512 {
    let [(q0, q0_tail), (q1, q1_tail), (q2, q2_tail), (q3, q3_tail)] =
        queries.map(<[f32]>::as_chunks::<16>);
    let [(t0, t0_tail), (t1, t1_tail), (t2, t2_tail), (t3, t3_tail)] =
        tokens.map(<[u16]>::as_chunks::<16>);
    let mut sums = [[_mm512_setzero_ps(); 4]; 4];
    let queries = q0.iter().zip(q1).zip(q2).zip(q3);
    let tokens = t0.iter().zip(t1).zip(t2).zip(t3);
    for ((((q0, q1), q2), q3), (((t0, t1), t2), t3)) in queries.zip(tokens) {
        let tokens = [widen_halves(t0), widen_halves(t1), widen_halves(t2), widen_halves(t3)];
        add(&mut sums, [load(q0), load(q1), load(q2), load(q3)], tokens);
    }
    if !q0_tail.is_empty() {
        let load = |tail| load(&padded(tail));
        let widen = |tail| widen_halves(&padded(tail));
        let tokens = [widen(t0_tail), widen(t1_tail), widen(t2_tail), widen(t3_tail)];
        add(&mut sums, [load(q0_tail), load(q1_tail), load(q2_tail), load(q3_tail)], tokens);
    }
    let [r0, r1, r2, r3] = sums;
    let (r0, r1, r2, r3) = (quarters(r0), quarters(r1), quarters(r2), quarters(r3));
    // Each holds four partial sums of its four products. Even and odd ones are added up, twice.
    let (r01, r23) = (halves(r0, r1), halves(r2, r3));
    halves(r01, r23)
}

#[inline]
#[target_feature(enable = "avx512f,avx2")]
fn add(sums: &mut [[__m512; 4]; 4], queries: [__m512; 4], tokens: [__m512; 4]) {
    for (sums, query) in sums.iter_mut().zip(queries) {
        for (sum, token) in sums.iter_mut().zip(tokens) {
            *sum = _mm512_fmadd_ps(query, token, *sum);
        }
    }
}

/// Adds up the four numbers of each 128-bit part of each register: part by part one sum of each.
#[inline]
#[target_feature(enable = "avx512f,avx2")]
fn quarters([a, b, c, d]: [__m512; 4]) -> __m512 {
    let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    let (low, high) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
    _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high))
}

/// Adds the 128-bit parts of each register in pairs, the two sums of the first in front.
#[inline]
#[target_feature(enable = "avx512f,avx2")]
fn halves(a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(
        _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b),
        _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b),
    )
}

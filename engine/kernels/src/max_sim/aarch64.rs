//! NEON: tiles of four by four, four numbers a register; the products of a query's token fill one.

#![allow(unsafe_code, reason = "loads of std::arch take pointers")]

use std::arch::aarch64::*;

use super::{TILE_QUERIES, padded, raise, rows};

const TILE_TOKENS: usize = 4;

#[target_feature(enable = "neon")]
pub(super) fn max_sim(query: &[f32], tokens: &[u16], dims: usize, best: &mut [f32]) {
    let tiles = query.chunks(TILE_QUERIES * dims).zip(best.chunks_mut(TILE_QUERIES));
    for (queries, best) in tiles {
        let queries = rows(queries, dims);
        let mut largest = [vdupq_n_f32(f32::NEG_INFINITY); TILE_QUERIES];
        for tokens in tokens.chunks(TILE_TOKENS * dims) {
            let products = products(queries, rows(tokens, dims));
            for (largest, product) in largest.iter_mut().zip(products) {
                // Of a product that is not a number, the other operand is the largest.
                *largest = vmaxnmq_f32(product, *largest);
            }
        }
        for (best, largest) in best.iter_mut().zip(largest) {
            raise::<1>(std::slice::from_mut(best), &[vmaxnmvq_f32(largest)]);
        }
    }
}

/// Returns the products of a tile, a register for each token of the query.
#[inline]
#[target_feature(enable = "neon")]
fn products(queries: [&[f32]; 4], tokens: [&[u16]; 4]) -> [float32x4_t; 4] {
    let [(q0, q0_tail), (q1, q1_tail), (q2, q2_tail), (q3, q3_tail)] =
        queries.map(<[f32]>::as_chunks::<4>);
    let [(t0, t0_tail), (t1, t1_tail), (t2, t2_tail), (t3, t3_tail)] =
        tokens.map(<[u16]>::as_chunks::<4>);
    let mut sums = [[vdupq_n_f32(0.0); 4]; 4];
    let queries = q0.iter().zip(q1).zip(q2).zip(q3);
    let tokens = t0.iter().zip(t1).zip(t2).zip(t3);
    for ((((q0, q1), q2), q3), (((t0, t1), t2), t3)) in queries.zip(tokens) {
        let tokens = [widen(t0), widen(t1), widen(t2), widen(t3)];
        add(&mut sums, [load(q0), load(q1), load(q2), load(q3)], tokens);
    }
    if !q0_tail.is_empty() {
        let load = |tail| load(&padded(tail));
        let widen = |tail| widen(&padded(tail));
        let tokens = [widen(t0_tail), widen(t1_tail), widen(t2_tail), widen(t3_tail)];
        add(&mut sums, [load(q0_tail), load(q1_tail), load(q2_tail), load(q3_tail)], tokens);
    }
    sums.map(|[a, b, c, d]| vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)))
}

#[inline]
#[target_feature(enable = "neon")]
fn add(sums: &mut [[float32x4_t; 4]; 4], queries: [float32x4_t; 4], tokens: [float32x4_t; 4]) {
    for (sums, query) in sums.iter_mut().zip(queries) {
        for (sum, token) in sums.iter_mut().zip(tokens) {
            *sum = vfmaq_f32(*sum, query, token);
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(values: &[f32; 4]) -> float32x4_t {
    // SAFETY: the array is 16 readable bytes; no alignment is asked for.
    unsafe { vld1q_f32(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn widen(values: &[u16; 4]) -> float32x4_t {
    // SAFETY: the array is eight readable bytes; no alignment is asked for.
    let halves = unsafe { vld1_u16(values.as_ptr()) };
    vcvt_f32_f16(vreinterpret_f16_u16(halves))
}

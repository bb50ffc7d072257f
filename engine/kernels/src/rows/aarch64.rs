//! NEON: eight numbers of a row widen to two registers of four.

#![allow(unsafe_code, reason = "loads of std::arch take pointers")]

use std::arch::aarch64::*;

use super::{SQUARED_DIFFERENCE, Term};

macro_rules! sum {
    ($name:ident, $element:ty, $widen:ident) => {
        #[target_feature(enable = "neon")]
        pub(super) fn $name<const TERM: Term>(query: &[f32], row: &[$element], scale: f32) -> f32 {
            let scale = vdupq_n_f32(scale);
            let (query, query_tail) = query.as_chunks::<8>();
            let (row, row_tail) = row.as_chunks::<8>();
            let mut sums = [vdupq_n_f32(0.0); 4];
            let (query_pairs, query_rest) = query.as_chunks::<2>();
            let (row_pairs, row_rest) = row.as_chunks::<2>();
            for ([q0, q1], [r0, r1]) in query_pairs.iter().zip(row_pairs) {
                let [s0, s1, s2, s3] = sums;
                let [s0, s1] = add_terms::<TERM>([s0, s1], load(q0), $widen(r0), scale);
                let [s2, s3] = add_terms::<TERM>([s2, s3], load(q1), $widen(r1), scale);
                sums = [s0, s1, s2, s3];
            }
            let [s0, s1, s2, s3] = sums;
            let mut low = [s0, s1];
            for (q, r) in query_rest.iter().zip(row_rest) {
                low = add_terms::<TERM>(low, load(q), $widen(r), scale);
            }
            let (mut q, mut r) = ([0.0; 8], [0; 8]);
            q[..query_tail.len()].copy_from_slice(query_tail);
            r[..row_tail.len()].copy_from_slice(row_tail);
            let [s2, s3] = add_terms::<TERM>([s2, s3], load(&q), $widen(&r), scale);
            let [s0, s1] = low;
            vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)))
        }
    };
}

sum!(sum_f16, u16, widen_halves);
sum!(sum_i8, i8, widen_bytes);

/// Eight numbers in two registers.
type Eight = [float32x4_t; 2];

#[inline]
#[target_feature(enable = "neon")]
fn add_terms<const TERM: Term>(sums: Eight, q: Eight, r: Eight, scale: float32x4_t) -> Eight {
    [add_term::<TERM>(sums[0], q[0], r[0], scale), add_term::<TERM>(sums[1], q[1], r[1], scale)]
}

#[inline]
#[target_feature(enable = "neon")]
fn add_term<const TERM: Term>(
    sum: float32x4_t,
    q: float32x4_t,
    r: float32x4_t,
    scale: float32x4_t,
) -> float32x4_t {
    if TERM == SQUARED_DIFFERENCE {
        let difference = vfmsq_f32(q, scale, r);
        return vfmaq_f32(sum, difference, difference);
    }
    vfmaq_f32(sum, q, r)
}

#[inline]
#[target_feature(enable = "neon")]
fn load(values: &[f32; 8]) -> Eight {
    // SAFETY: the array is 32 readable bytes, 16 for each load; no alignment is asked for.
    unsafe { [vld1q_f32(values.as_ptr()), vld1q_f32(values.as_ptr().add(4))] }
}

#[inline]
#[target_feature(enable = "neon")]
fn widen_halves(values: &[u16; 8]) -> Eight {
    // SAFETY: the array is 16 readable bytes; no alignment is asked for.
    let halves = unsafe { vld1q_u16(values.as_ptr()) };
    [vget_low_u16(halves), vget_high_u16(halves)]
        .map(|four| vcvt_f32_f16(vreinterpret_f16_u16(four)))
}

#[inline]
#[target_feature(enable = "neon")]
fn widen_bytes(values: &[i8; 8]) -> Eight {
    // SAFETY: the array is eight readable bytes; no alignment is asked for.
    let words = vmovl_s8(unsafe { vld1_s8(values.as_ptr()) });
    [vget_low_s16(words), vget_high_s16(words)].map(|four| vcvtq_f32_s32(vmovl_s16(four)))
}

//! Fused multiply-add over four registers of partial sums.

#![allow(unsafe_code, reason = "loads of std::arch take pointers")]

use std::arch::aarch64::*;

use super::{SQUARED_DIFFERENCE, Term};

#[target_feature(enable = "neon")]
pub(super) fn sum_neon<const TERM: Term>(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_tail) = a.as_chunks::<4>();
    let (b, b_tail) = b.as_chunks::<4>();
    let mut sums = [vdupq_n_f32(0.0); 4];
    let (a_quads, a_rest) = a.as_chunks::<4>();
    let (b_quads, b_rest) = b.as_chunks::<4>();
    for (a, b) in a_quads.iter().zip(b_quads) {
        for i in 0..4 {
            sums[i] = add_term::<TERM>(sums[i], load(&a[i]), load(&b[i]));
        }
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        sums[0] = add_term::<TERM>(sums[0], load(a), load(b));
    }
    let (mut a, mut b) = ([0.0; 4], [0.0; 4]);
    a[..a_tail.len()].copy_from_slice(a_tail);
    b[..b_tail.len()].copy_from_slice(b_tail);
    sums[3] = add_term::<TERM>(sums[3], load(&a), load(&b));
    let [s0, s1, s2, s3] = sums;
    vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)))
}

#[inline]
#[target_feature(enable = "neon")]
fn add_term<const TERM: Term>(sum: float32x4_t, x: float32x4_t, y: float32x4_t) -> float32x4_t {
    if TERM == SQUARED_DIFFERENCE {
        let difference = vsubq_f32(x, y);
        return vfmaq_f32(sum, difference, difference);
    }
    vfmaq_f32(sum, x, y)
}

#[inline]
#[target_feature(enable = "neon")]
fn load(values: &[f32; 4]) -> float32x4_t {
    // SAFETY: the array is sixteen readable bytes; no alignment is asked for.
    unsafe { vld1q_f32(values.as_ptr()) }
}

//! NEON: `cnt` counts the bits of sixteen bytes.
//!
//! Byte sums are doubled between query planes, so that the most significant plane ends up with
//! weight `2^(Q-1)`: at most `8 * (2^Q - 1)` per sixteen bytes of a code. A query of more than
//! [`BYTE_PLANES`] planes goes in two rounds, the rest first and then the last four.

#![allow(unsafe_code, reason = "loads of std::arch take pointers")]

use std::arch::aarch64::*;

use super::QueryPlanes;

/// The most query planes whose weighted counts fit one byte: `8 * (2^5 - 1) = 248`.
const BYTE_PLANES: usize = 5;
/// The planes in the last round of a query that needs two.
const LOW_PLANES: usize = 4;

/// Adds the share of one level, times `2^shift`, to each score.
#[target_feature(enable = "neon")]
pub(super) fn add_plane(codes: &[u64], query: QueryPlanes<'_>, shift: usize, out: &mut [i32]) {
    let full = query.full_score();
    let width = query.width();
    let low = if width > BYTE_PLANES { width - LOW_PLANES } else { 0 };
    for (code, score) in codes.chunks_exact(query.words()).zip(out) {
        let mut difference = weighted_difference(code, query, low..width);
        if low > 0 {
            difference += weighted_difference(code, query, 0..low) << LOW_PLANES;
        }
        *score += (full - 2 * difference) << shift;
    }
}

/// Returns `sum over planes b of 2^(last-b) * popcnt(code ^ q_b)`.
#[inline]
#[target_feature(enable = "neon")]
fn weighted_difference(
    code: &[u64],
    query: QueryPlanes<'_>,
    planes: std::ops::Range<usize>,
) -> i32 {
    let (pairs, odd) = code.as_chunks::<2>();
    let mut sums = vdupq_n_u32(0);
    for (i, pair) in pairs.iter().enumerate() {
        let code = load(pair);
        let mut bytes = vdupq_n_u8(0);
        for b in planes.clone() {
            let plane = &query.plane(b)[2 * i..];
            let differing = veorq_u8(code, load(&[plane[0], plane[1]]));
            bytes = vaddq_u8(vaddq_u8(bytes, bytes), vcntq_u8(differing));
        }
        sums = vpadalq_u16(sums, vpaddlq_u8(bytes));
    }
    let mut total = vaddvq_u32(sums) as i32;
    if let [word] = odd {
        let last = query.words() - 1;
        let count = |b: usize| (word ^ query.plane(b)[last]).count_ones() as i32;
        total += planes.fold(0, |sum, b| 2 * sum + count(b));
    }
    total
}

#[inline]
#[target_feature(enable = "neon")]
fn load(words: &[u64; 2]) -> uint8x16_t {
    // SAFETY: the array is sixteen readable bytes; no alignment is asked for.
    unsafe { vld1q_u8(words.as_ptr().cast()) }
}

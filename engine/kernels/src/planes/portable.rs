//! Plain Rust: XOR and `count_ones`, one query plane after the other.
//!
//! Always inlined, so that a caller compiled for the `popcnt` instruction gets it here too.

use super::QueryPlanes;

/// Adds the share of one level, times `2^shift`, to each score.
#[inline(always)]
pub(super) fn add_plane(codes: &[u64], query: QueryPlanes<'_>, shift: usize, out: &mut [i32]) {
    let full = query.full_score();
    for (code, score) in codes.chunks_exact(query.words()).zip(out) {
        *score += (full - 2 * weighted_difference(code, query)) << shift;
    }
}

/// Returns `sum over b of 2^(Q-1-b) * popcnt(code ^ q_b)`.
#[inline(always)]
fn weighted_difference(code: &[u64], query: QueryPlanes<'_>) -> i32 {
    let difference = |b: usize| -> u32 {
        code.iter().zip(query.plane(b)).map(|(x, q)| (x ^ q).count_ones()).sum()
    };
    (0..query.width()).fold(0, |sum, b| 2 * sum + difference(b) as i32)
}

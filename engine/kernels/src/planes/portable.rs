//! Plain Rust: XOR and `count_ones`, word by word.
//!
//! Always inlined, so that a caller compiled for the `popcnt` instruction gets it here too.

use super::QueryPlanes;

/// Adds the share of one level, times `2^shift`, to each score.
#[inline(always)]
pub(super) fn add_plane(codes: &[u64], query: QueryPlanes<'_>, shift: usize, out: &mut [i32]) {
    let full = query.full_score();
    for (code, score) in codes.chunks_exact(query.words()).zip(out) {
        let mut difference = 0;
        for plane in query.planes() {
            // `2 * difference` gives plane b the weight 2^(Q-1-b) in the end.
            let differing: u32 = code.iter().zip(plane).map(|(x, q)| (x ^ q).count_ones()).sum();
            difference = 2 * difference + differing as i32;
        }
        *score += (full - 2 * difference) << shift;
    }
}

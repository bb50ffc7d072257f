//! The candidate index without structure: scan every code.
//!
//! At a few nanoseconds a code this is the right choice below some hundred thousand points, and
//! the yardstick for every other candidate index.

use bigrain_binarize::QueryCode;
use roaring::RoaringBitmap;

use crate::codes::ResidentCodes;
use crate::{Candidates, CodeSlice, scan};

/// Offers every live code of a segment to `candidates`; returns how many codes were scored.
pub fn search(
    codes: &ResidentCodes,
    query: &QueryCode,
    deleted: &RoaringBitmap,
    candidates: &mut Candidates,
) -> u64 {
    let planes = codes.planes();
    let slice = CodeSlice {
        planes: &planes,
        words: codes.layout().words_per_plane(),
        factors: codes.factors(),
    };
    if deleted.is_empty() {
        scan(&slice, query, |_| false, candidates)
    } else {
        scan(&slice, query, |offset| deleted.contains(offset), candidates)
    }
}

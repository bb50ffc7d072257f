//! The safe door of the integer kernel.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::{QueryPlanes, portable};
use crate::Isa;

#[cfg(target_arch = "aarch64")]
use super::aarch64;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// The largest number of levels a code may have.
pub const MAX_LEVELS: usize = 4;

/// Codes scored between two visits of the same `out` entries: 4 KiB of scores.
const BLOCK: usize = 1024;

/// Scores `out.len()` codes: `planes` holds one slice per level, each `out.len() * words` long,
/// plane 0 (the sign) first. Bits past the last dimension must be zero, as in the query.
///
/// ```
/// use bigrain_kernels::{QueryPlanes, scan};
///
/// // Two sign codes of 3 dimensions: (+,-,+) and (-,-,-), against the query (+,-,-).
/// let query = QueryPlanes::new(&[0b001], 3)?;
/// let mut scores = [0; 2];
/// scan(&[&[0b101, 0b000]], query, &mut scores);
/// assert_eq!(scores, [1, 1]);
/// # Ok::<(), bigrain_kernels::QueryPlanesError>(())
/// ```
///
/// # Panics
///
/// When there are no levels or more than [`MAX_LEVELS`], or a level has another length.
pub fn scan(planes: &[&[u64]], query: QueryPlanes<'_>, out: &mut [i32]) {
    scan_with(Isa::best(), planes, query, out);
}

/// [`scan`] on the instruction set `isa`, or on portable code when this CPU lacks it.
///
/// # Panics
///
/// As [`scan`].
pub fn scan_with(isa: Isa, planes: &[&[u64]], query: QueryPlanes<'_>, out: &mut [i32]) {
    let words = query.words();
    assert!((1..=MAX_LEVELS).contains(&planes.len()), "codes have {} levels", planes.len());
    for plane in planes {
        assert_eq!(plane.len(), out.len() * words, "a level's length is not codes times words");
    }
    out.fill(0);
    for (block, scores) in out.chunks_mut(BLOCK).enumerate() {
        let from = block * BLOCK * words;
        for (level, plane) in planes.iter().enumerate() {
            let codes = &plane[from..from + scores.len() * words];
            add_plane(isa, codes, query, planes.len() - 1 - level, scores);
        }
    }
}

/// Scores one code; each slice of `planes` is one level of `words` words.
///
/// # Panics
///
/// As [`scan`].
#[must_use]
pub fn score_one(planes: &[&[u64]], query: QueryPlanes<'_>) -> i32 {
    let mut score = [0];
    scan(planes, query, &mut score);
    score[0]
}

/// Adds the share of one level, times `2^shift`, to each score.
fn add_plane(isa: Isa, codes: &[u64], query: QueryPlanes<'_>, shift: usize, out: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    {
        if isa == Isa::Avx512 && isa.is_available() {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { avx512::add_plane(codes, query, shift, out) };
        }
        if isa == Isa::Avx2 && isa.is_available() {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { avx2::add_plane(codes, query, shift, out) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    if isa == Isa::Neon && isa.is_available() {
        // SAFETY: `is_available` has just confirmed the CPU's features.
        return unsafe { aarch64::add_plane(codes, query, shift, out) };
    }
    let _ = isa;
    portable::add_plane(codes, query, shift, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cpu, reference};

    const DIMS: [usize; 16] =
        [1, 7, 8, 9, 63, 64, 65, 100, 129, 256, 384, 500, 768, 1000, 1536, 4096];

    /// Words from a small generator: proptest's own would take seconds for this many.
    struct Words(u64);

    impl Words {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed ^ (mixed >> 27)
        }

        /// Rows of `dims` bits with zero pads.
        fn rows(&mut self, rows: usize, dims: usize) -> Vec<u64> {
            let words = dims.div_ceil(64);
            let pads = words * 64 - dims;
            let word = |i: usize, any: u64| if i % words == words - 1 { any >> pads } else { any };
            (0..rows * words).map(|i| word(i, self.next())).collect()
        }
    }

    fn check(dims: usize, levels: usize, width: usize, codes: usize, seed: u64) {
        let mut random = Words(seed);
        let words = dims.div_ceil(64);
        let query = random.rows(width, dims);
        let query = QueryPlanes::new(&query, dims).unwrap();
        let planes: Vec<Vec<u64>> = (0..levels).map(|_| random.rows(codes, dims)).collect();
        let planes: Vec<&[u64]> = planes.iter().map(Vec::as_slice).collect();
        let code = |i: usize| -> Vec<&[u64]> {
            planes.iter().map(|plane| &plane[i * words..(i + 1) * words]).collect()
        };
        let expected: Vec<i32> = (0..codes).map(|i| reference::score(&code(i), query)).collect();
        for isa in cpu::tested() {
            let mut scores = vec![i32::MIN; codes];
            scan_with(isa, &planes, query, &mut scores);
            assert_eq!(scores, expected, "{isa}: {dims} dims, {levels} levels, {width} planes");
        }
        if codes > 0 {
            assert_eq!(score_one(&code(0), query), expected[0]);
        }
    }

    #[test]
    fn every_isa_equals_the_reference_at_every_width() {
        for dims in DIMS {
            for width in 1..=8 {
                check(dims, 1, width, 9, dims as u64);
            }
        }
    }

    #[test]
    fn blocks_join_without_a_seam() {
        check(100, 2, 4, BLOCK - 1, 1);
        check(64, 4, 2, BLOCK, 2);
        check(384, 1, 6, 2 * BLOCK + 3, 3);
    }

    #[test]
    fn the_largest_scores_fit() {
        let planes = vec![u64::MAX; 8 * 1024];
        let query = QueryPlanes::new(&planes, 65_536).unwrap();
        let level = &planes[..1024];
        let expected = 15 * 255 * 65_536;
        for isa in cpu::tested() {
            let mut score = [0];
            scan_with(isa, &[level; 4], query, &mut score);
            assert_eq!(score, [expected], "{isa}");
        }
        assert!(15 * 255 * i64::try_from(super::super::MAX_SCAN_DIMS).unwrap() < 1 << 31);
    }

    #[test]
    fn scores_are_dot_products_of_odd_integers() {
        let planes: [&[u64]; 2] = [&[0b0011], &[0b0101]];
        let query_planes: [&[u64]; 3] = [&[0b1001], &[0b1100], &[0b1010]];
        let query = query_planes.concat();
        let query = QueryPlanes::new(&query, 4).unwrap();
        let dot: i32 = (0..4)
            .map(|dim| reference::value(&planes, dim) * reference::value(&query_planes, dim))
            .sum();
        assert_eq!(reference::value(&planes, 0), 3);
        assert_eq!(score_one(&planes, query), dot);
    }

    #[test]
    #[should_panic(expected = "levels")]
    fn no_levels_is_refused() {
        scan(&[], QueryPlanes::new(&[0], 5).unwrap(), &mut []);
    }

    proptest! {
        #[test]
        fn every_isa_equals_the_reference(
            dims in 1usize..1100,
            levels in 1usize..=4,
            width in 1usize..=8,
            codes in 0usize..20,
            seed: u64,
        ) {
            check(dims, levels, width, codes, seed);
        }
    }
}

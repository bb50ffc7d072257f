//! The safe door of the block scan.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::table::{BlockTable, Group};
use super::{BLOCK_ROWS, WORD_COLUMNS, WordColumns, WordTables, portable};
use crate::Isa;

#[cfg(target_arch = "aarch64")]
use super::aarch64;
#[cfg(target_arch = "x86_64")]
use super::x86_64;

/// Blocks between two passes over the same ones, so that they stay in the cache.
const TILE: usize = 4;

/// Scores every row of `blocks`, pads included, into `out`.
///
/// The scores are those of [`scan`](crate::scan) for the same rows and query. Memory is asked for
/// ahead within `blocks`; the first 4 KiB of the list that follows are for the caller to
/// [`prefetch`](crate::prefetch).
///
/// ```
/// use bigrain_kernels::{BlockTable, QueryPlanes, block_bytes, pack_blocks, scan_blocks};
///
/// // Two sign codes of 3 dimensions: (+,-,+) and (-,-,-), against the query (+,-,-).
/// let mut blocks = vec![0; block_bytes(3)];
/// pack_blocks(&[0b101, 0b000], 1, &mut blocks);
/// let mut table = BlockTable::default();
/// table.rebuild(QueryPlanes::new(&[0b001], 3)?);
/// let mut scores = [0; 32];
/// scan_blocks(&blocks, &table, &mut scores);
/// assert_eq!(scores[..2], [1, 1]);
/// # Ok::<(), bigrain_kernels::QueryPlanesError>(())
/// ```
///
/// # Panics
///
/// When `out` is not [`BLOCK_ROWS`] scores for each block, or `blocks` not whole blocks of the
/// table's dimensions.
pub fn scan_blocks(blocks: &[u8], table: &BlockTable, out: &mut [i32]) {
    scan_blocks_with(Isa::best(), blocks, table, out);
}

/// [`scan_blocks`] on the instruction set `isa`, or on portable code when this CPU lacks it.
///
/// # Panics
///
/// As [`scan_blocks`].
pub fn scan_blocks_with(isa: Isa, blocks: &[u8], table: &BlockTable, out: &mut [i32]) {
    let (scores, rest) = out.as_chunks_mut::<BLOCK_ROWS>();
    assert!(rest.is_empty(), "{} scores past the last block", rest.len());
    let expected = scores.len() * table.words() * size_of::<WordColumns>();
    assert_eq!(blocks.len(), expected, "the blocks have another length than their scores");
    if blocks.is_empty() {
        return scores.as_flattened_mut().fill(0);
    }
    let (columns, _) = blocks.as_chunks::<BLOCK_ROWS>();
    let (words, _) = columns.as_chunks::<WORD_COLUMNS>();
    let tile = if table.passes().len() > 1 { TILE } else { scores.len() };
    for (words, scores) in words.chunks(tile * table.words()).zip(scores.chunks_mut(tile)) {
        scan_tile(isa, words, table, scores);
    }
}

fn scan_tile(isa: Isa, words: &[WordColumns], table: &BlockTable, out: &mut [[i32; BLOCK_ROWS]]) {
    let mut start = Some(-table.offset());
    for stretch in table.passes() {
        let pass = Pass {
            stride: table.words(),
            first: stretch.words.start,
            tables: table.tables_of(stretch),
            group: stretch.group,
            shift: stretch.shift,
            start: start.take(),
        };
        add_pass(isa, words, &pass, out);
    }
}

/// What to add to the scores of some blocks.
pub(super) struct Pass<'a> {
    /// Words of a row.
    pub(super) stride: usize,
    /// The first word to look at, of each row.
    first: usize,
    /// Tables of that word and those after it.
    pub(super) tables: &'a [WordTables],
    pub(super) group: Group,
    /// The sum of entries counts `2^shift` times.
    pub(super) shift: u32,
    /// What scores start from; the scores as they are if there is none.
    pub(super) start: Option<i32>,
}

impl Pass<'_> {
    /// Returns the words of the pass in the first of some blocks.
    #[inline]
    pub(super) fn words<'b>(&self, blocks: &'b [WordColumns]) -> &'b [WordColumns] {
        &blocks[self.first..self.first + self.tables.len()]
    }

    /// Returns the words of the pass in the first two of some blocks.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) fn pair<'b>(&self, blocks: &'b [WordColumns]) -> [&'b [WordColumns]; 2] {
        [self.words(blocks), self.words(&blocks[self.stride..])]
    }
}

fn add_pass(isa: Isa, words: &[WordColumns], pass: &Pass<'_>, out: &mut [[i32; BLOCK_ROWS]]) {
    #[cfg(target_arch = "x86_64")]
    {
        if isa == Isa::Avx512 && isa.is_available() {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { x86_64::avx512::add_pass(words, pass, out) };
        }
        if isa == Isa::Avx2 && isa.is_available() {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { x86_64::avx2::add_pass(words, pass, out) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    if isa == Isa::Neon && isa.is_available() {
        // SAFETY: `is_available` has just confirmed the CPU's features.
        return unsafe { aarch64::add_pass(words, pass, out) };
    }
    let _ = isa;
    portable::add_pass(words, pass, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::support::{self, Kind};
    use super::*;
    use crate::{QueryPlanes, block_bytes, cpu, pack_blocks, reference, scan_with};

    /// Scores `plane` against `query` in blocks and row by row, on every instruction set.
    fn check(dims: usize, query: &[u64], plane: &[u64], what: impl std::fmt::Debug) {
        let query = QueryPlanes::new(query, dims).unwrap();
        let rows = plane.len() / query.words();
        let blocks = rows.div_ceil(BLOCK_ROWS);
        let mut packed = vec![0; blocks * block_bytes(dims)];
        pack_blocks(plane, query.words(), &mut packed);
        let mut expected = vec![0; rows];
        scan_with(Isa::Portable, &[plane], query, &mut expected);
        let mut table = BlockTable::default();
        for isa in cpu::tested() {
            table.rebuild_with(isa, query);
            let mut scores = vec![i32::MIN; blocks * BLOCK_ROWS];
            scan_blocks_with(isa, &packed, &table, &mut scores);
            assert_eq!(scores[..rows], expected, "{isa}: {what:?}");
        }
    }

    fn check_random(dims: usize, width: usize, rows: usize, kind: Kind, seed: u64) {
        let query = kind.planes(dims, width, seed);
        let plane = support::rows(rows, dims, !seed);
        check(dims, &query, &plane, (dims, width, rows, kind, seed));
    }

    #[test]
    fn every_isa_equals_the_scan_of_rows_at_every_width() {
        for dims in [64, 128, 192, 768, 1536, 4096] {
            for width in 1..=8 {
                for kind in Kind::ALL {
                    check_random(dims, width, 33, kind, dims as u64);
                }
            }
        }
    }

    #[test]
    fn blocks_may_be_full_or_not() {
        for rows in [0, 1, 31, 32, 33, 63, 64, 65, 96, 97, 160, 257] {
            check_random(128, 6, rows, Kind::Uniform, 1);
            check_random(64, 8, rows, Kind::Uniform, 2);
        }
    }

    #[test]
    fn the_largest_sums_fit() {
        for (dims, kind) in [(64, Kind::Alternating), (1024, Kind::Largest)]
            .into_iter()
            .chain([1088, 4096, 65_536].map(|dims| (dims, Kind::Largest)))
        {
            for width in 1..=8 {
                let words = dims / 64;
                let query = kind.planes(dims, width, 3);
                let agree = query[..words].to_vec();
                let oppose: Vec<u64> = agree.iter().map(|word| !word).collect();
                check(dims, &query, &[agree, oppose].concat(), (dims, width, kind));
                let ones = vec![u64::MAX; words];
                check(dims, &ones.repeat(width), &ones, (dims, width));
            }
        }
    }

    #[test]
    fn scores_are_dot_products_of_signs_and_odd_integers() {
        let query = Kind::Uniform.planes(70, 5, 9);
        let plane = support::rows(1, 70, 10);
        let mut blocks = vec![0; block_bytes(70)];
        pack_blocks(&plane, 2, &mut blocks);
        let mut table = BlockTable::default();
        table.rebuild(QueryPlanes::new(&query, 70).unwrap());
        let mut scores = [0; BLOCK_ROWS];
        scan_blocks(&blocks, &table, &mut scores);
        let query: Vec<&[u64]> = query.chunks(2).collect();
        let dot: i32 = (0..70)
            .map(|dim| reference::value(&[&plane], dim) * reference::value(&query, dim))
            .sum();
        assert_eq!(scores[0], dot);
    }

    #[test]
    fn a_table_can_be_rebuilt_for_a_query_of_another_shape() {
        let (wide, narrow) = (Kind::Uniform.planes(256, 8, 1), Kind::Uniform.planes(64, 2, 2));
        let (mut table, mut fresh) = (BlockTable::default(), BlockTable::default());
        table.rebuild(QueryPlanes::new(&wide, 256).unwrap());
        table.rebuild(QueryPlanes::new(&narrow, 64).unwrap());
        fresh.rebuild(QueryPlanes::new(&narrow, 64).unwrap());
        let blocks: Vec<u8> = (0..=255).collect();
        let (mut scores, mut expected) = ([0; BLOCK_ROWS], [1; BLOCK_ROWS]);
        scan_blocks(&blocks, &table, &mut scores);
        scan_blocks(&blocks, &fresh, &mut expected);
        assert_eq!(scores, expected);
    }

    #[test]
    #[should_panic(expected = "another length")]
    fn blocks_of_other_dimensions_are_refused() {
        let mut table = BlockTable::default();
        table.rebuild(QueryPlanes::new(&[0; 2], 128).unwrap());
        scan_blocks(&[0; 256], &table, &mut [0; BLOCK_ROWS]);
    }

    #[test]
    #[should_panic(expected = "past the last block")]
    fn scores_of_a_part_of_a_block_are_refused() {
        scan_blocks(&[], &BlockTable::default(), &mut [0; 31]);
    }

    #[test]
    fn a_table_that_was_never_built_scores_codes_of_no_dimensions() {
        scan_blocks(&[], &BlockTable::default(), &mut []);
        let mut scores = [7; BLOCK_ROWS];
        scan_blocks(&[], &BlockTable::default(), &mut scores);
        assert_eq!(scores, [0; BLOCK_ROWS]);
    }

    proptest! {
        #[test]
        fn every_isa_equals_the_scan_of_rows(
            dims in 1usize..1100,
            width in 1usize..=8,
            rows in 0usize..100,
            kind in prop::sample::select(Kind::ALL.to_vec()),
            seed: u64,
        ) {
            check_random(dims, width, rows, kind, seed);
        }
    }
}

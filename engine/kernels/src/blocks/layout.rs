//! Where the bits of a block lie: packing rows into blocks and taking one out again.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::{WORD_COLUMNS, WordColumns, portable};
use crate::Isa;

#[cfg(target_arch = "x86_64")]
use super::x86_64;

/// Rows of a block.
pub const BLOCK_ROWS: usize = 32;

/// Returns the bytes of one block of codes of `dims` dimensions, rounded up to whole words:
/// `4 * dims` where `dims` is a multiple of 64.
///
/// ```
/// assert_eq!(bigrain_kernels::block_bytes(768), 3072);
/// ```
#[must_use]
pub const fn block_bytes(dims: usize) -> usize {
    dims.div_ceil(64) * WORD_COLUMNS * BLOCK_ROWS
}

/// Packs rows of `words` words, one after the other, into blocks; the rows that the last block
/// lacks become zeros.
///
/// ```
/// use bigrain_kernels::{block_bytes, pack_blocks, unpack_row};
///
/// let rows = [0x0123_4567_89ab_cdef, 7, 42];
/// let mut blocks = vec![0; block_bytes(64)];
/// pack_blocks(&rows, 1, &mut blocks);
/// assert_eq!(blocks[..4], [0xef, 7, 42, 0]);
///
/// let mut row = [0];
/// unpack_row(&blocks, 64, 0, &mut row);
/// assert_eq!(row, rows[..1]);
/// ```
///
/// # Panics
///
/// When `words` is zero, `plane` is not whole rows, or `out` is not as many blocks as they fill.
pub fn pack_blocks(plane: &[u64], words: usize, out: &mut [u8]) {
    pack_blocks_with(Isa::best(), plane, words, out);
}

/// [`pack_blocks`] on the instruction set `isa`, or on portable code when it has none of its own.
///
/// # Panics
///
/// As [`pack_blocks`].
pub fn pack_blocks_with(isa: Isa, plane: &[u64], words: usize, out: &mut [u8]) {
    assert!(words > 0, "rows of no words");
    assert!(plane.len().is_multiple_of(words), "{} words are not rows of {words}", plane.len());
    let expected = (plane.len() / words).div_ceil(BLOCK_ROWS) * block_bytes(64 * words);
    assert_eq!(out.len(), expected, "the blocks have another length than the rows fill");
    let (columns, _) = out.as_chunks_mut::<BLOCK_ROWS>();
    let (block_words, _) = columns.as_chunks_mut::<WORD_COLUMNS>();
    let blocks = block_words.chunks_exact_mut(words);
    for (rows, block) in plane.chunks(words * BLOCK_ROWS).zip(blocks) {
        pack_block(isa, rows, words, block);
    }
}

fn pack_block(isa: Isa, rows: &[u64], words: usize, block: &mut [WordColumns]) {
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Avx2 | Isa::Avx512) && isa.is_available() {
        // SAFETY: `is_available` has just confirmed AVX2, which `Isa::Avx512` includes.
        return unsafe { x86_64::pack_block(rows, words, block) };
    }
    let _ = isa;
    portable::pack_block(rows, words, block);
}

/// Takes one row of codes of `dims` dimensions out of blocks and writes its words.
///
/// Reads one byte of every column, so two of them share a cache line: for a few rows, not for
/// all.
///
/// # Panics
///
/// When `blocks` has no row `row`, or `out` is not the words of a row.
pub fn unpack_row(blocks: &[u8], dims: usize, row: usize, out: &mut [u64]) {
    let bytes = block_bytes(dims);
    assert_eq!(out.len(), dims.div_ceil(64), "the row has another number of words");
    let block = &blocks[row / BLOCK_ROWS * bytes..][..bytes];
    let (columns, _) = block.as_chunks::<BLOCK_ROWS>();
    let (block_words, _) = columns.as_chunks::<WORD_COLUMNS>();
    for (word, columns) in out.iter_mut().zip(block_words) {
        *word = u64::from_le_bytes(std::array::from_fn(|k| columns[k][row % BLOCK_ROWS]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::support;
    use super::*;
    use crate::{cpu, reference};

    fn check(plane: &[u64], words: usize) {
        let rows = plane.len() / words;
        let blocks = rows.div_ceil(BLOCK_ROWS);
        for isa in cpu::tested() {
            let mut packed = vec![0xa5; blocks * block_bytes(64 * words)];
            pack_blocks_with(isa, plane, words, &mut packed);
            for row in 0..blocks * BLOCK_ROWS {
                let mut unpacked = vec![1; words];
                unpack_row(&packed, 64 * words, row, &mut unpacked);
                let zeros = vec![0; words];
                let expected = plane.chunks(words).nth(row).unwrap_or(&zeros);
                assert_eq!(unpacked, expected, "{isa}: row {row} of {rows}, {words} words");
                let spelled = (0..words).map(|w| {
                    (0..64).fold(0, |word, bit| {
                        let dim = 64 * w + bit;
                        word | u64::from(reference::block_bit(&packed, words, row, dim)) << bit
                    })
                });
                assert!(spelled.eq(expected.iter().copied()), "{isa}: bits of row {row}");
            }
        }
    }

    #[test]
    fn no_rows_are_no_blocks() {
        pack_blocks(&[], 3, &mut []);
    }

    #[test]
    #[should_panic(expected = "another length")]
    fn a_short_buffer_is_refused() {
        pack_blocks(&[1; 33], 1, &mut [0; 256]);
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn a_row_past_the_blocks_is_refused() {
        unpack_row(&[0; 256], 64, 32, &mut [0]);
    }

    proptest! {
        #[test]
        fn packed_rows_come_out_again(
            words in 1usize..=13,
            rows in prop_oneof![0usize..4, 31usize..34, 63usize..66],
            seed: u64,
        ) {
            check(&support::words(seed).take(words * rows).collect::<Vec<_>>(), words);
        }
    }
}

//! Plain Rust, left to the compiler.

use super::bounds::{Bounded, Limits, RowBlock, Rows};
use super::scan::Pass;
use super::table::Magnitudes;
use super::{BLOCK_ROWS, WordColumns, WordLargest, WordTables};
use crate::half_to_f32;

/// Transposes up to 32 rows of `words` words into the columns of a block.
pub(super) fn pack_block(rows: &[u64], words: usize, block: &mut [WordColumns]) {
    for (w, columns) in block.iter_mut().enumerate() {
        pack_word(rows, words, w, columns);
    }
}

/// Transposes word `w` of up to 32 rows.
#[inline(always)]
pub(super) fn pack_word(rows: &[u64], words: usize, w: usize, columns: &mut WordColumns) {
    let mut word = [0; BLOCK_ROWS];
    for (word, row) in word.iter_mut().zip(rows.chunks_exact(words)) {
        *word = row[w];
    }
    for (k, column) in columns.iter_mut().enumerate() {
        *column = word.map(|word| (word >> (8 * k)) as u8);
    }
}

/// Writes the tables of each word, and the largest entry of each table.
pub(super) fn build_tables(
    query: &Magnitudes<'_>,
    tables: &mut [WordTables],
    largest: &mut [WordLargest],
) {
    for (w, (tables, largest)) in tables.iter_mut().zip(largest).enumerate() {
        let signs = query.signs[w].to_le_bytes();
        for (k, (tables, largest)) in tables.iter_mut().zip(largest).enumerate() {
            let byte = |plane: &[u64]| plane[w].to_le_bytes()[k];
            let magnitudes = query.planes().fold(0, |sum, plane| 2 * sum + spread(byte(plane)));
            let magnitudes = magnitudes.to_le_bytes();
            let (magnitudes, _) = magnitudes.as_chunks::<4>();
            for (nibble, magnitudes) in magnitudes.iter().enumerate() {
                let differing = !signs[k] >> (4 * nibble) & 0xf;
                tables[nibble] = build_table(magnitudes, differing);
                largest[nibble] = magnitudes.iter().sum();
            }
        }
    }
}

/// Returns, for each nibble, the sum of the magnitudes whose bits differ from `differing`.
fn build_table(magnitudes: &[u8; 4], differing: u8) -> [u8; 16] {
    let mut table = [0; 16];
    for (i, magnitude) in magnitudes.iter().enumerate() {
        let (known, next) = table.split_at_mut(1 << i);
        for (next, known) in next.iter_mut().zip(known) {
            *next = *known + magnitude;
        }
    }
    std::array::from_fn(|nibble| table[nibble ^ usize::from(differing)])
}

/// Spreads the bits of a byte over the bytes of a word: byte `i` is bit `i`, 0 or 1.
fn spread(byte: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let one_bit_each = (u64::from(byte) * ONES) & 0x8040_2010_0804_0201;
    // Carries a byte that is not zero into its highest bit, and out of no byte.
    ((one_bit_each + 0x7f * ONES) >> 7) & ONES
}

/// Adds the share of a pass to the scores of each block.
pub(super) fn add_pass(words: &[WordColumns], pass: &Pass<'_>, out: &mut [[i32; BLOCK_ROWS]]) {
    for (block, scores) in words.chunks_exact(pass.stride).zip(out) {
        let mut sums = [0_u16; BLOCK_ROWS];
        let columns = pass.words(block).as_flattened();
        for (column, [low, high]) in columns.iter().zip(pass.tables.as_flattened()) {
            for (sum, &byte) in sums.iter_mut().zip(column) {
                let entries = [low[usize::from(byte & 0xf)], high[usize::from(byte >> 4)]];
                *sum += u16::from(entries[0]) + u16::from(entries[1]);
            }
        }
        for (score, sum) in scores.iter_mut().zip(sums) {
            *score = pass.start.unwrap_or(*score) + (i32::from(sum) << pass.shift);
        }
    }
}

/// Bounds rows, a block at a time.
pub(super) fn bound(rows: Rows<'_>, limits: &Limits, out: &mut Bounded<'_>) {
    rows.for_each_block(out, |block, similarities, uppers| {
        bound_block(block, limits, similarities, uppers)
    });
}

fn bound_block(
    rows: RowBlock<'_>,
    Limits { bounds, threshold }: &Limits,
    similarities: &mut [f32; BLOCK_ROWS],
    uppers: &mut [f32; BLOCK_ROWS],
) -> u32 {
    for i in 0..BLOCK_ROWS {
        let part = half_to_f32(rows.rescale[i]) * bounds.scale * rows.scores[i] as f32;
        let slack = half_to_f32(rows.error[i]) * bounds.error + part.abs() * bounds.bias;
        similarities[i] = rows.add[i] + bounds.constant + part;
        uppers[i] = similarities[i] + slack;
    }
    uppers.iter().enumerate().fold(0, |survivors, (i, upper)| {
        let below = upper < threshold;
        survivors | u32::from(!below) << i
    })
}

//! Packing: 32 rows are transposed in registers, two words at a time.

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::x86_64::*;

use crate::blocks::{BLOCK_ROWS, Column, WordColumns, portable};

/// Transposes up to 32 rows of `words` words into the columns of a block.
///
/// Two words of 32 rows at a time: row `i` and row `i + 16` share a register, so that a
/// transposition of 16 by 16 bytes in each lane leaves one column in each register. What does not
/// fill that is left to the compiler.
#[target_feature(enable = "avx2")]
pub(in crate::blocks) fn pack_block(rows: &[u64], words: usize, block: &mut [WordColumns]) {
    if rows.len() < BLOCK_ROWS * words {
        return portable::pack_block(rows, words, block);
    }
    let (pairs, last) = block.as_chunks_mut::<2>();
    for (i, columns) in pairs.iter_mut().enumerate() {
        let mut registers = [_mm256_setzero_si256(); 16];
        for (row, register) in registers.iter_mut().enumerate() {
            let low = load_pair(&rows[row * words + 2 * i..]);
            let high = load_pair(&rows[(row + 16) * words + 2 * i..]);
            *register = _mm256_set_m128i(high, low);
        }
        let registers = interleave(interleave(interleave(interleave(registers))));
        for (bytes, column) in registers.into_iter().zip(columns.as_flattened_mut()) {
            store_column(bytes, column);
        }
    }
    if let [columns] = last {
        portable::pack_word(rows, words, words - 1, columns);
    }
}

/// One of four steps that transpose 16 by 16 bytes in each lane, where register `i` holds row `i`.
///
/// Interleaving registers `i` and `i + 8` moves the highest bit of a byte's row to the lowest bit of
/// its position, and the highest bit of the position to the lowest of the register. Four times
/// that, and rows and positions have changed places.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave(rows: [__m256i; 16]) -> [__m256i; 16] {
    let mut interleaved = rows;
    for i in 0..8 {
        interleaved[2 * i] = _mm256_unpacklo_epi8(rows[i], rows[i + 8]);
        interleaved[2 * i + 1] = _mm256_unpackhi_epi8(rows[i], rows[i + 8]);
    }
    interleaved
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_pair(words: &[u64]) -> __m128i {
    let pair = &words[..2];
    // SAFETY: `pair` is 16 readable bytes; no alignment is asked for.
    unsafe { _mm_loadu_si128(pair.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_column(bytes: __m256i, column: &mut Column) {
    // SAFETY: the array is 32 writable bytes; no alignment is asked for.
    unsafe { _mm256_storeu_si256(column.as_mut_ptr().cast(), bytes) }
}

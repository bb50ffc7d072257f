//! Tables: the sixteen entries of two nibbles are counted at once.

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::x86_64::*;

use crate::blocks::table::{Magnitudes, TABLE_WIDTH};
use crate::blocks::{ColumnTables, WordLargest, WordTables};

/// Writes the tables of each column, and the largest entry of each table.
///
/// For the nibble `x` of a table, `same` is where its bits are the signs of the query. The entry
/// is the sum of the magnitudes there: for each of their planes, a shuffle counts the bits that
/// `same` and the plane share.
#[target_feature(enable = "avx2")]
pub(in crate::blocks) fn build_tables(
    query: &Magnitudes<'_>,
    tables: &mut [WordTables],
    largest: &mut [WordLargest],
) {
    let counts = weighted_counts(query.planes().len());
    for (w, (tables, largest)) in tables.iter_mut().zip(largest).enumerate() {
        let mut sums = _mm_setzero_si128();
        for (counts, plane) in counts.iter().zip(query.planes()) {
            let more = _mm_shuffle_epi8(_mm256_castsi256_si128(*counts), nibbles(plane[w]));
            sums = _mm_add_epi8(sums, more);
        }
        store_largest(sums, largest);
        let (halves, _) = tables.as_chunks_mut::<4>();
        for (half, tables) in halves.iter_mut().enumerate() {
            let byte = |k: usize| _mm256_set1_epi8((4 * half + k) as i8);
            let negative = shift_high_lane(!query.signs[w]);
            let mut same = [_mm256_setzero_si256(); 4];
            for (k, same) in same.iter_mut().enumerate() {
                *same = same_bits(negative, byte(k));
            }
            let mut entries = [_mm256_setzero_si256(); 4];
            for (counts, plane) in counts.iter().zip(query.planes()) {
                let plane = shift_high_lane(plane[w]);
                for (k, entries) in entries.iter_mut().enumerate() {
                    let shared = _mm256_and_si256(same[k], _mm256_shuffle_epi8(plane, byte(k)));
                    *entries = _mm256_add_epi8(*entries, _mm256_shuffle_epi8(*counts, shared));
                }
            }
            for (entries, tables) in entries.into_iter().zip(tables) {
                store_tables(entries, tables);
            }
        }
    }
}

/// Returns, for each plane of magnitudes, the number of bits in each nibble times the plane's
/// weight.
#[inline]
#[target_feature(enable = "avx2")]
fn weighted_counts(planes: usize) -> [__m256i; TABLE_WIDTH] {
    let counts = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, //
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let mut counts = [counts; TABLE_WIDTH];
    for (b, counts) in counts.iter_mut().enumerate().take(planes) {
        let shift = _mm_cvtsi32_si128((planes - 1 - b) as i32);
        // At most 4 * 32: no bit crosses into the next byte.
        *counts = _mm256_sll_epi16(*counts, shift);
    }
    counts
}

/// Returns where the bits of each of the sixteen nibbles are not those of a nibble of `negative`,
/// in both lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn same_bits(negative: __m256i, byte: __m256i) -> __m256i {
    let numbers = _mm256_setr_epi8(
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, //
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    );
    let negative = _mm256_shuffle_epi8(negative, byte);
    _mm256_and_si256(_mm256_xor_si256(numbers, negative), _mm256_set1_epi8(0x0f))
}

/// Returns a word in both lanes, such that the low four bits of each byte are its low nibble in the
/// low lane and its high nibble in the high lane.
#[inline]
#[target_feature(enable = "avx2")]
fn shift_high_lane(word: u64) -> __m256i {
    let word = _mm256_set1_epi64x(word as i64);
    _mm256_srlv_epi64(word, _mm256_setr_epi64x(0, 0, 4, 4))
}

/// Returns the sixteen nibbles of a word, the lowest first.
#[inline]
#[target_feature(enable = "avx2")]
fn nibbles(word: u64) -> __m128i {
    let word = _mm_cvtsi64_si128(word as i64);
    let both = _mm_unpacklo_epi8(word, _mm_srli_epi16::<4>(word));
    _mm_and_si128(both, _mm_set1_epi8(0x0f))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_tables(entries: __m256i, tables: &mut ColumnTables) {
    // SAFETY: two tables are 32 writable bytes; no alignment is asked for.
    unsafe { _mm256_storeu_si256(tables.as_mut_ptr().cast(), entries) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_largest(sums: __m128i, largest: &mut WordLargest) {
    // SAFETY: a word's columns have 16 writable bytes; no alignment is asked for.
    unsafe { _mm_storeu_si128(largest.as_mut_ptr().cast(), sums) }
}

//! AVX2: a register holds a column, byte shuffles look up its nibbles.
//!
//! # The inner loop
//!
//! For each column: two masks and a shift make the indices of the low and the high nibbles, two
//! shuffles look them up, and two additions add the entries to the group's byte sums. At the end of
//! a group the byte sums of 32 rows are added to 16-bit sums in three more instructions:
//!
//! ```text
//!  bytes   [ b0 b1 | b2 b3 | ... | b30 b31 ]     taken as sixteen 16-bit lanes b(2i) + 256 b(2i+1)
//!  both += bytes                                 sum b(2i) + 256 sum b(2i+1), modulo 2^16
//!  odd  += bytes >> 8                            sum b(2i+1)
//!          both - 256 odd                        sum b(2i), once per pass
//! ```
//!
//! Two blocks go together, so that a table is loaded once for both. A word of each row, eight
//! columns, is unrolled.

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::x86_64::*;

use super::bounds::{Bounded, Limits, RowBlock, Rows};
use super::scan::Pass;
use super::table::{Group, Magnitudes, TABLE_WIDTH};
use super::{BLOCK_ROWS, Column, ColumnTables, WordColumns, WordLargest, WordTables, portable};
use crate::prefetch::{LINE_BYTES, prefetch_line_of};

/// How far ahead memory is asked for, rounded up to whole pairs of blocks. Less comes too late when
/// codes are not in the cache, more is lost at the end of a list.
const PREFETCH_BYTES: usize = 4096;

/// Transposes up to 32 rows of `words` words into the columns of a block.
///
/// Two words of 32 rows at a time: row `i` and row `i + 16` share a register, so that a
/// transposition of 16 by 16 bytes in each lane leaves one column in each register. What does not
/// fill that is left to the compiler.
#[target_feature(enable = "avx2")]
pub(super) fn pack_block(rows: &[u64], words: usize, block: &mut [WordColumns]) {
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

/// Adds the share of a pass to the scores of each block.
#[target_feature(enable = "avx2")]
pub(super) fn add_pass(words: &[WordColumns], pass: &Pass<'_>, out: &mut [[i32; BLOCK_ROWS]]) {
    match pass.group {
        Group::One => add_groups::<1>(words, pass, out),
        Group::Two => add_groups::<2>(words, pass, out),
        Group::Four => add_groups::<4>(words, pass, out),
        Group::Eight => add_groups::<8>(words, pass, out),
        Group::Sixteen => add_groups::<16>(words, pass, out),
    }
}

/// Adds groups of `G` entries. Not inlined, because five copies in one function crowd each other
/// out of the registers.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn add_groups<const G: usize>(
    words: &[WordColumns],
    pass: &Pass<'_>,
    out: &mut [[i32; BLOCK_ROWS]],
) {
    let pair_words = 2 * pass.stride;
    let ahead = PREFETCH_BYTES.div_ceil(pair_words * size_of::<WordColumns>()) * pair_words;
    let (pairs_out, last_out) = out.as_chunks_mut::<2>();
    for (i, [out_a, out_b]) in pairs_out.iter_mut().enumerate() {
        let pair = &words[i * pair_words..];
        // Towards the end nothing is left to ask for, and asking for what is there costs nothing.
        let ahead = pair.get(ahead..ahead + pair_words).unwrap_or(pair);
        let [a, b] = sum::<G, 2>(pass.pair(pair), pass.pair(ahead), pass.tables);
        add_to_scores(a, pass, out_a);
        add_to_scores(b, pass, out_b);
    }
    if let [out] = last_out {
        let block = [pass.words(&words[words.len() - pass.stride..])];
        let [sums] = sum::<G, 1>(block, block, pass.tables);
        add_to_scores(sums, pass, out);
    }
}

/// Sums of the entries of 32 rows in 16 bits, as the picture above shows.
#[derive(Clone, Copy)]
struct WideSums {
    both: __m256i,
    odd: __m256i,
}

/// Sums the entries of `N` blocks in groups of `G`, and asks for the words of `ahead`.
#[inline]
#[target_feature(enable = "avx2")]
fn sum<const G: usize, const N: usize>(
    blocks: [&[WordColumns]; N],
    ahead: [&[WordColumns]; N],
    tables: &[WordTables],
) -> [WideSums; N] {
    let zero = _mm256_setzero_si256();
    let mut sums = [WideSums { both: zero, odd: zero }; N];
    assert!(blocks.iter().chain(&ahead).all(|words| words.len() == tables.len()));
    for (w, tables) in tables.iter().enumerate() {
        for ahead in ahead {
            for line in 0..size_of::<WordColumns>() / LINE_BYTES {
                prefetch_line_of(&ahead[w][line * LINE_BYTES / BLOCK_ROWS]);
            }
        }
        let mut bytes = [zero; N];
        for (c, [low, high]) in tables.iter().enumerate() {
            let (low, high) = (broadcast(low), broadcast(high));
            for n in 0..N {
                let [low, high] = look_up(load(&blocks[n][w][c]), low, high);
                if G == 1 {
                    sums[n].add(low);
                    sums[n].add(high);
                    continue;
                }
                bytes[n] = _mm256_add_epi8(bytes[n], _mm256_add_epi8(low, high));
                if (2 * c + 2) % G == 0 {
                    sums[n].add(bytes[n]);
                    bytes[n] = zero;
                }
            }
        }
    }
    sums
}

impl WideSums {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, bytes: __m256i) {
        self.both = _mm256_add_epi16(self.both, bytes);
        self.odd = _mm256_add_epi16(self.odd, _mm256_srli_epi16::<8>(bytes));
    }
}

/// Returns the entries of the low and the high nibbles of a column.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(column: __m256i, low: __m256i, high: __m256i) -> [__m256i; 2] {
    let nibble = _mm256_set1_epi8(0x0f);
    let low_nibbles = _mm256_and_si256(column, nibble);
    let high_nibbles = _mm256_and_si256(_mm256_srli_epi16::<4>(column), nibble);
    [_mm256_shuffle_epi8(low, low_nibbles), _mm256_shuffle_epi8(high, high_nibbles)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_to_scores(sums: WideSums, pass: &Pass<'_>, scores: &mut [i32; BLOCK_ROWS]) {
    let odd = sums.odd;
    let even = _mm256_sub_epi16(sums.both, _mm256_slli_epi16::<8>(odd));
    // Rows 0..8 and 16..24; rows 8..16 and 24..32.
    let (first, second) = (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd));
    let eights = [
        _mm256_castsi256_si128(first),
        _mm256_castsi256_si128(second),
        _mm256_extracti128_si256::<1>(first),
        _mm256_extracti128_si256::<1>(second),
    ];
    let shift = _mm_cvtsi32_si128(pass.shift as i32);
    let (scores, _) = scores.as_chunks_mut::<8>();
    for (eight, scores) in eights.into_iter().zip(scores) {
        let share = _mm256_sll_epi32(_mm256_cvtepu16_epi32(eight), shift);
        let at: *mut __m256i = scores.as_mut_ptr().cast();
        // SAFETY: `scores` is 32 bytes that may be read and written; no alignment is asked for.
        unsafe {
            let start = match pass.start {
                Some(start) => _mm256_set1_epi32(start),
                None => _mm256_loadu_si256(at),
            };
            _mm256_storeu_si256(at, _mm256_add_epi32(start, share));
        }
    }
}

/// Writes the tables of each column, and the largest entry of each table.
///
/// For the nibble `x` of a table, `same` is where its bits are the signs of the query. The entry
/// is the sum of the magnitudes there: for each of their planes, a shuffle counts the bits that
/// `same` and the plane share.
#[target_feature(enable = "avx2")]
pub(super) fn build_tables(
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

/// Bounds rows, a block at a time.
#[target_feature(enable = "avx2,f16c")]
pub(super) fn bound(rows: Rows<'_>, limits: &Limits, out: &mut Bounded<'_>) {
    rows.for_each_block(out, |block, similarities, uppers| {
        bound_block(block, limits, similarities, uppers)
    });
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn bound_block(
    rows: RowBlock<'_>,
    Limits { bounds, threshold }: &Limits,
    similarities: &mut [f32; BLOCK_ROWS],
    uppers: &mut [f32; BLOCK_ROWS],
) -> u32 {
    let (scores, _) = rows.scores.as_chunks::<8>();
    let (add, _) = rows.add.as_chunks::<8>();
    let (rescale, _) = rows.rescale.as_chunks::<8>();
    let (error, _) = rows.error.as_chunks::<8>();
    let (similarities, _) = similarities.as_chunks_mut::<8>();
    let (uppers, _) = uppers.as_chunks_mut::<8>();
    let magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(i32::MAX));
    let mut survivors = 0;
    for i in 0..BLOCK_ROWS / 8 {
        let rescale = _mm256_mul_ps(load_halves(&rescale[i]), _mm256_set1_ps(bounds.scale));
        let part = _mm256_mul_ps(rescale, load_as_f32(&scores[i]));
        let constant = _mm256_add_ps(load_f32(&add[i]), _mm256_set1_ps(bounds.constant));
        let similarity = _mm256_add_ps(constant, part);
        let error = _mm256_mul_ps(load_halves(&error[i]), _mm256_set1_ps(bounds.error));
        let bias = _mm256_mul_ps(_mm256_and_ps(part, magnitude), _mm256_set1_ps(bounds.bias));
        let upper = _mm256_add_ps(similarity, _mm256_add_ps(error, bias));
        // "Not less than", true where either is not a number.
        let survives = _mm256_cmp_ps::<_CMP_NLT_UQ>(upper, _mm256_set1_ps(*threshold));
        survivors |= (_mm256_movemask_ps(survives) as u32) << (8 * i);
        store_f32(similarity, &mut similarities[i]);
        store_f32(upper, &mut uppers[i]);
    }
    survivors
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

#[inline]
#[target_feature(enable = "avx2")]
fn load(column: &Column) -> __m256i {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    unsafe { _mm256_loadu_si256(column.as_ptr().cast()) }
}

/// Loads a table into both lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn broadcast(table: &[u8; 16]) -> __m256i {
    // SAFETY: the array is 16 readable bytes; no alignment is asked for.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
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

#[inline]
#[target_feature(enable = "avx2")]
fn load_f32(numbers: &[f32; 8]) -> __m256 {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    unsafe { _mm256_loadu_ps(numbers.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_as_f32(numbers: &[i32; 8]) -> __m256 {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    _mm256_cvtepi32_ps(unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn load_halves(halves: &[u16; 8]) -> __m256 {
    // SAFETY: the array is 16 readable bytes; no alignment is asked for.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(halves.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_f32(register: __m256, numbers: &mut [f32; 8]) {
    // SAFETY: the array is 32 writable bytes; no alignment is asked for.
    unsafe { _mm256_storeu_ps(numbers.as_mut_ptr(), register) }
}

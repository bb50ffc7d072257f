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
//! Two blocks go together, so that a table is loaded once for both.

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::x86_64::*;

use super::bounds::{Bounded, Limits, RowBlock, Rows};
use super::layout::WORD_COLUMNS;
use super::scan::Pass;
use super::table::{Group, Magnitudes, TABLE_WIDTH};
use super::{BLOCK_ROWS, Column, ColumnTables, portable};

/// Transposes up to 32 rows of `words` words into the columns of a block.
#[target_feature(enable = "avx2")]
pub(super) fn pack_block(rows: &[u64], words: usize, block: &mut [Column]) {
    portable::pack_block(rows, words, block);
}

/// Adds the share of a pass to the scores of each block.
#[target_feature(enable = "avx2")]
pub(super) fn add_pass(columns: &[Column], pass: &Pass<'_>, out: &mut [[i32; BLOCK_ROWS]]) {
    match pass.group {
        Group::One => add_groups::<1, 1>(columns, pass, out),
        Group::Two => add_groups::<1, 2>(columns, pass, out),
        Group::Four => add_groups::<2, 4>(columns, pass, out),
        Group::Eight => add_groups::<4, 8>(columns, pass, out),
        Group::Sixteen => add_groups::<8, 16>(columns, pass, out),
    }
}

/// Adds groups of `G` entries, which are those of `C` columns.
#[target_feature(enable = "avx2")]
fn add_groups<const C: usize, const G: usize>(
    columns: &[Column],
    pass: &Pass<'_>,
    out: &mut [[i32; BLOCK_ROWS]],
) {
    let mut pairs = columns.chunks_exact(2 * pass.stride);
    let (pairs_out, last_out) = out.as_chunks_mut::<2>();
    for (pair, out) in pairs.by_ref().zip(pairs_out) {
        let (first, second) = pair.split_at(pass.stride);
        let sums = sum::<C, G, 2>([pass.columns(first), pass.columns(second)], pass.tables);
        for (sums, scores) in sums.into_iter().zip(out) {
            add_to_scores(sums, pass, scores);
        }
    }
    for (block, scores) in pairs.remainder().chunks_exact(pass.stride).zip(last_out) {
        let [sums] = sum::<C, G, 1>([pass.columns(block)], pass.tables);
        add_to_scores(sums, pass, scores);
    }
}

/// Sums of the entries of 32 rows in 16 bits, as the picture above shows.
#[derive(Clone, Copy)]
struct WideSums {
    both: __m256i,
    odd: __m256i,
}

/// Sums the entries of `N` blocks.
#[inline]
#[target_feature(enable = "avx2")]
fn sum<const C: usize, const G: usize, const N: usize>(
    blocks: [&[Column]; N],
    tables: &[ColumnTables],
) -> [WideSums; N] {
    let zero = _mm256_setzero_si256();
    let mut sums = [WideSums { both: zero, odd: zero }; N];
    let groups = blocks.map(|columns| columns.as_chunks::<C>().0);
    let (tables, _) = tables.as_chunks::<C>();
    assert!(groups.iter().all(|groups| groups.len() == tables.len()));
    for (i, tables) in tables.iter().enumerate() {
        let mut bytes = [zero; N];
        for (c, [low, high]) in tables.iter().enumerate() {
            let (low, high) = (broadcast(low), broadcast(high));
            for n in 0..N {
                let [low, high] = look_up(load(&groups[n][i][c]), low, high);
                if G == 1 {
                    sums[n].add(low);
                    sums[n].add(high);
                } else {
                    bytes[n] = _mm256_add_epi8(bytes[n], _mm256_add_epi8(low, high));
                }
            }
        }
        if G > 1 {
            for n in 0..N {
                sums[n].add(bytes[n]);
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
    tables: &mut [ColumnTables],
    largest: &mut [[u8; 2]],
) {
    let counts = counts();
    let numbers = _mm256_setr_epi8(
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, //
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    );
    let nibble = _mm256_set1_epi8(0x0f);
    let (tables, _) = tables.as_chunks_mut::<WORD_COLUMNS>();
    let (largest, _) = largest.as_chunks_mut::<WORD_COLUMNS>();
    for (w, (tables, largest)) in tables.iter_mut().zip(largest).enumerate() {
        let mut planes = [_mm256_setzero_si256(); TABLE_WIDTH];
        let planes = &mut planes[..query.planes().len()];
        let mut sums = _mm_setzero_si128();
        for (shifted, plane) in planes.iter_mut().zip(query.planes()) {
            *shifted = shift_high_lane(plane[w]);
            let more = _mm_shuffle_epi8(_mm256_castsi256_si128(counts), nibbles(plane[w]));
            sums = _mm_add_epi8(_mm_add_epi8(sums, sums), more);
        }
        store_largest(sums, largest);
        let negative = shift_high_lane(!query.signs[w]);
        for (k, tables) in tables.iter_mut().enumerate() {
            let k = _mm256_set1_epi8(k as i8);
            let negative = _mm256_shuffle_epi8(negative, k);
            let same = _mm256_and_si256(_mm256_xor_si256(numbers, negative), nibble);
            let mut entries = _mm256_setzero_si256();
            for &plane in planes.iter() {
                let shared = _mm256_and_si256(same, _mm256_shuffle_epi8(plane, k));
                let more = _mm256_shuffle_epi8(counts, shared);
                entries = _mm256_add_epi8(_mm256_add_epi8(entries, entries), more);
            }
            store_tables(entries, tables);
        }
    }
}

/// Returns the number of bits in each nibble, for a shuffle to look up.
#[inline]
#[target_feature(enable = "avx2")]
fn counts() -> __m256i {
    _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, //
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    )
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
fn store_largest(sums: __m128i, largest: &mut [[u8; 2]; WORD_COLUMNS]) {
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

//! The scan: a register holds a column, byte shuffles look up its nibbles.
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

use crate::blocks::scan::Pass;
use crate::blocks::table::Group;
use crate::blocks::{BLOCK_ROWS, Column, WordColumns, WordTables};
use crate::prefetch::{LINE_BYTES, prefetch_line_of};

/// How far ahead memory is asked for, rounded up to whole pairs of blocks. Less comes too late when
/// codes are not in the cache, more is lost at the end of a list.
const PREFETCH_BYTES: usize = 4096;

/// The loops, for one set of instructions and its way to look up nibbles.
macro_rules! scan {
    ($module:ident, $features:literal, $look_up:ident) => {
        pub(in crate::blocks) mod $module {
            use super::*;

            /// Adds the share of a pass to the scores of each block.
            #[target_feature(enable = $features)]
            pub(in crate::blocks) fn add_pass(
                words: &[WordColumns],
                pass: &Pass<'_>,
                out: &mut [[i32; BLOCK_ROWS]],
            ) {
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
            #[target_feature(enable = $features)]
            fn add_groups<const G: usize>(
                words: &[WordColumns],
                pass: &Pass<'_>,
                out: &mut [[i32; BLOCK_ROWS]],
            ) {
                let pair_words = 2 * pass.stride;
                let ahead =
                    PREFETCH_BYTES.div_ceil(pair_words * size_of::<WordColumns>()) * pair_words;
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

            /// Sums the entries of `N` blocks in groups of `G`, and asks for the words of `ahead`.
            #[inline]
            #[target_feature(enable = $features)]
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
                            let [low, high] = $look_up(load(&blocks[n][w][c]), low, high);
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
        }
    };
}

scan!(avx2, "avx2", mask_and_shuffle);
scan!(avx512, "avx2,avx512bw,avx512vl,avx512vbmi", permute);

/// Sums of the entries of 32 rows in 16 bits, as the picture above shows.
#[derive(Clone, Copy)]
struct WideSums {
    both: __m256i,
    odd: __m256i,
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
fn mask_and_shuffle(column: __m256i, low: __m256i, high: __m256i) -> [__m256i; 2] {
    let nibble = _mm256_set1_epi8(0x0f);
    let low_nibbles = _mm256_and_si256(column, nibble);
    let high_nibbles = _mm256_and_si256(_mm256_srli_epi16::<4>(column), nibble);
    [_mm256_shuffle_epi8(low, low_nibbles), _mm256_shuffle_epi8(high, high_nibbles)]
}

/// The same by `vpermb`, which reads five bits of an index: of the fifth, which belongs to another
/// nibble or another byte, nothing depends, because both lanes hold the same table.
#[inline]
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512vbmi")]
fn permute(column: __m256i, low: __m256i, high: __m256i) -> [__m256i; 2] {
    let high_nibbles = _mm256_srli_epi16::<4>(column);
    [_mm256_permutexvar_epi8(column, low), _mm256_permutexvar_epi8(high_nibbles, high)]
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

//! NEON: two registers hold a column, `tbl` looks up its nibbles.
//!
//! As in the AVX2 code, entries are added up as bytes within a group; a widening addition then adds
//! the low or the high eight bytes to 16-bit sums, in the order of rows.

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::aarch64::*;

use super::scan::Pass;
use super::table::{Group, Magnitudes};
use super::{BLOCK_ROWS, WordColumns, WordLargest, WordTables};

/// Adds the share of a pass to the scores of each block.
#[target_feature(enable = "neon")]
pub(super) fn add_pass(words: &[WordColumns], pass: &Pass<'_>, out: &mut [[i32; BLOCK_ROWS]]) {
    match pass.group {
        Group::One => add_groups::<1>(words, pass, out),
        Group::Two => add_groups::<2>(words, pass, out),
        Group::Four => add_groups::<4>(words, pass, out),
        Group::Eight => add_groups::<8>(words, pass, out),
        Group::Sixteen => add_groups::<16>(words, pass, out),
    }
}

/// Adds groups of `G` entries.
#[inline(never)]
#[target_feature(enable = "neon")]
fn add_groups<const G: usize>(
    words: &[WordColumns],
    pass: &Pass<'_>,
    out: &mut [[i32; BLOCK_ROWS]],
) {
    for (block, scores) in words.chunks_exact(pass.stride).zip(out) {
        add_to_scores(sum::<G>(pass.words(block), pass.tables), pass, scores);
    }
}

/// Sums the entries of each row of a block: rows 0..8, 8..16, 16..24, 24..32.
#[inline]
#[target_feature(enable = "neon")]
fn sum<const G: usize>(words: &[WordColumns], tables: &[WordTables]) -> [uint16x8_t; 4] {
    let zero = vdupq_n_u8(0);
    let mut sums = [vdupq_n_u16(0); 4];
    for (columns, tables) in words.iter().zip(tables) {
        let mut bytes = [zero; 2];
        for (c, (column, [low, high])) in columns.iter().zip(tables).enumerate() {
            let (low, high) = (load(low), load(high));
            let (halves, _) = column.as_chunks::<16>();
            for (h, half) in halves.iter().enumerate() {
                let half = load(half);
                let low = vqtbl1q_u8(low, vandq_u8(half, vdupq_n_u8(0x0f)));
                let high = vqtbl1q_u8(high, vshrq_n_u8::<4>(half));
                if G == 1 {
                    add_wide(&mut sums, h, low);
                    add_wide(&mut sums, h, high);
                    continue;
                }
                bytes[h] = vaddq_u8(bytes[h], vaddq_u8(low, high));
                if (2 * c + 2) % G == 0 {
                    add_wide(&mut sums, h, bytes[h]);
                    bytes[h] = zero;
                }
            }
        }
    }
    sums
}

/// Adds the bytes of rows `16 * half..16 * half + 16`.
#[inline]
#[target_feature(enable = "neon")]
fn add_wide(sums: &mut [uint16x8_t; 4], half: usize, bytes: uint8x16_t) {
    sums[2 * half] = vaddw_u8(sums[2 * half], vget_low_u8(bytes));
    sums[2 * half + 1] = vaddw_high_u8(sums[2 * half + 1], bytes);
}

#[inline]
#[target_feature(enable = "neon")]
fn add_to_scores(sums: [uint16x8_t; 4], pass: &Pass<'_>, scores: &mut [i32; BLOCK_ROWS]) {
    let shift = vdupq_n_s32(pass.shift as i32);
    let (scores, _) = scores.as_chunks_mut::<8>();
    for (sums, scores) in sums.into_iter().zip(scores) {
        let (scores, _) = scores.as_chunks_mut::<4>();
        let fours = [vmovl_u16(vget_low_u16(sums)), vmovl_high_u16(sums)];
        for (four, scores) in fours.into_iter().zip(scores) {
            let share = vreinterpretq_s32_u32(vshlq_u32(four, shift));
            let at = scores.as_mut_ptr();
            // SAFETY: `scores` is sixteen bytes that may be read and written; no alignment is
            // asked for.
            unsafe {
                let start = match pass.start {
                    Some(start) => vdupq_n_s32(start),
                    None => vld1q_s32(at),
                };
                vst1q_s32(at, vaddq_s32(start, share));
            }
        }
    }
}

/// Writes the tables of each column, and the largest entry of each table.
///
/// For the nibble `x` of a table, `same` is where its bits are the signs of the query. The entry
/// is the sum of the magnitudes there: for each of their planes, `cnt` counts the bits that `same`
/// and the plane share.
#[target_feature(enable = "neon")]
pub(super) fn build_tables(
    query: &Magnitudes<'_>,
    tables: &mut [WordTables],
    largest: &mut [WordLargest],
) {
    const OPPOSITES: [u8; 16] = [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
    let opposites = load(&OPPOSITES);
    for (w, (tables, largest)) in tables.iter_mut().zip(largest).enumerate() {
        let tables = tables.as_flattened_mut().iter_mut();
        for (n, (table, largest)) in tables.zip(largest.as_flattened_mut()).enumerate() {
            let nibble = |plane: &[u64]| (plane[w] >> (4 * n)) as u8 & 0x0f;
            let same = veorq_u8(opposites, vdupq_n_u8(nibble(query.signs)));
            let mut entries = vdupq_n_u8(0);
            let mut sum = 0;
            for plane in query.planes() {
                let bits = nibble(plane);
                let more = vcntq_u8(vandq_u8(same, vdupq_n_u8(bits)));
                entries = vaddq_u8(vaddq_u8(entries, entries), more);
                sum = 2 * sum + bits.count_ones() as u8;
            }
            *largest = sum;
            store(entries, table);
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the array is sixteen readable bytes; no alignment is asked for.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(register: uint8x16_t, bytes: &mut [u8; 16]) {
    // SAFETY: the array is sixteen writable bytes; no alignment is asked for.
    unsafe { vst1q_u8(bytes.as_mut_ptr(), register) }
}

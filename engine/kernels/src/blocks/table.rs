//! A query as tables of bytes, and in which groups their entries may be added.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use std::ops::Range;

use super::layout::WORD_COLUMNS;
use super::{ColumnTables, portable};
use crate::{Isa, QueryPlanes};

#[cfg(target_arch = "aarch64")]
use super::aarch64;
#[cfg(target_arch = "x86_64")]
use super::avx2;

/// The most bits of a query for which entries are bytes: `4 * (2^6 - 1) = 252`.
pub(super) const TABLE_WIDTH: usize = 6;
/// The low bits of a wider query, which is scanned as two.
const LOW_WIDTH: usize = 4;
/// The largest 16-bit sum.
const LARGEST_SUM: u32 = u16::MAX as u32;

/// A query's table entries for every nibble of a sign code: what
/// [`scan_blocks`](crate::scan_blocks) adds up.
///
/// Made once for a query and used for every list. [`BlockTable::rebuild`] keeps the memory of the
/// query before, `4 D` bytes and a little more.
#[derive(Clone, Debug, Default)]
pub struct BlockTable {
    words: usize,
    /// The tables of every column, for the high part of a wide query and then for the low one.
    tables: Vec<ColumnTables>,
    passes: Vec<Stretch>,
    /// What every score is short of twice the sum of its entries.
    offset: i32,
    scratch: Scratch,
}

/// Columns whose entries are summed without emptying, all in groups of one size.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    /// Of a block.
    pub(super) columns: Range<usize>,
    /// Where the tables of the first column lie among all.
    pub(super) first_table: usize,
    pub(super) group: Group,
    /// The sum counts `2^shift` times.
    pub(super) shift: u32,
}

/// How many entries are added up as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    One,
    Two,
    Four,
    Eight,
    Sixteen,
}

#[derive(Clone, Debug, Default)]
struct Scratch {
    magnitudes: Vec<u64>,
    largest: Vec<[u8; 2]>,
}

impl BlockTable {
    /// Makes the tables of another query, which is itself not kept.
    pub fn rebuild(&mut self, query: QueryPlanes<'_>) {
        self.rebuild_with(Isa::best(), query);
    }

    /// [`BlockTable::rebuild`] on the instruction set `isa`, or on portable code when it has none
    /// of its own. The tables are the same.
    pub fn rebuild_with(&mut self, isa: Isa, query: QueryPlanes<'_>) {
        self.words = query.words();
        self.passes.clear();
        self.offset = 0;
        let width = query.width();
        let low = if width > TABLE_WIDTH { width - LOW_WIDTH..width } else { 0..width };
        let parts = if low.start > 0 { 2 } else { 1 };
        let columns = self.columns();
        self.tables.resize(parts * columns, ColumnTables::default());
        self.scratch.largest.resize(columns, [0; 2]);
        self.add_part(isa, query, low.clone(), 0);
        if low.start > 0 {
            self.add_part(isa, query, 0..low.start, LOW_WIDTH as u32);
        }
    }

    /// Returns the number of words in a row of the codes that the table scores.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words
    }

    /// Returns the number of columns in a block.
    pub(super) fn columns(&self) -> usize {
        self.words * WORD_COLUMNS
    }

    pub(super) fn offset(&self) -> i32 {
        self.offset
    }

    pub(super) fn passes(&self) -> &[Stretch] {
        &self.passes
    }

    /// Returns the tables of the columns of a pass.
    pub(super) fn tables_of(&self, pass: &Stretch) -> &[ColumnTables] {
        &self.tables[pass.first_table..][..pass.columns.len()]
    }

    /// Adds the tables and passes of some planes of the query, whose sum counts `2^shift` times.
    fn add_part(&mut self, isa: Isa, query: QueryPlanes<'_>, planes: Range<usize>, shift: u32) {
        let first_table = self.passes.last().map_or(0, |_| self.columns());
        let Scratch { magnitudes, largest } = &mut self.scratch;
        let magnitudes = Magnitudes::new(query, planes, magnitudes);
        build_tables(isa, &magnitudes, &mut self.tables[first_table..], largest);
        let mut from = 0;
        while from < largest.len() {
            let (to, sum) = stretch(&largest[from..]);
            let group = Group::of(&largest[from..from + to]);
            let columns = from..from + to;
            let first_table = first_table + from;
            self.passes.push(Stretch { columns, first_table, group, shift: shift + 1 });
            self.offset += (sum as i32) << shift;
            from += to;
        }
    }
}

/// Returns how many columns, in whole words, can be summed in 16 bits, and their largest sum.
fn stretch(largest: &[[u8; 2]]) -> (usize, u32) {
    let mut sum = 0;
    for (w, word) in largest.chunks(WORD_COLUMNS).enumerate() {
        let more: u32 = word.as_flattened().iter().map(|&entry| u32::from(entry)).sum();
        if sum + more > LARGEST_SUM {
            return (w * WORD_COLUMNS, sum);
        }
        sum += more;
    }
    (largest.len(), sum)
}

impl Group {
    /// Returns the largest group whose sums are bytes, from the largest entries of each column.
    fn of(largest: &[[u8; 2]]) -> Self {
        let largest = largest.as_flattened();
        if largest_sum::<16>(largest) {
            Self::Sixteen
        } else if largest_sum::<8>(largest) {
            Self::Eight
        } else if largest_sum::<4>(largest) {
            Self::Four
        } else if largest_sum::<2>(largest) {
            Self::Two
        } else {
            Self::One
        }
    }
}

/// Whether every `G` entries add up to a byte.
fn largest_sum<const G: usize>(largest: &[u8]) -> bool {
    let (groups, _) = largest.as_chunks::<G>();
    let sums = groups.iter().map(|group| group.iter().map(|&entry| u16::from(entry)).sum());
    sums.max().unwrap_or(0_u16) <= u16::from(u8::MAX)
}

/// The odd integers of a query as signs and magnitudes: `|w| = sum of 2^(Q-1-b) * plane b`.
///
/// Past the query's last dimension all magnitudes are zero.
pub(super) struct Magnitudes<'a> {
    /// A bit is set where `w` is positive.
    pub(super) signs: &'a [u64],
    planes: &'a [u64],
}

impl<'a> Magnitudes<'a> {
    /// Reads some consecutive planes of a query as a query of their own.
    ///
    /// `w = 2k - (2^Q - 1)`, so `|w| = 1 + 2m`, where the bits of `m` are the lower planes of `k`,
    /// inverted where `w` is negative.
    fn new(query: QueryPlanes<'a>, planes: Range<usize>, buffer: &'a mut Vec<u64>) -> Self {
        let signs = query.plane(planes.start);
        buffer.clear();
        for b in planes.start + 1..planes.end {
            buffer.extend(query.plane(b).iter().zip(signs).map(|(bits, signs)| bits ^ !signs));
        }
        buffer.resize(planes.len() * signs.len(), u64::MAX);
        let pads = !query.tail_mask();
        for last in buffer.iter_mut().skip(signs.len() - 1).step_by(signs.len()) {
            *last &= !pads;
        }
        Self { signs, planes: buffer }
    }

    /// Returns the planes, the most significant first: as many words each as the signs.
    pub(super) fn planes(&self) -> impl ExactSizeIterator<Item = &'a [u64]> + use<'a> {
        self.planes.chunks_exact(self.signs.len())
    }
}

fn build_tables(
    isa: Isa,
    query: &Magnitudes<'_>,
    tables: &mut [ColumnTables],
    largest: &mut [[u8; 2]],
) {
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Avx2 | Isa::Avx512) && isa.is_available() {
        // SAFETY: `is_available` has just confirmed AVX2, which `Isa::Avx512` includes.
        return unsafe { avx2::build_tables(query, tables, largest) };
    }
    #[cfg(target_arch = "aarch64")]
    if isa == Isa::Neon && isa.is_available() {
        // SAFETY: `is_available` has just confirmed the CPU's features.
        return unsafe { aarch64::build_tables(query, tables, largest) };
    }
    let _ = isa;
    portable::build_tables(query, tables, largest);
}

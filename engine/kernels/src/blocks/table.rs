//! A query as tables of bytes, and in which groups their entries may be added.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use std::ops::Range;

use super::{WORD_COLUMNS, WordLargest, WordTables, portable};
use crate::{Isa, QueryPlanes};

#[cfg(target_arch = "aarch64")]
use super::aarch64;
#[cfg(target_arch = "x86_64")]
use super::x86_64;

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
    /// The tables of every word, for the low part of a wide query and then for the high one.
    tables: Vec<WordTables>,
    passes: Vec<Stretch>,
    /// What every score is short of twice the sum of its entries.
    offset: i32,
    scratch: Scratch,
}

/// Words whose entries are summed without emptying, all in groups of one size.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    /// Of a row.
    pub(super) words: Range<usize>,
    /// Where the tables of the first word lie among all.
    first_table: usize,
    pub(super) group: Group,
    /// The sum counts `2^shift` times.
    pub(super) shift: u32,
}

/// How many entries are added up as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    largest: Vec<WordLargest>,
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
        self.tables.clear();
        self.passes.clear();
        self.offset = 0;
        let width = query.width();
        let high = if width > TABLE_WIDTH { width - LOW_WIDTH } else { 0 };
        self.add_part(isa, query, high..width, 0);
        if high > 0 {
            self.add_part(isa, query, 0..high, LOW_WIDTH as u32);
        }
    }

    /// Returns the number of words in a row of the codes that the table scores.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words
    }

    pub(super) fn offset(&self) -> i32 {
        self.offset
    }

    pub(super) fn passes(&self) -> &[Stretch] {
        &self.passes
    }

    /// Returns the tables of the words of a pass.
    pub(super) fn tables_of(&self, pass: &Stretch) -> &[WordTables] {
        &self.tables[pass.first_table..][..pass.words.len()]
    }

    /// Adds the tables and passes of some planes of the query, whose sum counts `2^shift` times.
    fn add_part(&mut self, isa: Isa, query: QueryPlanes<'_>, planes: Range<usize>, shift: u32) {
        let first_table = self.tables.len();
        self.tables.resize(first_table + self.words, WordTables::default());
        let Scratch { magnitudes, largest } = &mut self.scratch;
        largest.resize(self.words, WordLargest::default());
        let magnitudes = Magnitudes::new(query, planes, magnitudes);
        build_tables(isa, &magnitudes, &mut self.tables[first_table..], largest);
        let mut from = 0;
        while from < self.words {
            let (count, sum, group) = stretch(&largest[from..]);
            self.passes.push(Stretch {
                words: from..from + count,
                first_table: first_table + from,
                group,
                // A score is twice the sum, less the offset.
                shift: shift + 1,
            });
            self.offset += (sum as i32) << shift;
            from += count;
        }
    }
}

/// Returns how many words can be summed in 16 bits, their largest sum, and their largest group.
fn stretch(largest: &[WordLargest]) -> (usize, u32, Group) {
    let mut all = (0, 0, Group::Sixteen);
    for word in largest {
        let (sum, group) = largest_sums(word);
        if all.1 + sum > LARGEST_SUM {
            break;
        }
        all = (all.0 + 1, all.1 + sum, group.min(all.2));
    }
    all
}

/// Returns the largest sum of the entries of a word, and the largest group whose sums are bytes.
fn largest_sums(largest: &WordLargest) -> (u32, Group) {
    let mut group = Group::One;
    let mut sums: [u16; 2 * WORD_COLUMNS] = std::array::from_fn(|i| largest[i / 2][i % 2].into());
    for (larger, count) in
        [(Group::Two, 8), (Group::Four, 4), (Group::Eight, 2), (Group::Sixteen, 1)]
    {
        for i in 0..count {
            sums[i] = sums[2 * i] + sums[2 * i + 1];
        }
        if sums[..count].iter().all(|&sum| sum <= u16::from(u8::MAX)) {
            group = larger;
        }
    }
    (u32::from(sums[0]), group)
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
    tables: &mut [WordTables],
    largest: &mut [WordLargest],
) {
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Avx2 | Isa::Avx512) && isa.is_available() {
        // SAFETY: `is_available` has just confirmed AVX2, which `Isa::Avx512` includes.
        return unsafe { x86_64::build_tables(query, tables, largest) };
    }
    #[cfg(target_arch = "aarch64")]
    if isa == Isa::Neon && isa.is_available() {
        // SAFETY: `is_available` has just confirmed the CPU's features.
        return unsafe { aarch64::build_tables(query, tables, largest) };
    }
    let _ = isa;
    portable::build_tables(query, tables, largest);
}

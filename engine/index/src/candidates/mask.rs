//! Which rows of a segment may become candidates, laid out as codes are scanned.

use std::ops::Range;

use bigrain_kernels::BLOCK_ROWS;

/// A set of rows: one word for each block of 32, bit `i` for its `i`-th row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowMask {
    words: Vec<u32>,
    rows: usize,
    len: u64,
}

impl RowMask {
    /// Takes those of `rows` rows that an iterator names; rows past the last are left out.
    #[must_use]
    pub fn new(rows: usize, named: impl IntoIterator<Item = u32>) -> Self {
        let mut words = vec![0_u32; rows.div_ceil(BLOCK_ROWS)];
        for row in named.into_iter().map(|row| row as usize).filter(|&row| row < rows) {
            words[row / BLOCK_ROWS] |= 1 << (row % BLOCK_ROWS);
        }
        let len = words.iter().map(|word| u64::from(word.count_ones())).sum();
        Self { words, rows, len }
    }

    /// Takes all of `rows` rows.
    #[must_use]
    pub fn all(rows: usize) -> Self {
        let mut words = vec![u32::MAX; rows.div_ceil(BLOCK_ROWS)];
        if let Some(last) = words.last_mut() {
            *last = lanes_of((rows - 1) / BLOCK_ROWS, &(0..rows as u32));
        }
        Self { words, rows, len: rows as u64 }
    }

    /// Takes rows out of the set; those that are not in it are left out.
    pub fn remove(&mut self, named: impl IntoIterator<Item = u32>) {
        for row in named.into_iter().map(|row| row as usize).filter(|&row| row < self.rows) {
            let word = &mut self.words[row / BLOCK_ROWS];
            let bit = 1 << (row % BLOCK_ROWS);
            self.len -= u64::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    /// Returns how much memory it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.words.capacity() * size_of::<u32>()
    }

    /// Returns how many rows are in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no row is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many rows there are, in the set or not.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the words of all blocks.
    pub(super) fn words(&self) -> &[u32] {
        &self.words
    }

    /// Returns the rows of one block that are in the set.
    #[inline]
    pub(super) fn lanes(&self, block: usize) -> u32 {
        self.words[block]
    }

    /// Returns how many rows of a range are in the set.
    #[must_use]
    pub fn count(&self, rows: &Range<u32>) -> u64 {
        self.words_of(rows.clone()).map(|(_, word)| u64::from(word.count_ones())).sum()
    }

    /// Returns the rows of a range that are in the set, rising.
    pub fn iter(&self, rows: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        self.words_of(rows).flat_map(|(first, word)| {
            let lanes = (0..BLOCK_ROWS as u32).filter(move |lane| word & (1 << lane) != 0);
            lanes.map(move |lane| first + lane)
        })
    }

    /// Returns the words under a range that hold any of its rows, with the first row of each.
    fn words_of(&self, rows: Range<u32>) -> impl Iterator<Item = (u32, u32)> + '_ {
        let rows = rows.start..rows.end.min(self.rows as u32);
        let first = rows.start as usize / BLOCK_ROWS;
        let end = (rows.end as usize).div_ceil(BLOCK_ROWS).max(first);
        let words = (first..end.min(self.words.len())).map(move |block| {
            ((block * BLOCK_ROWS) as u32, self.words[block] & lanes_of(block, &rows))
        });
        words.filter(|(_, word)| *word != 0)
    }
}

/// Returns the lanes of a block that lie in `rows`.
pub(super) fn lanes_of(block: usize, rows: &Range<u32>) -> u32 {
    let first = (block * BLOCK_ROWS) as u32;
    let from = rows.start.saturating_sub(first).min(BLOCK_ROWS as u32);
    let to = rows.end.saturating_sub(first).min(BLOCK_ROWS as u32);
    let below = |lanes: u32| ((1_u64 << lanes) - 1) as u32;
    below(to) & !below(from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_in_a_shared_block_are_masked_out() {
        assert_eq!(lanes_of(0, &(0..32)), u32::MAX);
        assert_eq!(lanes_of(0, &(3..5)), 0b11000);
        assert_eq!(lanes_of(1, &(3..33)), 1);
        assert_eq!(lanes_of(1, &(40..41)), 1 << 8);
        assert_eq!(lanes_of(0, &(7..7)), 0);
    }

    #[test]
    fn all_rows_are_those_that_are_named_one_by_one() {
        for rows in [0, 1, 31, 32, 33, 96, 100] {
            assert_eq!(RowMask::all(rows), RowMask::new(rows, 0..rows as u32), "{rows}");
        }
    }

    proptest! {
        #[test]
        fn a_mask_is_a_set(
            rows in 0..200_usize,
            named in prop::collection::btree_set(0..220_u32, 0..60),
            start in 0..210_u32,
            length in 0..210_u32,
            removed in prop::collection::vec(0..220_u32, 0..60),
        ) {
            let mut mask = RowMask::new(rows, named.iter().copied().chain(removed.iter().copied()));
            mask.remove(removed.iter().copied());
            let named: BTreeSet<u32> =
                named.into_iter().filter(|row| !removed.contains(row)).collect();
            let range = start..start + length;
            let inside = |row: &u32| (*row as usize) < rows;
            let expected: BTreeSet<u32> =
                named.iter().copied().filter(|row| range.contains(row) && inside(row)).collect();
            prop_assert_eq!(mask.count(&range), expected.len() as u64);
            prop_assert!(mask.iter(range).eq(expected));
            prop_assert_eq!(mask.len(), named.iter().filter(|row| inside(row)).count() as u64);
        }
    }
}

//! A set of rows under construction, filled in any order.

use roaring::RoaringBitmap;

/// One bit per row.
#[derive(Clone, Debug)]
pub(super) struct RowBits {
    words: Vec<u64>,
    rows: u32,
}

impl RowBits {
    /// Returns the empty set.
    pub fn new(rows: u32) -> Self {
        Self { words: vec![0; (rows as usize).div_ceil(64)], rows }
    }

    /// Returns a set of some of `rows` rows; those of the set that lie behind are left out.
    pub fn of(set: &RoaringBitmap, rows: u32) -> Self {
        let mut bits = Self::new(rows);
        for row in set.iter().take_while(|&row| row < rows) {
            bits.words[row as usize / 64] |= 1 << (row % 64);
        }
        bits
    }

    /// Whether one of the rows is in the set.
    pub fn contains(&self, row: u32) -> bool {
        self.words[row as usize / 64] & 1 << (row % 64) != 0
    }

    /// Takes rows out.
    pub fn remove(&mut self, set: &RoaringBitmap) {
        for row in set.iter().take_while(|&row| row < self.rows) {
            self.words[row as usize / 64] &= !(1 << (row % 64));
        }
    }

    /// Adds some of the rows.
    pub fn extend(&mut self, rows: &[u32]) {
        for &row in rows {
            self.words[row as usize / 64] |= 1 << (row % 64);
        }
    }

    /// Returns the set.
    pub fn finish(self) -> RoaringBitmap {
        let mut set = RoaringBitmap::new();
        for (at, &word) in self.words.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                let pushed = set.try_push(at as u32 * 64 + left.trailing_zeros());
                debug_assert!(pushed.is_ok(), "rows rise");
                left &= left - 1;
            }
        }
        set
    }
}

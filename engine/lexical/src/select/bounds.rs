//! Rows that surely match, and rows that may.

use roaring::RoaringBitmap;

/// Rows that surely match, and rows that may: a superset of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bounds {
    pub lower: RoaringBitmap,
    pub upper: RoaringBitmap,
}

impl Bounds {
    /// Returns the bounds of what is known exactly.
    pub fn exact(rows: RoaringBitmap) -> Self {
        Self { lower: rows.clone(), upper: rows }
    }

    /// Returns the bounds of what is known to lie within some rows.
    pub fn within(rows: RoaringBitmap) -> Self {
        Self { lower: RoaringBitmap::new(), upper: rows }
    }

    /// Keeps what the other matches too.
    pub fn intersect(&mut self, other: &Self) {
        self.lower &= &other.lower;
        self.upper &= &other.upper;
    }

    /// Adds what the other matches.
    pub fn unite(&mut self, other: &Self) {
        self.lower |= &other.lower;
        self.upper |= &other.upper;
    }

    /// Returns the bounds of what does not match, of `all` rows.
    pub fn not(&self, all: &RoaringBitmap) -> Self {
        Self { lower: all - &self.upper, upper: all - &self.lower }
    }

    /// Returns the bounds of what at least `count` of some bounds match.
    pub fn at_least(count: usize, of: &[Self], all: &RoaringBitmap) -> Self {
        if count > of.len() {
            return Self::exact(RoaringBitmap::new());
        }
        // enough[n]: what at least n of those seen so far match.
        let mut enough = vec![Self::exact(RoaringBitmap::new()); count + 1];
        enough[0] = Self::exact(all.clone());
        for bounds in of {
            for n in (1..=count).rev() {
                let mut one_more = enough[n - 1].clone();
                one_more.intersect(bounds);
                enough[n].unite(&one_more);
            }
        }
        enough.swap_remove(count)
    }
}

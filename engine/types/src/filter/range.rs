//! Ranges whose ends may be open, closed or absent.

use std::ops::Bound;

/// The values between two ends, each of which may belong to it, not belong to it, or be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range<T> {
    /// Where it begins.
    pub lower: Bound<T>,
    /// Where it ends.
    pub upper: Bound<T>,
}

impl<T: Ord> Range<T> {
    /// Returns the range from `least` to `greatest`, both included.
    #[must_use]
    pub fn between(least: T, greatest: T) -> Self {
        Self { lower: Bound::Included(least), upper: Bound::Included(greatest) }
    }

    /// Returns the range from `least`, included, without an end.
    #[must_use]
    pub fn at_least(least: T) -> Self {
        Self { lower: Bound::Included(least), upper: Bound::Unbounded }
    }

    /// Returns the range up to `end`, which is not included.
    #[must_use]
    pub fn below(end: T) -> Self {
        Self { lower: Bound::Unbounded, upper: Bound::Excluded(end) }
    }

    pub(super) fn is_endless(&self) -> bool {
        matches!((&self.lower, &self.upper), (Bound::Unbounded, Bound::Unbounded))
    }

    /// Whether a value lies in the range.
    pub fn contains(&self, value: &T) -> bool {
        let above = match &self.lower {
            Bound::Included(least) => value >= least,
            Bound::Excluded(below) => value > below,
            Bound::Unbounded => true,
        };
        let below = match &self.upper {
            Bound::Included(greatest) => value <= greatest,
            Bound::Excluded(end) => value < end,
            Bound::Unbounded => true,
        };
        above && below
    }
}

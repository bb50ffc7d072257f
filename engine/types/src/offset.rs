//! Small numbers that must not be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A position inside one segment, `0..len`. Never leaves the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Offset(pub u32);

impl Offset {
    /// Returns the offset as an index into an array of the segment.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Names a segment within its collection; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentId(pub u64);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Names a vector field within its collection; never used twice, so that what a dropped field left
/// behind can never be taken for that of another field of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FieldId(pub u32);

impl fmt::Display for FieldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of a committed write batch; grows by one with each commit of a collection.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SeqNo(pub u64);

/// How many levels (bits per dimension) a code has: 1 to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Levels(u8);

/// A number of levels outside 1..=4.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("levels out of range: expected 1 to 4, got {0}")]
pub struct LevelsError(pub u8);

impl Levels {
    /// Every number of levels.
    pub const ALL: [Self; 4] = [Self(1), Self(2), Self(3), Self(4)];
    /// One level: the sign code.
    pub const ONE: Self = Self(1);
    /// Two levels.
    pub const TWO: Self = Self(2);

    /// Checks the range.
    ///
    /// # Errors
    ///
    /// [`LevelsError`] outside 1..=4.
    pub fn new(levels: u8) -> Result<Self, LevelsError> {
        if (1..=4).contains(&levels) { Ok(Self(levels)) } else { Err(LevelsError(levels)) }
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// Returns the number, to size arrays with.
    #[must_use]
    pub fn count(self) -> usize {
        usize::from(self.0)
    }
}

impl TryFrom<u8> for Levels {
    type Error = LevelsError;

    fn try_from(levels: u8) -> Result<Self, Self::Error> {
        Self::new(levels)
    }
}

impl From<Levels> for u8 {
    fn from(levels: Levels) -> Self {
        levels.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_outside_one_to_four_are_refused() {
        assert_eq!(Levels::new(0), Err(LevelsError(0)));
        assert_eq!(Levels::new(5), Err(LevelsError(5)));
        assert_eq!(Levels::new(4).unwrap().count(), 4);
        assert!(serde_json::from_str::<Levels>("9").is_err());
    }
}

//! How many bits of each dimension a query keeps.

use bigrain_types::Levels;

use super::PrepareQueryError;

/// How many bits of each dimension a query keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueryWidth {
    /// As many as the codes have levels (SDC): the query is a code itself.
    Symmetric,
    /// This many, 1 to 8 (ADC).
    Bits(u8),
}

impl QueryWidth {
    /// The width that is worth its time: a twentieth slower than 4 bits in a list scan, a quarter of
    /// their rounding (docs/decisions/0005).
    pub const DEFAULT: Self = Self::Bits(5);

    pub(super) fn bits(self, levels: Levels) -> Result<usize, PrepareQueryError> {
        match self {
            Self::Symmetric => Ok(levels.count()),
            Self::Bits(bits @ 1..=8) => Ok(usize::from(bits)),
            Self::Bits(bits) => Err(PrepareQueryError::Width(bits)),
        }
    }
}

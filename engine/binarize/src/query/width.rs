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
    /// Returns the width that is worth its time: 6 bits against codes of one level, 4 above.
    #[must_use]
    pub fn default_for(levels: Levels) -> Self {
        if levels == Levels::ONE { Self::Bits(6) } else { Self::Bits(4) }
    }

    pub(super) fn bits(self, levels: Levels) -> Result<usize, PrepareQueryError> {
        match self {
            Self::Symmetric => Ok(levels.count()),
            Self::Bits(bits @ 1..=8) => Ok(usize::from(bits)),
            Self::Bits(bits) => Err(PrepareQueryError::Width(bits)),
        }
    }
}

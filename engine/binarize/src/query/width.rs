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
    /// Five against codes of one or two levels, six against those of more (ADC).
    Usual,
}

impl QueryWidth {
    /// The width that is worth its time: five bits are a twentieth slower than four in a list scan and
    /// have a quarter of their rounding, which is less than that of codes of two levels. Codes of more
    /// levels would be judged by the query's rounding; a sixth bit costs another tenth
    /// (docs/decisions/0005).
    pub const DEFAULT: Self = Self::Usual;

    pub(super) fn bits(self, levels: Levels) -> Result<usize, PrepareQueryError> {
        match self {
            Self::Symmetric => Ok(levels.count()),
            Self::Bits(bits @ 1..=8) => Ok(usize::from(bits)),
            Self::Bits(bits) => Err(PrepareQueryError::Width(bits)),
            Self::Usual if levels.count() > 2 => Ok(6),
            Self::Usual => Ok(5),
        }
    }
}

//! How lists are fused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The constant of reciprocal rank fusion that its authors recommend.
pub const DEFAULT_RANK_CONSTANT: f32 = 60.0;

/// How the contribution of one list to a point's score is computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Fusion {
    /// `1 / (constant + rank)` with ranks from 1, as Cormack, Clarke and Büttcher (2009). Scores do
    /// not matter, so one list cannot drown another.
    ReciprocalRank {
        /// How slowly the weight of a rank falls; positive.
        constant: f32,
    },
    /// The score, moved and stretched so that a list spans 0 to 1. A point that a list lacks gets 0
    /// from it.
    MinMax,
    /// The score, moved and stretched so that three standard deviations about a list's mean span 0 to
    /// 1, and cut off there: outliers do not squeeze the others together.
    Distribution,
}

impl Default for Fusion {
    fn default() -> Self {
        Self::ReciprocalRank { constant: DEFAULT_RANK_CONSTANT }
    }
}

/// A fusion that cannot be carried out.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum FusionError {
    /// The constant of reciprocal rank fusion is not a positive number.
    #[error("rank constant must be positive and finite, got {0}")]
    Constant(f32),
    /// A weight is negative or not finite.
    #[error("weight of list {list} must be finite and not negative, got {weight}")]
    Weight {
        /// Which list, from 0.
        list: usize,
        /// Its weight.
        weight: f32,
    },
    /// No such method.
    #[error("unknown fusion {0:?}: expected rrf, minmax or dbsf")]
    Unknown(String),
}

impl Fusion {
    /// Checks the method's parameters.
    ///
    /// # Errors
    ///
    /// [`FusionError::Constant`].
    pub fn check(self) -> Result<(), FusionError> {
        match self {
            Self::ReciprocalRank { constant } if !(constant > 0.0 && constant.is_finite()) => {
                Err(FusionError::Constant(constant))
            }
            Self::ReciprocalRank { .. } | Self::MinMax | Self::Distribution => Ok(()),
        }
    }
}

impl TryFrom<String> for Fusion {
    type Error = FusionError;

    fn try_from(text: String) -> Result<Self, FusionError> {
        text.parse()
    }
}

impl From<Fusion> for String {
    fn from(fusion: Fusion) -> Self {
        fusion.to_string()
    }
}

impl fmt::Display for Fusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReciprocalRank { constant } => write!(f, "rrf({constant})"),
            Self::MinMax => f.write_str("minmax"),
            Self::Distribution => f.write_str("dbsf"),
        }
    }
}

impl FromStr for Fusion {
    type Err = FusionError;

    /// Reads `rrf`, `rrf(20)`, `minmax` or `dbsf`.
    fn from_str(text: &str) -> Result<Self, FusionError> {
        let unknown = || FusionError::Unknown(text.to_owned());
        let fusion = match text {
            "rrf" => Self::default(),
            "minmax" => Self::MinMax,
            "dbsf" => Self::Distribution,
            _ => {
                let constant = text.strip_prefix("rrf(").and_then(|rest| rest.strip_suffix(')'));
                let constant = constant.and_then(|constant| constant.parse().ok());
                Self::ReciprocalRank { constant: constant.ok_or_else(unknown)? }
            }
        };
        fusion.check().map(|()| fusion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read() {
        for fusion in [
            Fusion::default(),
            Fusion::ReciprocalRank { constant: 2.5 },
            Fusion::MinMax,
            Fusion::Distribution,
        ] {
            assert_eq!(fusion.to_string().parse(), Ok(fusion));
        }
        assert_eq!("rrf".parse(), Ok(Fusion::default()));
    }

    #[test]
    fn refusals_name_the_value() {
        for (text, expected) in [
            ("sum", "unknown fusion \"sum\": expected rrf, minmax or dbsf"),
            ("rrf(x)", "unknown fusion \"rrf(x)\": expected rrf, minmax or dbsf"),
            ("rrf(0)", "rank constant must be positive and finite, got 0"),
            ("rrf(NaN)", "rank constant must be positive and finite, got NaN"),
        ] {
            assert_eq!(text.parse::<Fusion>().unwrap_err().to_string(), expected);
        }
    }
}

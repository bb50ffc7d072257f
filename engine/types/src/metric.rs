//! What "near" means in a vector field.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What "near" means in a vector field.
///
/// Inside the engine every metric is a *similarity*, larger is better: the dot product of unit
/// vectors, the dot product, or minus the squared Euclidean distance. [`Metric::score`] turns that
/// into the number a user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Metric {
    /// Cosine similarity. Vectors are brought to length one when they are written.
    Cosine,
    /// Dot product of the vectors as given.
    Dot,
    /// Euclidean distance.
    L2,
}

impl Metric {
    /// Turns the engine's similarity (larger is better) into the score a user sees: the cosine,
    /// the dot product, or the Euclidean distance.
    #[must_use]
    pub fn score(self, similarity: f32) -> f32 {
        match self {
            Self::Cosine | Self::Dot => similarity,
            Self::L2 => (-similarity).max(0.0).sqrt(),
        }
    }

    /// Whether a larger [`Metric::score`] is nearer. Distances are the exception.
    #[must_use]
    pub fn larger_is_nearer(self) -> bool {
        !matches!(self, Self::L2)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::L2 => "l2",
        })
    }
}

impl std::str::FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cosine" => Ok(Self::Cosine),
            "dot" => Ok(Self::Dot),
            "l2" => Ok(Self::L2),
            other => Err(format!("unknown metric {other:?}: expected cosine, dot or l2")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l2_scores_are_distances() {
        assert_eq!(Metric::L2.score(-9.0), 3.0);
        assert_eq!(Metric::Cosine.score(0.5), 0.5);
    }

    #[test]
    fn names_round_trip() {
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
    }
}

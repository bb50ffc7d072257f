//! What to search for by examples.

use bigrain_types::{Cancel, Filter, PointId};

use crate::query_builders::query_builders;

/// Finds points that are like some examples and unlike others.
///
/// ```
/// use bigrain_engine::{Example, RecommendQuery, RecommendStrategy};
///
/// let query = RecommendQuery::like(7)
///     .and_like(Example::Vector(vec![0.6, 0.8]))
///     .unlike(9)
///     .with_strategy(RecommendStrategy::BestScore);
/// # let _ = query;
/// ```
#[derive(Clone, Debug)]
pub struct RecommendQuery {
    pub(crate) positive: Vec<Example>,
    pub(crate) negative: Vec<Example>,
    pub(crate) strategy: RecommendStrategy,
    pub(crate) field: Option<String>,
    pub(crate) filter: Option<Filter>,
    pub(crate) cancel: Cancel,
}

/// The most examples of one query.
pub const MAX_EXAMPLES: usize = 1024;

/// An example: a point of the collection, which is never a result itself, or a vector.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Example {
    /// The vector of a point.
    Point(PointId),
    /// This vector.
    Vector(Vec<f32>),
}

/// How examples become a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecommendStrategy {
    /// One search with the mean of the positive examples, moved away from that of the negative ones:
    /// `p + (p - n)`. Scores are those of this vector.
    #[default]
    AverageVector,
    /// Points are scored by the positive example that they are nearest to. Those that are nearer to a
    /// negative one come behind all others, the farthest from it first.
    BestScore,
}

impl RecommendQuery {
    /// Finds points like an example.
    #[must_use]
    pub fn like(example: impl Into<Example>) -> Self {
        Self {
            positive: vec![example.into()],
            negative: Vec::new(),
            strategy: RecommendStrategy::default(),
            field: None,
            filter: None,
            cancel: Cancel::new(),
        }
    }

    /// Adds a positive example.
    #[must_use]
    pub fn and_like(mut self, example: impl Into<Example>) -> Self {
        self.positive.push(example.into());
        self
    }

    /// Adds a negative example.
    #[must_use]
    pub fn unlike(mut self, example: impl Into<Example>) -> Self {
        self.negative.push(example.into());
        self
    }

    /// Sets how examples become a search.
    #[must_use]
    pub fn with_strategy(mut self, strategy: RecommendStrategy) -> Self {
        self.strategy = strategy;
        self
    }
}

query_builders!(
    RecommendQuery,
    field: "Compares the vectors of another field than the first.",
    filter: "Searches among the points that match a filter."
);

impl<T: Into<PointId>> From<T> for Example {
    fn from(id: T) -> Self {
        Self::Point(id.into())
    }
}

//! Results in groups: what is asked, and the answer.

use bigrain_types::filter::{FieldPath, Scalar};
use bigrain_types::{DEFAULT_LIMIT, SearchStats};

use crate::config::check_limit;
use crate::{Result, ScoredPoint, SearchPlan};

/// By which payload field results are grouped, and how many of each group are wanted.
///
/// The groups are the strings, numbers and bools among the field's values. A point with several of
/// them is in several groups, one with none in no group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupBy {
    pub(crate) field: FieldPath,
    pub(crate) per_group: usize,
}

/// The best groups, best first: by their best points.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupOutput {
    /// The groups.
    pub groups: Vec<Group>,
    /// What all searches did that it took.
    pub stats: SearchStats,
    /// How the first of these went about it, when the parameters asked.
    pub plan: Option<SearchPlan>,
}

/// The best points with one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The value.
    pub value: Scalar,
    /// Its best points, nearest first: what a search among the points of this value returns.
    pub points: Vec<ScoredPoint>,
}

impl GroupBy {
    /// Groups by a field, written as in filters: `author`, `tags`, `authors[].name`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a bad path.
    pub fn new(field: &str) -> Result<Self> {
        Ok(Self { field: FieldPath::parse(field)?, per_group: DEFAULT_LIMIT })
    }

    /// Returns so many points of each group, or all it has; [`DEFAULT_LIMIT`] unless stated.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for 0 or more than [`MAX_LIMIT`](crate::MAX_LIMIT).
    pub fn with_per_group(mut self, per_group: usize) -> Result<Self> {
        self.per_group = check_limit(per_group)?;
        Ok(self)
    }
}

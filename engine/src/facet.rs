//! How often the values of a payload field occur: what is asked, and the answer.

use bigrain_types::filter::{FieldPath, Scalar};
use bigrain_types::{DEFAULT_LIMIT, Filter};

use crate::Result;
use crate::config::check_limit;

/// Which values of a payload field to count, and among which points.
///
/// The values are strings, numbers and bools; those of arrays count one by one. A point counts once for
/// each value that it has: the count of a value is the number of points for which an `eq` filter
/// holds.
///
/// ```
/// use bigrain_engine::{CollectionConfig, Engine, EngineConfig, FacetQuery, Metric, Payload, Point};
///
/// # let folder = tempfile::tempdir()?;
/// # let engine = Engine::open(folder.path(), EngineConfig::default())?;
/// let goods = engine.create_collection("goods", CollectionConfig::new(2, Metric::Dot))?;
/// let point = |id: u64, color: &str| {
///     Point::new(id, vec![1.0, 0.0]).with_payload(Payload::new().with("color", color))
/// };
/// goods.upsert(vec![point(1, "red"), point(2, "blue"), point(3, "red")])?;
/// let facet = goods.facet(&FacetQuery::new("color")?)?;
/// let counts: Vec<String> =
///     facet.values.iter().map(|value| format!("{} {}", value.value.to_json(), value.count)).collect();
/// assert_eq!(counts, ["\"red\" 2", "\"blue\" 1"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FacetQuery {
    pub(crate) field: FieldPath,
    pub(crate) filter: Filter,
    pub(crate) limit: usize,
}

/// The values of a payload field, and how many points have each.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FacetOutput {
    /// The most frequent values first; among equally frequent ones bools, numbers, then strings,
    /// each in rising order.
    pub values: Vec<FacetValue>,
    /// How many different values there are, those past the limit included.
    pub distinct: u64,
    /// How many points match, those without any value included.
    pub points: u64,
}

/// A value, and how many points have it.
#[derive(Clone, Debug, PartialEq)]
pub struct FacetValue {
    /// The value.
    pub value: Scalar,
    /// Exactly so many points have it.
    pub count: u64,
}

impl FacetQuery {
    /// Counts the values of a field, written as in filters: `color`, `authors[].name`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a bad path.
    pub fn new(field: &str) -> Result<Self> {
        let field = FieldPath::parse(field)?;
        Ok(Self { field, filter: Filter::new(), limit: DEFAULT_LIMIT })
    }

    /// Counts among the points that match a filter.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Returns so many values at most, [`DEFAULT_LIMIT`] unless stated.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for 0 or more than [`MAX_LIMIT`](crate::MAX_LIMIT).
    pub fn with_limit(mut self, limit: usize) -> Result<Self> {
        self.limit = check_limit(limit)?;
        Ok(self)
    }
}

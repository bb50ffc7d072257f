//! What to search for in several ways at once.

use bigrain_types::Filter;

use crate::{Fusion, Query, TextQuery};

/// Several searches of one collection, and how their results become one list.
///
/// Nothing here has a default, because none is right: fusing with a much weaker list makes a strong one
/// worse. Weights that suit a collection are found by measuring.
///
/// ```
/// use bigrain_engine::{Fusion, HybridQuery, Query, TextQuery};
///
/// let query = HybridQuery::new(Fusion::default())
///     .with_vector(Query::new(vec![0.6, 0.8]), 0.7)
///     .with_text(TextQuery::new("sparse retrieval"), 0.3);
/// # let _ = query;
/// ```
#[derive(Clone, Debug)]
pub struct HybridQuery {
    pub(crate) fusion: Fusion,
    pub(crate) parts: Vec<(HybridPart, f32)>,
    pub(crate) depth: Option<usize>,
}

/// One search of several.
#[derive(Clone, Debug)]
pub(crate) enum HybridPart {
    Vector(Query),
    Text(TextQuery),
}

impl HybridQuery {
    /// Fuses as said; parts are added one by one.
    #[must_use]
    pub fn new(fusion: Fusion) -> Self {
        Self { fusion, parts: Vec::new(), depth: None }
    }

    /// Adds a search by vector, and how much it counts.
    #[must_use]
    pub fn with_vector(mut self, query: Query, weight: f32) -> Self {
        self.parts.push((HybridPart::Vector(query), weight));
        self
    }

    /// Adds a search by words, and how much it counts.
    #[must_use]
    pub fn with_text(mut self, query: TextQuery, weight: f32) -> Self {
        self.parts.push((HybridPart::Text(query), weight));
        self
    }

    /// Fuses the first `depth` results of each part, at least as many as results are wanted; ten times
    /// as many, and 100 at least, unless stated.
    #[must_use]
    pub fn with_depth(mut self, depth: usize) -> Self {
        self.depth = Some(depth);
        self
    }

    /// Searches among the points that match a filter, in every part so far, whatever filter it had.
    #[must_use]
    pub fn with_filter(mut self, filter: &Filter) -> Self {
        for (part, _) in &mut self.parts {
            match part {
                HybridPart::Vector(query) => query.filter = Some(filter.clone()),
                HybridPart::Text(query) => query.filter = Some(filter.clone()),
            }
        }
        self
    }
}

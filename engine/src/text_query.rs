//! What to search for by words.

use bigrain_types::{Cancel, Filter};

use crate::query_builders::query_builders;

/// The most different words of one query.
pub const MAX_QUERY_WORDS: usize = 1024;

/// What to search for by words: points whose text has any of them, those first whose text has more of
/// them, rarer ones, and more often for its length (BM25).
///
/// ```
/// use bigrain_engine::TextQuery;
///
/// let query = TextQuery::new("sparse retrieval").in_field("abstract");
/// # let _ = query;
/// ```
#[derive(Clone, Debug)]
pub struct TextQuery {
    pub(crate) text: String,
    pub(crate) field: Option<String>,
    pub(crate) filter: Option<Filter>,
    pub(crate) cancel: Cancel,
}

impl TextQuery {
    /// Searches the collection's first text field.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), field: None, filter: None, cancel: Cancel::new() }
    }
}

query_builders!(
    TextQuery,
    field: "Searches another text field, by its name.",
    filter: "Searches among the points that match a filter. Scores stay what they are without it."
);

//! What goes into a collection and what comes out.

use bigrain_types::{Cancel, EmbeddingSpaceId, Payload, PointId, SearchStats, SeqNo};

use crate::SearchPlan;

/// A point to store.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The user's id.
    pub id: PointId,
    /// One component per dimension of the collection.
    pub vector: Vec<f32>,
    /// Attributes to store with it.
    pub payload: Payload,
    /// Which embedding space made the vector, if the caller knows.
    pub space: Option<EmbeddingSpaceId>,
}

impl Point {
    /// Returns a point without attributes.
    #[must_use]
    pub fn new(id: impl Into<PointId>, vector: Vec<f32>) -> Self {
        Self { id: id.into(), vector, payload: Payload::new(), space: None }
    }

    /// Sets the attributes.
    #[must_use]
    pub fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// States which embedding space made the vector; a collection of another space refuses it, one
    /// that declares no space takes any.
    #[must_use]
    pub fn in_space(mut self, space: EmbeddingSpaceId) -> Self {
        self.space = Some(space);
        self
    }
}

/// What to search for.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) vector: Vec<f32>,
    pub(crate) space: Option<EmbeddingSpaceId>,
    pub(crate) cancel: Cancel,
}

impl Query {
    /// Searches for the points nearest to `vector`.
    #[must_use]
    pub fn new(vector: Vec<f32>) -> Self {
        Self { vector, space: None, cancel: Cancel::new() }
    }

    /// States which embedding space made the vector; a collection of another space refuses it, one
    /// that declares no space takes any.
    #[must_use]
    pub fn in_space(mut self, space: EmbeddingSpaceId) -> Self {
        self.space = Some(space);
        self
    }

    /// Lets the search be given up from another thread.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }
}

/// A point as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPoint {
    /// The user's id.
    pub id: PointId,
    /// The stored vector; of length one under cosine.
    pub vector: Vec<f32>,
    /// Its attributes.
    pub payload: Payload,
    /// The write that stored it.
    pub seq: SeqNo,
}

/// One result of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredPoint {
    /// The user's id.
    pub id: PointId,
    /// Exact score: cosine and dot product, where larger is nearer, or Euclidean distance.
    pub score: f32,
    /// Its attributes.
    pub payload: Payload,
}

/// The results of a search, nearest first, and what they cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SearchOutput {
    /// The nearest points.
    pub points: Vec<ScoredPoint>,
    /// Counters and times.
    pub stats: SearchStats,
    /// How the search went about it, when the parameters asked.
    pub plan: Option<SearchPlan>,
}

/// What an upsert did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpsertOutput {
    /// The number of the committed write.
    pub seq: SeqNo,
    /// Points that were new.
    pub inserted: u64,
    /// Points that replaced one of the same id.
    pub updated: u64,
}

/// What a delete did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteOutput {
    /// The number of the committed write.
    pub seq: SeqNo,
    /// Points that existed and are gone.
    pub deleted: u64,
}

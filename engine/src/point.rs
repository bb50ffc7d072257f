//! What goes into a collection and what comes out.

use std::sync::Arc;

use bigrain_types::{
    Cancel, EmbeddingSpaceId, Filter, MultiVector, Payload, PointId, SearchStats, SeqNo,
    SparseVector,
};

use crate::query_builders::query_builders;
use crate::{QueryAdapter, SearchPlan};

/// A point to store.
///
/// ```
/// use bigrain_engine::Point;
///
/// // The first (or only) field of the collection:
/// let one = Point::new(1, vec![0.6, 0.8]);
/// // Several fields; a point may lack some, but not all.
/// let two = Point::empty(2).with_vector("text", vec![0.6, 0.8]).with_vector("image", vec![1.0]);
/// // A sparse one beside it:
/// let sparse = bigrain_engine::SparseVector::new(vec![7, 30_000], vec![0.5, 1.5])?;
/// let three = Point::new(3, vec![0.6, 0.8]).with_sparse("splade", sparse);
/// // A vector for each token of a text, or patch of an image:
/// let tokens = bigrain_engine::MultiVector::from_tokens(&[[0.6, 0.8], [1.0, 0.0]])?;
/// let four = Point::new(4, vec![0.6, 0.8]).with_multi("tokens", tokens);
/// # let _ = (one, two, three, four);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The user's id.
    pub id: PointId,
    /// One vector for each dense field that the point has one in.
    pub vectors: Vec<PointVector>,
    /// One vector for each sparse field that the point has one in.
    pub sparse: Vec<SparsePointVector>,
    /// One for each multi-vector field that the point has one in.
    pub multi: Vec<MultiPointVector>,
    /// Attributes to store with it.
    pub payload: Payload,
}

/// A vector to store.
#[derive(Clone, Debug, PartialEq)]
pub struct PointVector {
    /// Which field it belongs to; without a name the collection's first.
    pub field: Option<String>,
    /// One component per dimension of the field.
    pub values: Vec<f32>,
    /// Which embedding space made the vector, if the caller knows.
    pub space: Option<EmbeddingSpaceId>,
}

/// A sparse vector to store.
#[derive(Clone, Debug, PartialEq)]
pub struct SparsePointVector {
    /// Which field it belongs to.
    pub field: String,
    /// Its components. An empty vector is none: no search finds it, and it is not given back.
    pub vector: SparseVector,
}

/// A multi-vector to store.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiPointVector {
    /// Which field it belongs to.
    pub field: String,
    /// A vector for each token; components are rounded to halves.
    pub vector: MultiVector,
    /// Which embedding space made it, if the caller knows.
    pub space: Option<EmbeddingSpaceId>,
}

impl Point {
    /// Returns a point with a vector in the collection's first field and without attributes.
    #[must_use]
    pub fn new(id: impl Into<PointId>, vector: Vec<f32>) -> Self {
        let vector = PointVector { field: None, values: vector, space: None };
        Self { vectors: vec![vector], ..Self::empty(id) }
    }

    /// Returns a point without vectors and attributes, to be given at least one vector.
    #[must_use]
    pub fn empty(id: impl Into<PointId>) -> Self {
        let (vectors, sparse, multi) = (Vec::new(), Vec::new(), Vec::new());
        Self { id: id.into(), vectors, sparse, multi, payload: Payload::new() }
    }

    /// Adds a vector in a field.
    #[must_use]
    pub fn with_vector(mut self, field: impl Into<String>, values: Vec<f32>) -> Self {
        self.vectors.push(PointVector { field: Some(field.into()), values, space: None });
        self
    }

    /// Adds a vector in a sparse field.
    #[must_use]
    pub fn with_sparse(mut self, field: impl Into<String>, vector: SparseVector) -> Self {
        self.sparse.push(SparsePointVector { field: field.into(), vector });
        self
    }

    /// Adds a vector for each token in a multi-vector field.
    #[must_use]
    pub fn with_multi(mut self, field: impl Into<String>, vector: MultiVector) -> Self {
        self.multi.push(MultiPointVector { field: field.into(), vector, space: None });
        self
    }

    /// Sets the attributes.
    #[must_use]
    pub fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// States which embedding space made the dense vector that was given last; a field of another space
    /// refuses it, one that declares no space takes any.
    #[must_use]
    pub fn in_space(mut self, space: EmbeddingSpaceId) -> Self {
        if let Some(last) = self.vectors.last_mut() {
            last.space = Some(space);
        }
        self
    }
}

/// What to search for.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) vector: Vec<f32>,
    pub(crate) former: Option<Vec<f32>>,
    pub(crate) field: Option<String>,
    pub(crate) filter: Option<Filter>,
    pub(crate) space: Option<EmbeddingSpaceId>,
    pub(crate) adapter: Option<QueryAdapter>,
    pub(crate) cancel: Cancel,
}

impl Query {
    /// Searches for the points nearest to `vector` in the collection's first field.
    #[must_use]
    pub fn new(vector: Vec<f32>) -> Self {
        let cancel = Cancel::new();
        let (former, field, filter, space, adapter) = (None, None, None, None, None);
        Self { vector, former, field, filter, space, adapter, cancel }
    }

    /// Gives what the encoder before makes of the same query, for a field that goes over from one to another
    /// ([`Collection::upgrade_encoder`](crate::Collection::upgrade_encoder)): points that have not gone over are
    /// found by it. Once all have, it is not looked at.
    #[must_use]
    pub fn with_former_vector(mut self, vector: Vec<f32>) -> Self {
        self.former = Some(vector);
        self
    }

    /// States which embedding space made the vector; a field of another space refuses it, one
    /// that declares no space takes any.
    #[must_use]
    pub fn in_space(mut self, space: EmbeddingSpaceId) -> Self {
        self.space = Some(space);
        self
    }

    /// Scores what codes find by an adapter, in place of verification: the field compares by cosine, and
    /// the search is not exact.
    #[must_use]
    pub fn with_adapter(mut self, adapter: QueryAdapter) -> Self {
        self.adapter = Some(adapter);
        self
    }
}

query_builders!(
    Query,
    field: "Searches another field: among the points that have a vector in it.",
    filter: "Searches among the points that match a filter."
);

/// A point as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPoint {
    /// The user's id.
    pub id: PointId,
    /// Its dense vectors, in the order of the collection's fields.
    pub vectors: Vec<StoredVector>,
    /// Its sparse vectors, in the order of the collection's fields.
    pub sparse: Vec<StoredSparseVector>,
    /// Its multi-vectors, in the order of the collection's fields.
    pub multi: Vec<StoredMultiVector>,
    /// Its attributes.
    pub payload: Payload,
    /// The write that stored it.
    pub seq: SeqNo,
}

impl StoredPoint {
    /// Returns the vector in a sparse field; none where the point has none, or the collection no such
    /// field.
    #[must_use]
    pub fn sparse(&self, field: &str) -> Option<&SparseVector> {
        let found = self.sparse.iter().find(|vector| &*vector.field == field);
        found.map(|vector| &vector.vector)
    }

    /// Returns the multi-vector in a field; none where the point has none, or the collection no such
    /// field.
    #[must_use]
    pub fn multi(&self, field: &str) -> Option<&MultiVector> {
        let found = self.multi.iter().find(|vector| &*vector.field == field);
        found.map(|vector| &vector.vector)
    }

    /// Returns the vector in a dense field; none where the point has none, or the collection no such
    /// field.
    #[must_use]
    pub fn vector(&self, field: &str) -> Option<&[f32]> {
        let found = self.vectors.iter().find(|vector| &*vector.field == field);
        found.map(|vector| &*vector.values)
    }
}

/// A vector as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredVector {
    /// The field it belongs to.
    pub field: Arc<str>,
    /// Its components; of length one under cosine.
    pub values: Vec<f32>,
}

/// A sparse vector as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSparseVector {
    /// The field it belongs to.
    pub field: Arc<str>,
    /// Its components.
    pub vector: SparseVector,
}

/// A multi-vector as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMultiVector {
    /// The field it belongs to.
    pub field: Arc<str>,
    /// Its tokens, of length one under cosine before they were rounded to halves.
    pub vector: MultiVector,
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

/// The points that match a filter, as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MatchingPoints {
    /// Their ids, in no particular order.
    pub ids: Vec<PointId>,
    /// The last write that was seen: a point of a later one may match no more.
    pub seq: SeqNo,
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

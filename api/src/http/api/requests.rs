//! Bodies of requests, and the messages of `bigrain.v1` that they become.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tonic::Status;

use crate::proto::{
    self, Diversity, Example, FacetRequest, GetRequest, OrderBy, RecommendRequest, ScrollRequest,
    SearchImageRequest, SearchOptions, SearchRequest, SearchTextRequest, SearchWordsRequest,
    SparseVector, example, point_id,
};

/// The id of a point: a number, or a text.
#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "expected the id of a point: a whole number, or a text")]
pub(super) enum Id {
    Number(u64),
    Text(String),
}

impl From<Id> for proto::PointId {
    fn from(id: Id) -> Self {
        let id = match id {
            Id::Number(number) => point_id::Id::Num(number),
            Id::Text(text) => point_id::Id::Text(text),
        };
        Self { id: Some(id) }
    }
}

/// A search: what for, which is one of the first six, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchBody {
    text: Option<String>,
    words: Option<String>,
    vector: Option<Vec<f32>>,
    /// Beside `vector`, by the encoder before.
    former_vector: Option<Vec<f32>>,
    sparse: Option<SparseBody>,
    like: Option<Id>,
    /// The bytes of a file in base64.
    image: Option<String>,
    field: Option<String>,
    filter: Option<Value>,
    limit: Option<u32>,
    target_recall: Option<f32>,
    oversampling: Option<f32>,
    probes: Option<u32>,
    score_threshold: Option<f32>,
    /// How much unlikeness counts against nearness.
    diversity: Option<f32>,
    #[serde(default)]
    exact: bool,
    #[serde(default)]
    explain: bool,
    verify: Option<bool>,
    with_payload: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SparseBody {
    indices: Vec<u32>,
    values: Vec<f32>,
}

/// The call that a search is.
pub(super) enum Query {
    Vector(SearchRequest),
    Text(SearchTextRequest),
    Image(SearchImageRequest),
    Words(SearchWordsRequest),
    Like(RecommendRequest),
}

const WAYS: &str = "expected one of text, words, vector, sparse, like and image";

impl SearchBody {
    /// Makes the message of the call.
    pub fn into_query(self, collection: String) -> Result<Query, Status> {
        let options = Some(self.options());
        let (field, filter_json) = (self.field, filter(self.filter));
        let given = [
            self.text.is_some(),
            self.words.is_some(),
            self.vector.is_some(),
            self.sparse.is_some(),
            self.like.is_some(),
            self.image.is_some(),
        ];
        let given = given.into_iter().filter(|given| *given).count();
        if given > 1 {
            return Err(Status::invalid_argument(format!("{WAYS}: found {given}")));
        }
        if self.former_vector.is_some() && self.vector.is_none() {
            return Err(Status::invalid_argument("former_vector: expected a vector beside it"));
        }
        if let Some(text) = self.text {
            let request = SearchTextRequest { collection, text, options, field, filter_json };
            return Ok(Query::Text(request));
        }
        if let Some(text) = self.words {
            let text_field = field;
            let request = SearchWordsRequest { collection, text, options, text_field, filter_json };
            return Ok(Query::Words(request));
        }
        if let Some(id) = self.like {
            let positive = Example { example: Some(example::Example::Id(id.into())) };
            return Ok(Query::Like(RecommendRequest {
                collection,
                positive: vec![positive],
                options,
                field,
                filter_json,
                ..RecommendRequest::default()
            }));
        }
        if let Some(image) = self.image {
            let image = STANDARD.decode(image);
            let image = image
                .map_err(|error| Status::invalid_argument(format!("image: base64: {error}")))?;
            let request = SearchImageRequest { collection, image, options, field, filter_json };
            return Ok(Query::Image(request));
        }
        let request =
            SearchRequest { collection, options, field, filter_json, ..SearchRequest::default() };
        if let Some(SparseBody { indices, values }) = self.sparse {
            let sparse = Some(SparseVector { indices, values });
            return Ok(Query::Vector(SearchRequest { sparse, ..request }));
        }
        let vector = self.vector.ok_or_else(|| Status::invalid_argument(WAYS))?;
        let former_vector = self.former_vector.unwrap_or_default();
        Ok(Query::Vector(SearchRequest { vector, former_vector, ..request }))
    }

    fn options(&self) -> SearchOptions {
        SearchOptions {
            limit: self.limit,
            oversampling: self.oversampling,
            exact: self.exact,
            explain: self.explain,
            with_payload: self.with_payload,
            target_recall: self.target_recall,
            probes: self.probes,
            verify: self.verify,
            score_threshold: self.score_threshold,
            diversity: self.diversity.map(|weight| Diversity { weight, depth: None }),
        }
    }
}

/// A page of points.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScrollBody {
    filter: Option<Value>,
    limit: Option<u32>,
    cursor: Option<String>,
    order_by: Option<OrderBody>,
    #[serde(default)]
    with_vectors: bool,
    with_payload: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    field: String,
    #[serde(default)]
    descending: bool,
}

impl ScrollBody {
    /// Makes the message of the call.
    pub fn into_request(self, collection: String) -> ScrollRequest {
        let order = |OrderBody { field, descending }| OrderBy { field, descending };
        ScrollRequest {
            collection,
            after: None,
            limit: self.limit,
            with_vectors: self.with_vectors,
            with_payload: self.with_payload,
            filter_json: filter(self.filter),
            order_by: self.order_by.map(order),
            cursor: self.cursor,
        }
    }
}

/// Points by their ids.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PointsBody {
    ids: Vec<Id>,
    #[serde(default)]
    with_vectors: bool,
    with_payload: Option<bool>,
}

impl PointsBody {
    /// Makes the message of the call.
    pub fn into_request(self, collection: String) -> GetRequest {
        let Self { ids, with_vectors, with_payload } = self;
        let ids = ids.into_iter().map(Into::into).collect();
        GetRequest { collection, ids, with_vectors, with_payload }
    }
}

/// How often values occur.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FacetBody {
    field: String,
    filter: Option<Value>,
    limit: Option<u32>,
}

impl FacetBody {
    /// Makes the message of the call.
    pub fn into_request(self, collection: String) -> FacetRequest {
        let Self { field, filter: given, limit } = self;
        FacetRequest { collection, field, filter_json: filter(given), limit }
    }
}

/// The text of a filter; `null` is none.
fn filter(filter: Option<Value>) -> Option<String> {
    filter.filter(|filter| !filter.is_null()).map(|filter| filter.to_string())
}

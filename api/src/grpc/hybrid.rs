//! Searches by words, and by vectors and words together.

use std::sync::Arc;
use std::time::Duration;

use bigrain_engine::{
    Cancel, Filter, Fusion, HybridQuery, MultiQuery, Query, SearchParams, SparseQuery, TextQuery,
};
use tonic::Status;

use super::search::SearchService;
use crate::convert;
use crate::proto::hybrid_part::Search;
use crate::proto::{
    HybridMulti, HybridPart, HybridSparse, HybridText, HybridVector, HybridWords,
    SearchHybridRequest, SearchOptions, SearchReply, SearchWordsRequest,
};

/// How a request says that weights were fitted; with a name behind it in brackets, which fit it means.
const FITTED: &str = "fitted";

/// How parts are fused.
enum Weights {
    Stated(Fusion, Vec<f32>),
    /// By the fit of a name, or of none.
    Fitted(Option<String>),
}

/// A part whose text, if it has one, is encoded.
enum Part {
    Vector(Query),
    Sparse(SparseQuery),
    Multi(MultiQuery),
    Words(TextQuery),
}

/// What encoding texts came to.
#[derive(Clone, Copy, Default)]
pub(super) struct Encoding {
    pub truncated: bool,
    pub took: Duration,
}

/// A search by words that was read from a request.
pub(super) struct WordsSearch {
    pub collection: String,
    pub options: SearchOptions,
    pub params: SearchParams,
    query: TextQuery,
}

/// A fused search that was read from a request, its texts encoded.
pub(super) struct HybridSearch {
    pub collection: String,
    pub options: SearchOptions,
    pub params: SearchParams,
    pub encoding: Encoding,
    parts: Vec<Part>,
    weights: Weights,
    depth: Option<u32>,
    filter: Option<Filter>,
}

impl WordsSearch {
    pub fn of(request: SearchWordsRequest) -> Result<Self, Status> {
        let options = request.options.unwrap_or_default();
        let params = convert::search_params(&options)?;
        let query = text_query(request.text, request.text_field);
        let query = match convert::filter(request.filter_json.as_deref())? {
            Some(filter) => query.with_filter(filter),
            None => query,
        };
        Ok(Self { collection: request.collection, options, params, query })
    }

    pub fn into_query(self, cancel: &Cancel) -> TextQuery {
        self.query.with_cancel(cancel.clone())
    }
}

impl HybridSearch {
    pub fn into_query(self, cancel: &Cancel) -> Result<HybridQuery, Status> {
        let mut query = hybrid_query(self.parts, self.weights, cancel)?;
        if let Some(depth) = self.depth {
            query = query.with_depth(depth as usize);
        }
        if let Some(filter) = &self.filter {
            query = query.with_filter(filter);
        }
        Ok(query)
    }
}

impl SearchService {
    /// Searches by words.
    pub(super) async fn words(&self, request: SearchWordsRequest) -> Result<SearchReply, Status> {
        let words = WordsSearch::of(request)?;
        let context = Arc::clone(&self.0);
        let search = move |cancel: &Cancel| {
            let collection = context.collection(&words.collection)?;
            let (params, with_payload) = (words.params, convert::with_payload(&words.options));
            let output = collection.search_text(&words.into_query(cancel), &params);
            let output = context.found(output)?;
            context.check_reply(convert::search_reply(output, with_payload)?)
        };
        self.0.runtime.searches.run(search).await
    }

    /// Searches by vectors and words, having encoded texts.
    pub(super) async fn hybrid(&self, request: SearchHybridRequest) -> Result<SearchReply, Status> {
        let hybrid = self.hybrid_search(request).await?;
        let Encoding { truncated, took } = hybrid.encoding;
        let context = Arc::clone(&self.0);
        let search = move |cancel: &Cancel| {
            let collection = context.collection(&hybrid.collection)?;
            let (params, with_payload) = (hybrid.params, convert::with_payload(&hybrid.options));
            let output = collection.search_hybrid(&hybrid.into_query(cancel)?, &params);
            let output = context.found(output)?;
            context.check_reply(convert::search_reply(output, with_payload)?)
        };
        let mut reply = self.0.runtime.searches.run(search).await?;
        reply.query_truncated = truncated;
        if let Some(stats) = &mut reply.stats {
            stats.encode_us = convert::micros(took);
        }
        Ok(reply)
    }

    /// Reads a fused search and encodes its texts.
    pub(super) async fn hybrid_search(
        &self,
        request: SearchHybridRequest,
    ) -> Result<HybridSearch, Status> {
        let options = request.options.unwrap_or_default();
        // Refuse what cannot be searched before spending an encoder on it.
        let params = convert::search_params(&options)?;
        let filter = convert::filter(request.filter_json.as_deref())?;
        let weights = weights(&request.fusion, &request.parts)?;
        let mut encoding = Encoding::default();
        let mut parts = Vec::with_capacity(request.parts.len());
        for (position, part) in request.parts.into_iter().enumerate() {
            let part = self.part(&request.collection, part, &mut encoding).await;
            parts.push(part.map_err(|status| convert::at("parts", position, &status))?);
        }
        let (collection, depth) = (request.collection, request.depth);
        Ok(HybridSearch { collection, options, params, encoding, parts, weights, depth, filter })
    }

    async fn part(
        &self,
        collection: &str,
        part: HybridPart,
        encoding: &mut Encoding,
    ) -> Result<Part, Status> {
        match part.search {
            Some(Search::Vector(HybridVector { vector, field, space, former_vector })) => {
                let space = convert::space(space.as_deref())?;
                Ok(Part::Vector(convert::query(vector, Some(former_vector), field, space)))
            }
            Some(Search::Text(HybridText { text, field })) => {
                let encoded = self.encode(collection.to_owned(), field.clone(), text).await?;
                encoding.truncated |= encoded.truncated;
                encoding.took += encoded.took;
                Ok(Part::Vector(encoded.into_query(field)))
            }
            Some(Search::Sparse(HybridSparse { vector, field })) => {
                Ok(Part::Sparse(convert::sparse_query(vector.unwrap_or_default(), field)?))
            }
            Some(Search::Multi(HybridMulti { vector, field, space })) => {
                let space = convert::space(space.as_deref())?;
                let vector = vector.unwrap_or_default();
                Ok(Part::Multi(convert::multi_query(vector, field, space)?))
            }
            Some(Search::Words(HybridWords { text, text_field })) => {
                Ok(Part::Words(text_query(text, text_field)))
            }
            None => {
                let reason = "search is missing: expected vector, sparse, multi, text or words";
                Err(Status::invalid_argument(reason))
            }
        }
    }
}

/// Reads the fusion, with a weight for every part unless they were fitted.
fn weights(fusion: &str, parts: &[HybridPart]) -> Result<Weights, Status> {
    if let Some(rest) = fusion.strip_prefix(FITTED) {
        let name = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        if name.is_some() || rest.is_empty() {
            if parts.iter().any(|part| part.weight.is_some()) {
                return Err(Status::invalid_argument("weights are stated beside fitted ones"));
            }
            return Ok(Weights::Fitted(name.map(str::to_owned)));
        }
    }
    let fusion = fusion.parse().map_err(|_| {
        Status::invalid_argument(format!(
            "unknown fusion {fusion:?}: expected rrf, rrf(K), minmax, dbsf, fitted or fitted(NAME)"
        ))
    })?;
    let weight = |(position, part): (usize, &HybridPart)| {
        let missing = || Status::invalid_argument(format!("parts[{position}]: weight is missing"));
        part.weight.ok_or_else(missing)
    };
    let weights = parts.iter().enumerate().map(weight).collect::<Result<_, _>>()?;
    Ok(Weights::Stated(fusion, weights))
}

fn hybrid_query(
    parts: Vec<Part>,
    weights: Weights,
    cancel: &Cancel,
) -> Result<HybridQuery, Status> {
    let (fusion, weights) = match weights {
        Weights::Stated(fusion, weights) => (fusion, weights),
        Weights::Fitted(name) => {
            let query = fitted_query(parts, cancel)?;
            return Ok(match name {
                None => query,
                Some(name) => query.with_fit(name),
            });
        }
    };
    let parts = parts.into_iter().zip(weights);
    Ok(parts.fold(HybridQuery::new(fusion), |query, (part, weight)| match part {
        Part::Vector(vector) => query.with_vector(vector.with_cancel(cancel.clone()), weight),
        Part::Sparse(vector) => query.with_sparse(vector.with_cancel(cancel.clone()), weight),
        Part::Multi(vector) => query.with_multi(vector.with_cancel(cancel.clone()), weight),
        Part::Words(text) => query.with_text(text.with_cancel(cancel.clone()), weight),
    }))
}

fn fitted_query(parts: Vec<Part>, cancel: &Cancel) -> Result<HybridQuery, Status> {
    let cancel = || cancel.clone();
    match <[Part; 2]>::try_from(parts) {
        Ok([Part::Vector(vector), Part::Words(text)]) => {
            Ok(HybridQuery::fitted(vector.with_cancel(cancel()), text.with_cancel(cancel())))
        }
        Ok([Part::Sparse(vector), Part::Words(text)]) => {
            Ok(HybridQuery::fitted_sparse(vector.with_cancel(cancel()), text.with_cancel(cancel())))
        }
        Ok(_) | Err(_) => {
            let expected = "a fitted fusion is of a vector, sparse vector or text and then words";
            Err(Status::invalid_argument(expected))
        }
    }
}

fn text_query(text: String, field: Option<String>) -> TextQuery {
    let query = TextQuery::new(text);
    match field {
        Some(field) => query.in_field(field),
        None => query,
    }
}

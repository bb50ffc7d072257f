//! Searches by words, and by vectors and words together.

use std::sync::Arc;
use std::time::Duration;

use bigrain_engine::{Cancel, Fusion, HybridQuery, Query, SparseQuery, TextQuery};
use tonic::Status;

use super::search::SearchService;
use crate::proto::hybrid_part::Search;
use crate::proto::{
    HybridPart, HybridSparse, HybridText, HybridVector, HybridWords, SearchHybridRequest,
    SearchReply, SearchWordsRequest,
};
use crate::{convert, status};

/// How a request says that weights were fitted.
const FITTED: &str = "fitted";

/// A part whose text, if it has one, is encoded.
enum Part {
    Vector(Query),
    Sparse(SparseQuery),
    Words(TextQuery),
}

/// What encoding texts came to.
#[derive(Default)]
struct Encoding {
    truncated: bool,
    took: Duration,
}

impl SearchService {
    /// Searches by words.
    pub(super) async fn words(&self, request: SearchWordsRequest) -> Result<SearchReply, Status> {
        let options = request.options.unwrap_or_default();
        let params = convert::search_params(&options)?;
        let filter = convert::filter(request.filter_json.as_deref())?;
        let context = Arc::clone(&self.0);
        let search = move |cancel: &Cancel| {
            let collection = context.collection(&request.collection)?;
            let query = text_query(request.text, request.text_field).with_cancel(cancel.clone());
            let query = match filter {
                Some(filter) => query.with_filter(filter),
                None => query,
            };
            let output = collection.search_text(&query, &params).map_err(status::from_engine)?;
            let reply = convert::search_reply(output, convert::with_payload(&options))?;
            context.check_reply(reply)
        };
        self.0.runtime.searches.run(search).await
    }

    /// Searches by vectors and words, having encoded texts.
    pub(super) async fn hybrid(&self, request: SearchHybridRequest) -> Result<SearchReply, Status> {
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
        let context = Arc::clone(&self.0);
        let search = move |cancel: &Cancel| {
            let collection = context.collection(&request.collection)?;
            let mut query = hybrid_query(parts, weights, cancel)?;
            if let Some(depth) = request.depth {
                query = query.with_depth(depth as usize);
            }
            if let Some(filter) = &filter {
                query = query.with_filter(filter);
            }
            let output = collection.search_hybrid(&query, &params).map_err(status::from_engine)?;
            let reply = convert::search_reply(output, convert::with_payload(&options))?;
            context.check_reply(reply)
        };
        let mut reply = self.0.runtime.searches.run(search).await?;
        reply.query_truncated = encoding.truncated;
        if let Some(stats) = &mut reply.stats {
            stats.encode_us = convert::micros(encoding.took);
        }
        Ok(reply)
    }

    async fn part(
        &self,
        collection: &str,
        part: HybridPart,
        encoding: &mut Encoding,
    ) -> Result<Part, Status> {
        match part.search {
            Some(Search::Vector(HybridVector { vector, field, space })) => {
                let space = convert::space(space.as_deref())?;
                Ok(Part::Vector(convert::query(vector, field, space)))
            }
            Some(Search::Text(HybridText { text, field })) => {
                let encoded = self.encode(collection.to_owned(), field.clone(), text).await?;
                encoding.truncated |= encoded.truncated;
                encoding.took += encoded.took;
                Ok(Part::Vector(convert::query(encoded.vector, field, Some(encoded.space))))
            }
            Some(Search::Sparse(HybridSparse { vector, field })) => {
                Ok(Part::Sparse(convert::sparse_query(vector.unwrap_or_default(), field)?))
            }
            Some(Search::Words(HybridWords { text, text_field })) => {
                Ok(Part::Words(text_query(text, text_field)))
            }
            None => {
                let reason = "search is missing: expected vector, sparse, text or words";
                Err(Status::invalid_argument(reason))
            }
        }
    }
}

/// Reads the fusion with a weight for every part; nothing where they were fitted.
fn weights(fusion: &str, parts: &[HybridPart]) -> Result<Option<(Fusion, Vec<f32>)>, Status> {
    if fusion == FITTED {
        if parts.iter().any(|part| part.weight.is_some()) {
            return Err(Status::invalid_argument("weights are stated beside fitted ones"));
        }
        return Ok(None);
    }
    let fusion = fusion.parse().map_err(|_| {
        Status::invalid_argument(format!(
            "unknown fusion {fusion:?}: expected rrf, rrf(K), minmax, dbsf or fitted"
        ))
    })?;
    let weight = |(position, part): (usize, &HybridPart)| {
        let missing = || Status::invalid_argument(format!("parts[{position}]: weight is missing"));
        part.weight.ok_or_else(missing)
    };
    let weights = parts.iter().enumerate().map(weight).collect::<Result<_, _>>()?;
    Ok(Some((fusion, weights)))
}

fn hybrid_query(
    parts: Vec<Part>,
    weights: Option<(Fusion, Vec<f32>)>,
    cancel: &Cancel,
) -> Result<HybridQuery, Status> {
    let Some((fusion, weights)) = weights else {
        let cancel = || cancel.clone();
        return match <[Part; 2]>::try_from(parts) {
            Ok([Part::Vector(vector), Part::Words(text)]) => {
                Ok(HybridQuery::fitted(vector.with_cancel(cancel()), text.with_cancel(cancel())))
            }
            Ok([Part::Sparse(vector), Part::Words(text)]) => Ok(HybridQuery::fitted_sparse(
                vector.with_cancel(cancel()),
                text.with_cancel(cancel()),
            )),
            Ok(_) | Err(_) => {
                let expected =
                    "a fitted fusion is of a vector, sparse vector or text and then words";
                Err(Status::invalid_argument(expected))
            }
        };
    };
    let parts = parts.into_iter().zip(weights);
    Ok(parts.fold(HybridQuery::new(fusion), |query, (part, weight)| match part {
        Part::Vector(vector) => query.with_vector(vector.with_cancel(cancel.clone()), weight),
        Part::Sparse(vector) => query.with_sparse(vector.with_cancel(cancel.clone()), weight),
        Part::Words(text) => query.with_text(text.with_cancel(cancel.clone()), weight),
    }))
}

fn text_query(text: String, field: Option<String>) -> TextQuery {
    let query = TextQuery::new(text);
    match field {
        Some(field) => query.in_field(field),
        None => query,
    }
}

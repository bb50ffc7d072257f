//! Searches whose answer is not one list of neighbours: batches and recommendations.

use std::sync::Arc;

use bigrain_engine::{Cancel, RecommendQuery};
use tonic::Status;

use super::Context;
use super::search::{QueryVector, SearchService};
use crate::convert;
use crate::proto::{RecommendRequest, SearchBatchReply, SearchBatchRequest, SearchReply};

impl SearchService {
    pub(super) async fn batch(
        &self,
        request: SearchBatchRequest,
    ) -> Result<SearchBatchReply, Status> {
        let context = Arc::clone(&self.0);
        let search = move |cancel: &Cancel| context.search_batch(&request, cancel);
        self.0.runtime.searches.run(search).await
    }

    pub(super) async fn examples(&self, request: RecommendRequest) -> Result<SearchReply, Status> {
        let options = request.options.unwrap_or_default();
        let params = convert::search_params(&options)?;
        let collection = request.collection.clone();
        let query = recommend_query(request)?;
        let context = Arc::clone(&self.0);
        let recommend = move |cancel: &Cancel| {
            let collection = context.collection(&collection)?;
            let query = query.with_cancel(cancel.clone());
            let output = context.found(collection.recommend(&query, &params))?;
            context.check_reply(convert::search_reply(output, convert::with_payload(&options))?)
        };
        self.0.runtime.searches.run(recommend).await
    }
}

impl Context {
    fn search_batch(
        &self,
        request: &SearchBatchRequest,
        cancel: &Cancel,
    ) -> Result<SearchBatchReply, Status> {
        self.check_batch("searches", request.searches.len())?;
        let collection = self.collection(&request.collection)?;
        let (mut searches, mut outcomes) = (Vec::new(), Vec::new());
        for search in &request.searches {
            if !search.collection.is_empty() && search.collection != request.collection {
                return Err(Status::invalid_argument(format!(
                    "searches of one batch are of one collection: expected {:?}, got {:?}",
                    request.collection, search.collection
                )));
            }
            let options = search.options.unwrap_or_default();
            let read = convert::search_params(&options)
                .and_then(|params| Ok((QueryVector::of(search)?.into_query(cancel), params)));
            outcomes.push(read.map(|search| {
                searches.push(search);
                convert::with_payload(&options)
            }));
        }
        let mut found = searches.iter().zip(collection.search_batch(&searches));
        let mut reply = SearchBatchReply::default();
        for outcome in outcomes {
            let outcome = outcome.and_then(|with_payload| {
                let ((query, params), found) =
                    found.next().ok_or_else(|| Status::internal("a search has no answer"))?;
                let output = self.found(found)?;
                self.check_recall(&collection, (query, params), &output);
                convert::search_reply(output, with_payload)
            });
            reply.outcomes.push(convert::search_outcome(outcome));
        }
        self.check_reply(reply)
    }
}

fn recommend_query(request: RecommendRequest) -> Result<RecommendQuery, Status> {
    let positive = convert::examples("positive", request.positive)?;
    let negative = convert::examples("negative", request.negative)?;
    let mut positive = positive.into_iter();
    let first = positive.next().ok_or_else(|| {
        Status::invalid_argument("positive is empty: expected at least one example")
    })?;
    let mut query = positive.fold(RecommendQuery::like(first), RecommendQuery::and_like);
    query = negative.into_iter().fold(query, RecommendQuery::unlike);
    query = query.with_strategy(convert::recommend_strategy(request.strategy)?);
    if let Some(field) = request.field {
        query = query.in_field(field);
    }
    if let Some(filter) = convert::filter(request.filter_json.as_deref())? {
        query = query.with_filter(filter);
    }
    Ok(query)
}

//! Searches whose results are grouped by the values of a payload field.

use std::sync::Arc;

use bigrain_engine::{Cancel, GroupBy, GroupOutput, SearchParams};
use tonic::Status;

use super::Context;
use super::hybrid::{Encoding, HybridSearch, WordsSearch};
use super::search::{QueryVector, SearchService};
use crate::proto::search_groups_request::Query;
use crate::proto::{SearchGroupsReply, SearchGroupsRequest, SearchOptions, SearchTextRequest};
use crate::{convert, status};

/// A search to be grouped, its texts encoded.
enum Grouped {
    Vector { collection: String, options: SearchOptions, params: SearchParams, query: QueryVector },
    Words(WordsSearch),
    Hybrid(HybridSearch),
}

impl SearchService {
    pub(super) async fn groups(
        &self,
        request: SearchGroupsRequest,
    ) -> Result<SearchGroupsReply, Status> {
        let by = convert::group_by(&request.group_by, request.per_group)?;
        let query = request.query.ok_or_else(|| {
            Status::invalid_argument("query is missing: expected search, text, words or hybrid")
        })?;
        let (grouped, encoding) = self.grouped(query).await?;
        let context = Arc::clone(&self.0);
        let search = move |cancel: &Cancel| {
            let with_payload = convert::with_payload(grouped.options());
            let output = grouped.run(&context, &by, cancel)?;
            context.check_reply(convert::groups_reply(output, with_payload)?)
        };
        let mut reply = self.0.runtime.searches.run(search).await?;
        reply.query_truncated = encoding.truncated;
        if let Some(stats) = &mut reply.stats {
            stats.encode_us = convert::micros(encoding.took);
        }
        Ok(reply)
    }

    /// Reads a search and encodes its texts.
    async fn grouped(&self, query: Query) -> Result<(Grouped, Encoding), Status> {
        Ok(match query {
            Query::Search(request) => {
                let options = request.options.unwrap_or_default();
                let (params, query) =
                    (convert::search_params(&options)?, QueryVector::of(&request)?);
                let collection = request.collection;
                let grouped = Grouped::Vector { collection, options, params, query };
                (grouped, Encoding::default())
            }
            Query::Text(request) => self.grouped_text(request).await?,
            Query::Words(request) => {
                (Grouped::Words(WordsSearch::of(request)?), Encoding::default())
            }
            Query::Hybrid(request) => {
                let hybrid = self.hybrid_search(request).await?;
                let encoding = hybrid.encoding;
                (Grouped::Hybrid(hybrid), encoding)
            }
        })
    }

    async fn grouped_text(
        &self,
        request: SearchTextRequest,
    ) -> Result<(Grouped, Encoding), Status> {
        let options = request.options.unwrap_or_default();
        let params = convert::search_params(&options)?;
        let collection = request.collection.clone();
        let (query, encoding) = self.text_vector(request).await?;
        Ok((Grouped::Vector { collection, options, params, query }, encoding))
    }
}

impl Grouped {
    fn options(&self) -> &SearchOptions {
        match self {
            Self::Vector { options, .. } => options,
            Self::Words(search) => &search.options,
            Self::Hybrid(search) => &search.options,
        }
    }

    fn run(self, context: &Context, by: &GroupBy, cancel: &Cancel) -> Result<GroupOutput, Status> {
        let output = match self {
            Self::Vector { collection, params, query, .. } => {
                let collection = context.collection(&collection)?;
                collection.search_groups(query.into_query(cancel), by, &params)
            }
            Self::Words(search) => {
                let (collection, params) = (context.collection(&search.collection)?, search.params);
                collection.search_text_groups(&search.into_query(cancel), by, &params)
            }
            Self::Hybrid(search) => {
                let (collection, params) = (context.collection(&search.collection)?, search.params);
                collection.search_hybrid_groups(&search.into_query(cancel)?, by, &params)
            }
        };
        let output = output.map_err(status::from_engine)?;
        context.searched(&output.stats);
        Ok(output)
    }
}

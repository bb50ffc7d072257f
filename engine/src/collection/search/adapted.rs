//! Scoring what codes found by an adapter: the local stage of BiDR.

use std::time::Instant;

use bigrain_index::verify::similarity;
use bigrain_types::{Metric, SearchParams, SearchStats, SeqNo};

use super::diverse::ids;
use super::{Hit, VectorSearch};
use crate::{Error, QueryAdapter, Result};

impl VectorSearch<'_> {
    /// Orders what codes found by the query's adapter, where it has one; nothing when one of the points was
    /// deleted or replaced since `seq`. Points of memtables, which were scored exactly, count as if their codes
    /// had said their similarity.
    pub fn adapted(
        &self,
        hits: Vec<Hit>,
        seq: SeqNo,
        stats: &mut SearchStats,
    ) -> Result<Option<Vec<Hit>>> {
        let Some(adapter) = &self.query.adapter else { return Ok(Some(hits)) };
        let started = Instant::now();
        let vectors = self.shared.stored_vectors(&ids(&hits), &self.field, seq)?;
        let Some(vectors) = vectors else { return Ok(None) };
        self.query.cancel.check()?;
        let query = adapter.adapt(&self.vector);
        let score = |(hit, vector): (Hit, &Vec<f32>)| {
            let dense = similarity(Metric::Cosine, &query, vector);
            Hit { similarity: adapter.score(dense, hit.similarity), id: hit.id }
        };
        let mut hits: Vec<Hit> = hits.into_iter().zip(&vectors).map(score).collect();
        // Stable: of equals the one that codes took for nearer comes first.
        hits.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        hits.truncate(self.ranked);
        stats.rows_read += vectors.len() as u64;
        stats.bytes_read += (vectors.len() * self.field.config.dims * size_of::<f32>()) as u64;
        stats.times.verify += started.elapsed();
        Ok(Some(hits))
    }
}

/// Returns how codes are searched for an adapter: they alone rank what it scores.
pub(super) fn adapted_params(adapter: &QueryAdapter, params: SearchParams) -> Result<SearchParams> {
    if params.exact() {
        return Err(Error::invalid(
            "an adapter scores what codes find, and an exact search asks no codes",
        ));
    }
    let shortlist = params.limit().max(adapter.shortlist());
    Ok(params.with_limit(shortlist)?.with_verify(false))
}

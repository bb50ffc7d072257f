//! Results that are near the query without being all alike.

use bigrain_index::verify::similarity;
use bigrain_types::{PointId, SearchParams, SeqNo};

use super::{Hit, VectorSearch};
use crate::{Error, Result, diversify};

impl VectorSearch<'_> {
    /// Picks the results of a search that asks for diverse ones, by their stored vectors; nothing when
    /// one of them was deleted or replaced since `seq`.
    pub fn diverse(&self, hits: Vec<Hit>, seq: SeqNo) -> Result<Option<Vec<Hit>>> {
        let Some(diversity) = self.params.diversity() else { return Ok(Some(hits)) };
        let ids: Vec<PointId> = hits.iter().map(|hit| hit.id.clone()).collect();
        let vectors = self.shared.stored_vectors(&ids, &self.field, seq)?;
        let Some(vectors) = vectors else { return Ok(None) };
        self.query.cancel.check()?;
        let metric = self.field.config.metric;
        let relevance: Vec<f32> = hits.iter().map(|hit| hit.similarity).collect();
        let alike = |a: usize, b: usize| similarity(metric, &vectors[a], &vectors[b]);
        let picked = diversify(&relevance, alike, diversity.weight(), self.limit);
        let mut hits: Vec<Option<Hit>> = hits.into_iter().map(Some).collect();
        Ok(Some(picked.into_iter().filter_map(|place| hits[place].take()).collect()))
    }
}

/// Refuses diversity where results are not compared by their vectors.
pub(super) fn refuse_diversity(params: &SearchParams) -> Result<()> {
    match params.diversity() {
        Some(_) => Err(Error::invalid("only a search by one vector can have diverse results")),
        None => Ok(()),
    }
}

//! Results that are near the query without being all alike.

use bigrain_index::multi::{max_sim, round};
use bigrain_index::verify::similarity;
use bigrain_types::{Diversity, HalfTokens, PointId, SearchParams, SeqNo, SparseVector};

use super::{Hit, MultiVectorSearch, SparseVectorSearch, VectorSearch};
use crate::{Error, Result, diversify};

impl VectorSearch<'_> {
    /// Picks the results of a search that asks for diverse ones, by their stored vectors; nothing when
    /// one of them was deleted or replaced since `seq`.
    pub fn diverse(&self, hits: Vec<Hit>, seq: SeqNo) -> Result<Option<Vec<Hit>>> {
        let Some(diversity) = self.params.diversity() else { return Ok(Some(hits)) };
        let vectors = self.shared.stored_vectors(&ids(&hits), &self.field, seq)?;
        let Some(vectors) = vectors else { return Ok(None) };
        self.query.cancel.check()?;
        let metric = self.field.config.metric;
        let alike = |a: usize, b: usize| similarity(metric, &vectors[a], &vectors[b]);
        Ok(Some(pick(hits, alike, diversity, self.limit)))
    }
}

impl MultiVectorSearch<'_> {
    /// As for vectors. MaxSim tells which of two points asks: how alike they are is the mean of both ways.
    pub fn diverse(&self, hits: Vec<Hit>, seq: SeqNo) -> Result<Option<Vec<Hit>>> {
        let Some(diversity) = self.params.diversity() else { return Ok(Some(hits)) };
        let vectors = self.shared.stored_multi(&ids(&hits), &self.field, seq)?;
        let Some(vectors) = vectors else { return Ok(None) };
        self.query.cancel.check()?;
        let halves: Vec<HalfTokens> = vectors.iter().map(round).collect();
        let one_way = |a: usize, b: usize| max_sim(&vectors[a], halves[b].view());
        let alike = |a: usize, b: usize| 0.5 * (one_way(a, b) + one_way(b, a));
        Ok(Some(pick(hits, alike, diversity, self.limit)))
    }
}

impl SparseVectorSearch<'_> {
    /// As for vectors. A query has few of the dimensions that points have, and may weigh them, so products of
    /// points with each other are of another size than those with a query: how alike two points are
    /// is the cosine of their vectors, times the best score.
    pub fn diverse(&self, hits: Vec<Hit>, seq: SeqNo) -> Result<Option<Vec<Hit>>> {
        let Some(diversity) = self.params.diversity() else { return Ok(Some(hits)) };
        let vectors = self.shared.stored_sparse(&ids(&hits), &self.field, seq)?;
        let Some(vectors) = vectors else { return Ok(None) };
        self.query.cancel.check()?;
        let unit = hits.first().map_or(0.0, |best| best.similarity.abs());
        let lengths: Vec<f32> = vectors.iter().map(length).collect();
        let alike = |a: usize, b: usize| {
            let product = vectors[a].dot(&vectors[b]).unwrap_or_default();
            let cosine = product / (lengths[a] * lengths[b]);
            // Lengths out of range say nothing.
            if cosine.is_finite() { unit * cosine } else { 0.0 }
        };
        Ok(Some(pick(hits, alike, diversity, self.limit)))
    }
}

fn length(vector: &SparseVector) -> f32 {
    vector.dot(vector).unwrap_or_default().sqrt()
}

pub(super) fn ids(hits: &[Hit]) -> Vec<PointId> {
    hits.iter().map(|hit| hit.id.clone()).collect()
}

fn pick(
    hits: Vec<Hit>,
    alike: impl Fn(usize, usize) -> f32,
    diversity: Diversity,
    limit: usize,
) -> Vec<Hit> {
    let relevance: Vec<f32> = hits.iter().map(|hit| hit.similarity).collect();
    let picked = diversify(&relevance, alike, diversity.weight(), limit);
    let mut hits: Vec<Option<Hit>> = hits.into_iter().map(Some).collect();
    picked.into_iter().filter_map(|place| hits[place].take()).collect()
}

/// Refuses diversity where results are not compared by their vectors.
pub(super) fn refuse_diversity(params: &SearchParams) -> Result<()> {
    match params.diversity() {
        Some(_) => Err(Error::invalid(
            "only a search by one vector, sparse vector or multi-vector can have diverse results",
        )),
        None => Ok(()),
    }
}

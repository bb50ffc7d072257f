//! Both searches of every query, and how good every setting would make their fusion.

use std::num::NonZeroUsize;

use anyhow::Context;
use bigrain_encoders::TextEncoder;
use bigrain_engine::{
    Cancel, Collection, PointId, Query, RankedList, SearchOutput, SearchParams, SparseQuery,
    TextQuery, VectorQuery, fuse,
};

use super::fitting::Fitting;
use super::{Asked, AskedQuery, Folds, Setting, cross_validated};
use crate::progress::Progress;
use crate::queries::encode_queries;
use crate::ranking::Quality;

/// Results of each search that are fused.
pub const DEPTH: usize = 100;

/// Where the vectors of queries come from.
#[derive(Clone, Copy)]
pub enum QueryVectors<'a> {
    /// Of their texts, for a dense field.
    Encoded(&'a dyn TextEncoder),
    /// They bring them, for a sparse field.
    Sparse,
}

/// Which fields are searched, and by which vectors.
#[derive(Clone, Copy)]
pub struct Searched<'a> {
    /// The collection.
    pub collection: &'a Collection,
    /// Its vector field, dense or sparse.
    pub vector_field: &'a str,
    /// Its text field.
    pub text_field: &'a str,
    /// Where the queries' vectors come from.
    pub vectors: QueryVectors<'a>,
}

/// How good every query's results are, by setting.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Where the queries come from.
    source: String,
    settings: Vec<Setting>,
    /// By query, and then by setting.
    qualities: Vec<Vec<Quality>>,
    vector: Vec<Quality>,
    text: Vec<Quality>,
}

impl Trial {
    /// Asks every query both ways.
    ///
    /// # Errors
    ///
    /// When a query has no vector for a sparse field, a search is refused, or the caller stops it.
    pub fn run(searched: Searched<'_>, asked: &Asked, cancel: &Cancel) -> anyhow::Result<Self> {
        let vectors = searched.vectors_of(asked, cancel)?;
        let queries = asked.queries.len();
        let mut trial = Self {
            source: asked.source.clone(),
            settings: Setting::all(),
            qualities: Vec::with_capacity(queries),
            vector: Vec::with_capacity(queries),
            text: Vec::with_capacity(queries),
        };
        let mut progress = Progress::counting("fit", "queries", queries as u64);
        for (query, vector) in asked.queries.iter().zip(&vectors) {
            cancel.check()?;
            let lists = searched.both(query, vector)?;
            trial.add(query, lists)?;
            progress.advance(1, trial.vector.len() as u64);
        }
        progress.finish();
        Ok(trial)
    }

    /// Adds a query with the results of its two searches.
    pub(super) fn add(
        &mut self,
        query: &AskedQuery,
        mut lists: [RankedList; 2],
    ) -> anyhow::Result<()> {
        let quality = |points: &[(PointId, f32)]| {
            let quality = query.judgements.quality(points.iter().map(|(id, _)| id));
            quality.context("a query without anything relevant cannot be judged")
        };
        self.vector.push(quality(&lists[0].points)?);
        self.text.push(quality(&lists[1].points)?);
        let mut qualities = Vec::with_capacity(self.settings.len());
        for setting in &self.settings {
            (lists[0].weight, lists[1].weight) = (setting.vector_weight(), setting.text_weight);
            qualities.push(quality(&fuse(setting.fusion, &lists, DEPTH)?)?);
        }
        self.qualities.push(qualities);
        Ok(())
    }

    /// Chooses a setting by all queries, and judges choosing by the folds.
    ///
    /// # Errors
    ///
    /// When there are too few queries.
    pub fn fit(&self, folds: NonZeroUsize) -> anyhow::Result<Fitting> {
        let folds = Folds::deal(self.qualities.len(), folds)?;
        let chosen = cross_validated(&folds, |queries| self.best(queries));
        let unseen = chosen.iter().zip(&self.qualities).map(|(&at, qualities)| qualities[at]);
        let unseen: Vec<Quality> = unseen.collect();
        let all: Vec<usize> = (0..self.qualities.len()).collect();
        let setting = self.settings[self.best(&all)];
        Ok(Fitting::new(&self.source, setting, &folds, [&self.vector, &self.text, &unseen]))
    }

    /// Returns how good the queries' results are under one setting.
    #[must_use]
    pub fn under(&self, setting: Setting) -> Vec<Quality> {
        let at = self.settings.iter().position(|&other| other == setting).unwrap_or(0);
        self.qualities.iter().map(|qualities| qualities[at]).collect()
    }

    /// Returns which setting is best for some queries.
    fn best(&self, queries: &[usize]) -> usize {
        let mean = |at: usize| {
            let sum: f64 = queries.iter().map(|&query| self.qualities[query][at].ndcg_10).sum();
            sum / queries.len().max(1) as f64
        };
        let means: Vec<f64> = (0..self.settings.len()).map(mean).collect();
        Setting::best(&self.settings, &means)
    }
}

impl Searched<'_> {
    /// Returns the query by vector of each query.
    fn vectors_of(&self, asked: &Asked, cancel: &Cancel) -> anyhow::Result<Vec<VectorQuery>> {
        let encoder = match self.vectors {
            QueryVectors::Encoded(encoder) => encoder,
            QueryVectors::Sparse => {
                return asked.queries.iter().map(|query| self.sparse_of(query)).collect();
            }
        };
        let texts = asked.queries.iter().map(|query| query.text.as_str());
        let embeddings = encode_queries(texts, encoder, cancel)?;
        let query = |vector: &[f32]| {
            let query = Query::new(vector.to_vec()).in_space(encoder.space());
            query.in_field(self.vector_field).into()
        };
        Ok(embeddings.iter().map(query).collect())
    }

    fn sparse_of(&self, asked: &AskedQuery) -> anyhow::Result<VectorQuery> {
        let vector = asked.sparse.clone().with_context(|| {
            format!("query {:?} has no vector for sparse field {:?}", asked.text, self.vector_field)
        })?;
        Ok(SparseQuery::new(vector).in_field(self.vector_field).into())
    }

    fn both(&self, asked: &AskedQuery, vector: &VectorQuery) -> anyhow::Result<[RankedList; 2]> {
        let params = SearchParams::new(DEPTH)?.with_payload(false);
        let by_vector = self.collection.search_by_vector(vector, &params)?;
        let query = TextQuery::new(&asked.text).in_field(self.text_field);
        let by_text = self.collection.search_text(&query, &params)?;
        let larger_is_better = match self.vectors {
            QueryVectors::Sparse => true,
            QueryVectors::Encoded(_) => {
                let config = self.collection.config();
                config.field(Some(self.vector_field))?.metric.larger_is_nearer()
            }
        };
        let sign = if larger_is_better { 1.0 } else { -1.0 };
        Ok([ranked(by_vector, sign), ranked(by_text, 1.0)])
    }
}

/// Returns results with scores of which larger ones are better.
fn ranked(found: SearchOutput, sign: f32) -> RankedList {
    let points = found.points.into_iter().map(|point| (point.id, sign * point.score));
    RankedList { points: points.collect(), weight: 1.0 }
}

impl std::fmt::Debug for Searched<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Searched").field("text_field", &self.text_field).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queries whose relevant point only one of the searches puts first.
    fn trial(by_vector: usize, by_text: usize) -> Trial {
        let mut trial = Trial {
            source: "a test".into(),
            settings: Setting::all(),
            qualities: Vec::new(),
            vector: Vec::new(),
            text: Vec::new(),
        };
        let list = |ids: [u64; 3]| {
            let points = ids.into_iter().zip([3.0, 2.0, 1.0]).map(|(id, score)| (id.into(), score));
            RankedList { points: points.collect(), weight: 1.0 }
        };
        for query in 0..by_vector + by_text {
            let mut judgements = crate::ranking::Judgements::default();
            judgements.insert(PointId::from(1), 1);
            let asked = AskedQuery { text: String::new(), sparse: None, judgements };
            let (near, far) = (list([1, 2, 3]), list([7, 8, 9]));
            let lists = if query < by_vector { [near, far] } else { [far, near] };
            trial.add(&asked, lists).unwrap();
        }
        trial
    }

    #[test]
    fn the_search_that_is_right_is_the_one_that_counts() {
        let folds = NonZeroUsize::new(5).unwrap();
        let vector = trial(20, 0).fit(folds).unwrap();
        assert!(vector.setting.text_weight < 0.5, "{}", vector.setting);
        let text = trial(0, 20).fit(folds).unwrap();
        assert!(text.setting.text_weight > 0.5, "{}", text.setting);
        for fitting in [&vector, &text] {
            assert_eq!(fitting.fused.quality.ndcg_10, 1.0);
            assert_eq!(fitting.gain.mean, 0.0);
        }
        let mixed = trial(30, 10).fit(folds).unwrap();
        assert!(mixed.fused.quality.ndcg_10 >= mixed.vector.quality.ndcg_10);
    }

    #[test]
    fn settings_can_be_judged_by_other_queries() {
        let trial = trial(3, 1);
        let alone = Setting { text_weight: 0.0, ..trial.settings[0] };
        let found: Vec<f64> = trial.under(alone).iter().map(|quality| quality.ndcg_10).collect();
        assert_eq!(found, [1.0, 1.0, 1.0, 0.0]);
    }
}

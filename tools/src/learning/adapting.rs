//! A training of an adapter, the weight of codes beside it, and whether it was worth it.

use std::time::{Duration, Instant};

use bigrain_binarize::{Adapter, Binarizer, QueryWidth};
use bigrain_engine::Cancel;
use bigrain_kernels::dot;
use bigrain_train::{
    AdapterConfig, AdapterTrainer, DocumentCodes, Shortlisted, TrainError, fit_code_weight,
    ranks_among,
};

use super::gate::champion;
use super::{Pairs, Part, hits_at};
use crate::progress::Progress;

/// What a training came to.
#[derive(Debug)]
pub struct Adapted {
    /// The adapter, its weight of codes fitted, with what it was worth on queries of the part it was judged by.
    pub adapter: Adapter,
    /// The loss of each step.
    pub losses: Vec<f64>,
    /// The time of the steps.
    pub took: Duration,
    /// Where the right documents of these queries come.
    pub ranks: AdaptedRanks,
}

/// Where right documents come among those that codes found.
#[derive(Clone, Debug)]
pub struct AdaptedRanks {
    /// In the order of floats.
    pub floats: Vec<u32>,
    /// In the order of the adapter alone.
    pub dense: Vec<u32>,
    /// In the order of the adapter and what codes say.
    pub fused: Vec<u32>,
}

/// How to train and judge an adapter.
#[derive(Clone, Debug)]
pub struct Adapting<'a> {
    /// Documents and queries. Those of training are learned from, the weight is fitted on those of
    /// validation, and the rest judge.
    pub pairs: &'a Pairs,
    /// What makes the codes that find candidates.
    pub binarizer: &'a Binarizer,
    /// Candidates that it is fitted on.
    pub shortlist: usize,
    /// Results of each query.
    pub limit: usize,
    /// Which queries judge: not those of training.
    pub judges: Part,
}

impl Adapting<'_> {
    /// Trains on the current thread pool.
    ///
    /// # Errors
    ///
    /// When settings or pairs are refused, or the caller stops it.
    pub fn run(&self, config: AdapterConfig, cancel: &Cancel) -> anyhow::Result<Adapted> {
        let pairs = self.pairs;
        let codes = DocumentCodes::new(self.binarizer, pairs.documents.values());
        let (queries, right) = pairs.part(Part::Training);
        let steps = u64::from(config.steps);
        let mut trainer = AdapterTrainer::new(config, pairs.examples(&queries, &right), &codes)?;
        let started = Instant::now();
        let mut progress = Progress::counting("train", "steps", steps);
        let mut losses = Vec::new();
        while !trainer.is_done() {
            cancel.check()?;
            let report = trainer.advance()?;
            losses.push(report.loss);
            progress.advance(1, u64::from(report.step));
        }
        progress.finish();
        let took = started.elapsed();
        let mut parts = trainer.parts(&codes, self.shortlist);
        let plain = Adapter::new(parts.clone())?;
        let of_fit = self.shortlisted(&codes, &plain, Part::Validation)?;
        parts.code_weight = fit_code_weight(&of_fit.lists, &of_fit.dense, &of_fit.right);
        let fused = Adapter::new(parts.clone())?;
        let of_judges = if self.judges == Part::Validation {
            of_fit
        } else {
            self.shortlisted(&codes, &plain, self.judges)?
        };
        let ranks = AdaptedRanks {
            floats: of_judges.ranks(|query, place| of_judges.floats[query][place]),
            dense: of_judges.ranks(|query, place| of_judges.dense[query][place]),
            fused: of_judges.ranks(|query, place| {
                fused.score(of_judges.dense[query][place], of_judges.lists[query][place].code)
            }),
        };
        let [before, after] = [&ranks.floats, &ranks.fused].map(|ranks| hits_at(ranks, self.limit));
        parts.champion = champion(&before, &after, self.limit);
        Ok(Adapted { adapter: Adapter::new(parts)?, losses, took, ranks })
    }

    fn shortlisted(
        &self,
        codes: &DocumentCodes<'_>,
        adapter: &Adapter,
        part: Part,
    ) -> Result<ShortlistedQueries, TrainError> {
        let (queries, right) = self.pairs.part(part);
        let lists = codes.shortlists(queries.values(), QueryWidth::DEFAULT, self.shortlist)?;
        let scores = |query: &[f32], list: &Vec<Shortlisted>| -> Vec<f32> {
            let row = |one: &Shortlisted| self.pairs.documents.row(one.document as usize);
            list.iter().map(|one| dot(query, row(one))).collect()
        };
        let adapted = |query: &[f32]| adapter.adapt(query);
        let dense = queries.rows().zip(&lists).map(|(query, list)| scores(&adapted(query), list));
        let dense = dense.collect();
        let floats = queries.rows().zip(&lists).map(|(query, list)| scores(query, list)).collect();
        Ok(ShortlistedQueries { lists, floats, dense, right })
    }
}

/// What codes found for some queries, and scores of it.
struct ShortlistedQueries {
    lists: Vec<Vec<Shortlisted>>,
    floats: Vec<Vec<f32>>,
    dense: Vec<Vec<f32>>,
    right: Vec<u32>,
}

impl ShortlistedQueries {
    /// `score` takes a query and a place in its list.
    fn ranks(&self, score: impl Fn(usize, usize) -> f32 + Sync) -> Vec<u32> {
        ranks_among(&self.lists, &self.right, score)
    }
}

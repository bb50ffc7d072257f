//! Searches of every case at every setting.

use anyhow::{bail, ensure};
use bigrain_engine::{Collection, Query, SearchParams};

use super::cases::{CaseTruth, FilterCase, FilterCases};
use super::report::FilterPoint;
use crate::cmd::eval::test_set::TestSet;
use crate::cmd::eval::vectors::rows;
use crate::curve::{Measurement, Pass, Sweep, measure, warm_up};
use crate::matrix::Matrix;
use crate::progress::Progress;
use crate::truth::{ExactResults, FoundRows, Judge, Neighbors};

/// How filtered searches are measured.
#[derive(Clone, Copy, Debug)]
pub(in crate::cmd::eval) struct FilterSweep<'a> {
    pub collection: &'a Collection,
    pub set: &'a TestSet,
    pub vectors: &'a Matrix,
    pub queries: &'a [Query],
    pub params: SearchParams,
    pub sweep: &'a Sweep,
    pub rounds: usize,
}

impl FilterSweep<'_> {
    /// Measures every case at every setting.
    pub fn run(&self, cases: &FilterCases) -> anyhow::Result<Vec<FilterPoint>> {
        let mut points = Vec::with_capacity(cases.cases.len());
        let mut progress = Progress::counting("filters", "cases", cases.cases.len() as u64);
        for (number, case) in cases.cases.iter().enumerate() {
            points.extend(self.measure(case)?);
            progress.advance(1, number as u64 + 1);
        }
        progress.finish();
        Ok(points)
    }

    fn measure(&self, case: &FilterCase) -> anyhow::Result<Vec<FilterPoint>> {
        let matching = self.count(case)?;
        let ask = |&query: &usize| self.queries[query].clone().with_filter(case.filter.clone());
        let queries: Vec<Query> = case.queries.iter().map(ask).collect();
        let Some(first) = queries.first() else { bail!("there are no queries") };
        let output = self.collection.search(first, &self.params.with_explain(true))?;
        let first_us = output.stats.times.total().as_secs_f64() * 1e6;
        let plan =
            output.plan.and_then(|plan| plan.sources.into_iter().find_map(|part| part.filter));

        warm_up(self.collection, &queries, self.params, self.sweep)?;
        let measured = measure(self.collection, &queries, self.params, self.sweep, self.rounds)?;
        let recalls = self.recalls(case, &queries, &measured)?;
        let point = |(measured, recall): (Measurement, f64)| FilterPoint {
            kind: case.kind.clone(),
            share: case.share,
            matching,
            knob: measured.setting.knob(),
            value: measured.setting,
            recall,
            queries_per_second: measured.queries_per_second,
            p50_us: measured.p50_us,
            p99_us: measured.p99_us,
            first_us,
            work: measured.work,
            plan: plan.clone().unwrap_or_default(),
        };
        Ok(measured.into_iter().zip(recalls).map(point).collect())
    }

    /// Returns how many rows match; refuses a collection that carries other numbers.
    fn count(&self, case: &FilterCase) -> anyhow::Result<u64> {
        let matching = self.collection.count_matching(&case.filter)?;
        let (fits, expected) = match &case.truth {
            CaseTruth::Exact => (matching > 0 || case.share < 0.5, "some".to_owned()),
            CaseTruth::Given { matching: expected, .. } => {
                (*expected == matching, expected.to_string())
            }
        };
        ensure!(
            fits,
            "{matching} rows match {}, expected {expected}: \
             the collection was built without --filters, or with other numbers",
            case.filter.to_value()
        );
        Ok(matching)
    }

    /// Returns the share of the truth that each setting found.
    fn recalls(
        &self,
        case: &FilterCase,
        queries: &[Query],
        measured: &[Measurement],
    ) -> anyhow::Result<Vec<f64>> {
        match &case.truth {
            CaseTruth::Exact => {
                let exact = Pass::run(self.collection, queries, &self.params.with_exact(true))?;
                let metric = self.collection.config().field(None)?.metric;
                let truth = ExactResults::new(metric, self.params.limit(), exact.found);
                Ok(measured.iter().map(|one| truth.recall(&one.found).at_limit).collect())
            }
            CaseTruth::Given { nearest, matching } => {
                let wanted = self.params.limit().min(*matching as usize);
                let (has, kind, share) = (nearest.width(), &case.kind, case.share);
                ensure!(has >= wanted, "case {kind} {share} has {has} true rows, needs {wanted}");
                self.judged(case, nearest, measured)
            }
        }
    }

    fn judged(
        &self,
        case: &FilterCase,
        nearest: &Neighbors,
        measured: &[Measurement],
    ) -> anyhow::Result<Vec<f64>> {
        let found: Vec<Vec<FoundRows>> =
            measured.iter().map(|one| rows(&one.found)).collect::<Result<_, _>>()?;
        let passes: Vec<&[FoundRows]> = found.iter().map(Vec::as_slice).collect();
        let mut vectors = Matrix::empty(self.vectors.dims());
        for &query in &case.queries {
            vectors.push(self.vectors.row(query));
        }
        let base = self.set.base.rows()?;
        let limit = self.params.limit();
        let judge = Judge::new(nearest, limit, &passes, self.set.metric, &vectors, base)?;
        Ok(found.iter().map(|found| judge.recall(found).at_limit).collect())
    }
}

//! Sketch MaxSim: the query's bits against the codes of points.

use std::ops::Range;

use bigrain_binarize::{Binarizer, PrepareQueryError, QueryCode, QueryWidth};
use bigrain_kernels::{Scored, TopK, scan};
use bigrain_types::MultiVector;
use rayon::prelude::*;

use super::reach::{NearLists, contains};
use super::sketches::Sketches;

/// Codes scored together for one token of the query: they and their scores stay in the nearest cache.
const RUN_CODES: usize = 512;

/// Below so many scores, handing work to other threads costs more than it saves.
const PARALLEL_SCORES: usize = 200_000;

/// Runs of one task.
const TASK_RUNS: usize = 32;

/// A query's tokens, each rotated and rounded to a few bits a dimension, and their mean.
#[derive(Clone, Debug)]
pub struct MultiQueryCode {
    tokens: Vec<QueryCode>,
    /// Rotated.
    mean: Vec<f32>,
}

impl MultiQueryCode {
    /// Encodes the tokens of a query.
    ///
    /// # Errors
    ///
    /// [`PrepareQueryError`] for tokens of other dimensions than the binarizer's.
    pub fn new(binarizer: &Binarizer, query: &MultiVector) -> Result<Self, PrepareQueryError> {
        let code = |token| binarizer.prepare_query(token, QueryWidth::DEFAULT);
        let tokens: Vec<QueryCode> = query.iter().map(code).collect::<Result<_, _>>()?;
        let mut mean = vec![0.0; binarizer.layout().dims()];
        for token in &tokens {
            mean.iter_mut().zip(token.rotated()).for_each(|(to, value)| *to += value);
        }
        Ok(Self { tokens, mean })
    }

    /// Returns the bits that a token keeps of each dimension.
    #[must_use]
    pub fn width(&self) -> usize {
        self.tokens.first().map_or(0, QueryCode::width)
    }

    /// Returns the rotated tokens, and what points to their mean.
    pub(super) fn rotated(&self) -> impl Iterator<Item = &[f32]> {
        self.tokens.iter().map(QueryCode::rotated).chain([&self.mean[..]])
    }
}

/// What a search of sketches found and what it cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SketchFound {
    /// Estimated similarities with the offsets of their points, best first.
    pub best: Vec<Scored>,
    /// Lists probed.
    pub lists: u64,
    /// Codes compared with each token of the query.
    pub codes: u64,
}

/// A search of the sketches of one segment.
#[derive(Clone, Copy, Debug)]
pub struct SketchSearch<'a> {
    /// What is searched.
    pub sketches: &'a Sketches,
    /// What for.
    pub query: &'a MultiQueryCode,
}

impl SketchSearch<'_> {
    /// Returns the best `wanted` points for which `passes` is true, or all if there are fewer.
    ///
    /// With `probes` only those in the nearest so many lists of any of the query's tokens are compared,
    /// unless that leaves fewer than wanted. Runs on the current thread pool.
    #[must_use]
    pub fn best(
        &self,
        wanted: usize,
        probes: Option<usize>,
        passes: impl Fn(u32) -> bool,
    ) -> SketchFound {
        let probes = probes.filter(|probes| *probes < self.sketches.lists());
        let near = probes.map(|probes| {
            NearLists::new(self.sketches, self.query, probes).points(self.sketches, probes)
        });
        if let Some((points, lists)) = near {
            let (runs, found) = self.runs(|point| contains(&points, point) && passes(point));
            if found >= wanted {
                return SketchFound { lists, ..self.best_of(&runs, wanted) };
            }
        }
        let (runs, _) = self.runs(passes);
        SketchFound { lists: self.sketches.lists() as u64, ..self.best_of(&runs, wanted) }
    }

    /// Returns the points that pass in runs of neighbours, and how many there are.
    fn runs(&self, passes: impl Fn(u32) -> bool) -> (Vec<Range<u32>>, usize) {
        let (mut runs, mut count) = (Vec::<Range<u32>>::new(), 0);
        for point in 0..self.sketches.points() {
            if !self.sketches.has(point) || !passes(point) {
                continue;
            }
            count += 1;
            let codes = |run: &Range<u32>| {
                self.sketches.starts[point as usize + 1] - self.sketches.starts[run.start as usize]
            };
            match runs.last_mut() {
                Some(run) if run.end == point && codes(run) as usize <= RUN_CODES => {
                    run.end = point + 1;
                }
                _ => runs.push(point..point + 1),
            }
        }
        (runs, count)
    }

    fn best_of(&self, runs: &[Range<u32>], wanted: usize) -> SketchFound {
        let codes: usize = runs.iter().map(|run| self.codes(run).len()).sum();
        let task = |runs: &[Range<u32>]| {
            let (mut best, mut scratch) = (TopK::new(wanted), Scratch::default());
            runs.iter().for_each(|run| self.score(run, &mut scratch, &mut best));
            best
        };
        let best = if codes * self.query.tokens.len() < PARALLEL_SCORES {
            task(runs)
        } else {
            let merge = |mut a: TopK, b: TopK| {
                a.merge(&b);
                a
            };
            runs.par_chunks(TASK_RUNS).map(task).reduce(|| TopK::new(wanted), merge)
        };
        SketchFound { best: best.into_sorted(), lists: 0, codes: codes as u64 }
    }

    fn codes(&self, run: &Range<u32>) -> Range<usize> {
        let starts = &self.sketches.starts;
        starts[run.start as usize] as usize..starts[run.end as usize] as usize
    }

    /// Scores neighbouring points, all of which have codes.
    fn score(&self, run: &Range<u32>, scratch: &mut Scratch, best: &mut TopK) {
        let sketches = self.sketches;
        let codes = self.codes(run);
        let plane = &sketches.plane[codes.start * sketches.words..codes.end * sketches.words];
        let Scratch { scores, factors, sums } = scratch;
        factors.clear();
        factors.extend(codes.clone().map(|code| sketches.factor(code)));
        scores.resize(codes.len(), 0);
        sums.clear();
        sums.resize(run.len(), 0.0);
        for token in &self.query.tokens {
            scan(&[plane], token.planes(), scores);
            let scale = token.terms().scale;
            for (point, sum) in run.clone().zip(sums.iter_mut()) {
                let own = sketches.codes_of(point);
                let own = own.start - codes.start..own.end - codes.start;
                let products = scores[own.clone()].iter().zip(&factors[own]);
                let largest = products
                    .map(|(&score, factor)| score as f32 * factor)
                    .fold(f32::NEG_INFINITY, f32::max);
                *sum += scale * largest;
            }
        }
        let tokens = self.query.tokens.len() as f32;
        for (point, sum) in run.clone().zip(sums.iter()) {
            best.push(sum / tokens, point);
        }
    }
}

/// Memory that is used again from run to run.
#[derive(Default)]
struct Scratch {
    scores: Vec<i32>,
    factors: Vec<f32>,
    sums: Vec<f32>,
}

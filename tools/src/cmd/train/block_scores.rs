//! The table of `bigrain train aggregator`: ways to score a function by its blocks, beside each other.

use bigrain_encoders::sea::Aggregator;
use bigrain_kernels::dot;
use rayon::prelude::*;
use serde::Serialize;

use super::comparison::{mean, over_seeds};
use crate::fusing::{Interval, difference_over_seeds};
use crate::learning::{Aggregating, TrainedAggregator};
use crate::ranking::{MEASURES, measured};
use crate::session::Session;
use crate::{human, table};

/// Ways to score functions beside each other.
#[derive(Debug, Serialize)]
pub(super) struct BlockScores {
    functions: usize,
    blocks: usize,
    seeds: usize,
    /// Of all judging docstrings, and of those whose functions have several blocks.
    all: Judged,
    several_blocks: Judged,
}

/// What some queries find.
#[derive(Debug, Serialize)]
struct Judged {
    queries: usize,
    rows: Vec<Row>,
}

/// One way to score.
#[derive(Debug, Serialize)]
struct Row {
    method: &'static str,
    /// MRR, R@1 and R@10, in the mean over queries and seeds.
    figures: [f64; 3],
    /// The same against the mean of blocks, and against their maxima, where something was learned.
    over_mean: Option<[Option<Interval>; 3]>,
    over_max: Option<[Option<Interval>; 3]>,
}

/// The ranks of all queries by a method, with each seed.
type Ranks = (&'static str, Vec<Vec<u32>>);

impl BlockScores {
    /// Scores what the trainings are judged by, on the current thread pool.
    pub fn new(aggregating: &Aggregating<'_>, trained: &[TrainedAggregator]) -> Self {
        let functions = aggregating.functions;
        let learned = trained.iter().map(|one| one.ranks.clone()).collect();
        let methods: [Ranks; 4] = [
            ("mean", vec![aggregating.ranks(&Aggregator::default())]),
            ("max", vec![aggregating.ranks(&Aggregator::MAX)]),
            ("attention", learned),
            ("best block", vec![best_block(aggregating)]),
        ];
        let right = functions.part(aggregating.judges).1;
        let judged = |is_one: &dyn Fn(usize) -> bool| {
            let chosen: Vec<usize> =
                (0..right.len()).filter(|&query| is_one(right[query] as usize)).collect();
            Judged::new(&methods, &chosen)
        };
        Self {
            functions: functions.len(),
            blocks: functions.blocks.len(),
            seeds: trained.len(),
            all: judged(&|_| true),
            several_blocks: judged(&|function| functions.is_cut(function)),
        }
    }

    /// Writes the table.
    pub fn write(&self, session: &mut Session<'_>) -> anyhow::Result<()> {
        writeln!(
            session.out,
            "{} functions in {} blocks, all of them candidates; attention by {}\n",
            human::count(self.functions as u64),
            human::count(self.blocks as u64),
            human::counted(self.seeds as u64, "training", "trainings"),
        )?;
        let of = [(&self.all, "all"), (&self.several_blocks, "of functions in several blocks")];
        for (judged, which) in of {
            let docstrings = human::counted(judged.queries as u64, "docstring", "docstrings");
            writeln!(session.out, "{docstrings}, {which}")?;
            judged.write(session)?;
        }
        Ok(())
    }
}

impl Judged {
    fn new(methods: &[Ranks; 4], chosen: &[usize]) -> Self {
        // Of each measure, seed and query.
        let of_method = |(_, seeds): &Ranks| -> [Vec<Vec<f64>>; 3] {
            let of_seed = |ranks: &Vec<u32>| {
                measured(&chosen.iter().map(|&query| ranks[query]).collect::<Vec<u32>>())
            };
            let seeds: Vec<[Vec<f64>; 3]> = seeds.iter().map(of_seed).collect();
            [0, 1, 2].map(|at| seeds.iter().map(|measures| measures[at].clone()).collect())
        };
        let figures: Vec<[Vec<Vec<f64>>; 3]> = methods.iter().map(of_method).collect();
        let row = |(method, own): (&'static str, &[Vec<Vec<f64>>; 3])| {
            let over = |other: &[Vec<Vec<f64>>; 3]| {
                let pairs = [0, 1, 2].map(|at| (&own[at], &other[at]));
                (method == "attention").then(|| pairs.map(|(a, b)| difference_over_seeds(a, b)))
            };
            let figures_of = |seeds: &Vec<Vec<f64>>| mean(&over_seeds(seeds.iter().cloned()));
            Row {
                method,
                figures: [0, 1, 2].map(|at| figures_of(&own[at])),
                over_mean: over(&figures[0]),
                over_max: over(&figures[1]),
            }
        };
        let rows = methods.iter().map(|(method, _)| *method).zip(&figures).map(row).collect();
        Self { queries: chosen.len(), rows }
    }

    fn write(&self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let mut shown = table::plain(["score", MEASURES[0], MEASURES[1], MEASURES[2]]);
        let mut differences = Vec::new();
        for row in &self.rows {
            let figures = row.figures.map(|figure| format!("{figure:.3}"));
            shown.add_row([&[row.method.to_owned()][..], &figures[..]].concat());
            for (over, other) in [(&row.over_mean, "the mean"), (&row.over_max, "max")] {
                let intervals = over.iter().flatten().zip(MEASURES);
                let of = |(interval, measure): (&Option<Interval>, &str)| {
                    Some(format!("{measure} {}", interval.as_ref()?.in_points()))
                };
                let intervals: Vec<String> = intervals.filter_map(of).collect();
                if !intervals.is_empty() {
                    differences.push(format!(
                        "{} over {other}, points: {}",
                        row.method,
                        intervals.join(", ")
                    ));
                }
            }
        }
        table::align_right(&mut shown, &[1, 2, 3]);
        writeln!(session.out, "{}\n{}\n", shown.trim_fmt(), differences.join("\n"))?;
        Ok(())
    }
}

/// Returns where right functions come when each function has the score of its best block.
fn best_block(aggregating: &Aggregating<'_>) -> Vec<u32> {
    let functions = aggregating.functions;
    let (queries, right) = functions.part(aggregating.judges);
    let dims = queries.dims();
    let pairs: Vec<(&[f32], u32)> = queries.rows().zip(right).collect();
    let rank_of = |(query, right): &(&[f32], u32)| {
        let score = |function: usize| {
            let blocks = functions.of(function).chunks_exact(dims);
            blocks.map(|block| dot(block, query)).fold(f32::NEG_INFINITY, f32::max)
        };
        let own = score(*right as usize);
        // Of equals the first comes first, as by one vector.
        let is_before = |&other: &usize| {
            let score = score(other);
            score > own || (score >= own && other < *right as usize)
        };
        (0..functions.len()).filter(is_before).count() as u32
    };
    pairs.par_iter().map(rank_of).collect()
}

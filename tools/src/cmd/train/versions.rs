//! `bigrain train demo --versions`: an old version, the next one that is compatible with it, and a collection of
//! both.

use std::sync::Arc;

use bigrain_binarize::{Binarizer, QueryWidth, Recurrent};
use bigrain_engine::Levels;
use bigrain_train::{DocumentCodes, TrainError};
use serde::Serialize;

use super::comparison::{LIMITS, mean, over_seeds};
use super::demo::Demo;
use crate::fusing::{Interval, mean_difference};
use crate::learning::{Ancestor, hits_at};
use crate::matrix::Matrix;
use crate::session::Session;
use crate::{human, table};

/// Which queries are asked, and by which codes documents are found.
const KINDS: [&str; 4] = [
    "old queries, old codes",
    "new queries, old codes",
    "new queries, codes of both in turn",
    "new queries, new codes",
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    /// Recall at 10 by codes alone, in the mean over queries and seeds.
    recall: f64,
    /// That of each seed.
    seeds: Vec<f64>,
    /// Against old queries and old codes.
    over_old: Option<Interval>,
}

/// What the comparison found.
#[derive(Debug, Serialize)]
struct Versions {
    /// Pairs that the old version learned from, and the new one.
    pairs: [usize; 2],
    queries: usize,
    rows: Vec<Row>,
}

/// Trains an old version on half of the pairs and the next one on all of them, and compares.
pub(super) fn run(demo: &Demo<'_>, json: bool, session: &mut Session<'_>) -> anyhow::Result<()> {
    let all = &demo.training;
    let half = every_second(all);
    let mut hits: [Vec<Vec<f64>>; 4] = Default::default();
    for seed in demo.seeds() {
        let old = demo.train(Levels::TWO, seed, &half, None)?.0;
        let parent = Ancestor { recurrent: &old, former: None };
        let new = demo.train(Levels::TWO, seed + 1000, all, Some(parent))?.0;
        let ranks = demo.threads.install(|| ranks(demo, &old, &new))?;
        for (kind, ranks) in hits.iter_mut().zip(ranks) {
            kind.push(hits_at(&ranks, LIMITS[1]));
        }
        session.note(&format!("seed {seed} of versions is done"));
    }
    let means: Vec<Vec<f64>> = hits.iter().map(|hits| over_seeds(hits.iter().cloned())).collect();
    let row = |kind: usize| Row {
        name: KINDS[kind],
        recall: mean(&means[kind]),
        seeds: hits[kind].iter().map(|hits| mean(hits)).collect(),
        over_old: (kind > 0).then(|| mean_difference(&means[kind], &means[0])).flatten(),
    };
    let versions = Versions {
        pairs: [half.1.len(), all.1.len()],
        queries: demo.asked.1.len(),
        rows: (0..KINDS.len()).map(row).collect(),
    };
    if json { session.write_json(&versions) } else { versions.write(session) }
}

/// Returns the ranks of right documents, for each of [`KINDS`].
fn ranks(demo: &Demo<'_>, old: &Recurrent, new: &Recurrent) -> Result<[Vec<u32>; 4], TrainError> {
    let (documents, width) = (demo.pairs.documents.values(), QueryWidth::DEFAULT);
    let (asked, right) = (demo.asked.0.values(), &demo.asked.1);
    let [old, new] = [old, new].map(|each| Binarizer::new_recurrent(Arc::new(each.clone())));
    let (old_codes, new_codes) =
        (DocumentCodes::new(&old, documents), DocumentCodes::new(&new, documents));
    let before = old_codes.ranks(asked, right, width)?;
    let old_codes = old_codes.asked_by(&new);
    Ok([
        before,
        old_codes.ranks(asked, right, width)?,
        old_codes.mixed_ranks(&new_codes, |row| row % 2 == 0, asked, right)?,
        new_codes.ranks(asked, right, width)?,
    ])
}

/// Returns every second pair.
fn every_second((queries, right): &(Matrix, Vec<u32>)) -> (Matrix, Vec<u32>) {
    let mut half = Matrix::empty(queries.dims());
    queries.rows().step_by(2).for_each(|row| half.push(row));
    (half, right.iter().copied().step_by(2).collect())
}

impl Versions {
    fn write(&self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let mut shown = table::plain(["", "R@10", "by seed", "over old and old"]);
        for row in &self.rows {
            let seeds: Vec<String> = row.seeds.iter().map(|seed| format!("{seed:.4}")).collect();
            shown.add_row([
                row.name.to_owned(),
                format!("{:.4}", row.recall),
                seeds.join(" "),
                row.over_old.map(Interval::in_points).unwrap_or_default(),
            ]);
        }
        table::align_right(&mut shown, &[1]);
        let [half, all] = self.pairs.map(|pairs| human::count(pairs as u64));
        writeln!(
            session.out,
            "2 levels; the old version learned from {half} pairs, the next from {all}; {} queries, by codes alone\n\n{}",
            human::count(self.queries as u64),
            shown.trim_fmt(),
        )?;
        Ok(())
    }
}

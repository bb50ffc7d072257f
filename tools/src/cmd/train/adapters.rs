//! `bigrain train demo --adapters`: adapters beside floats, among what learned codes find.

use std::sync::Arc;

use bigrain_binarize::Binarizer;
use bigrain_engine::Levels;
use bigrain_train::Batches;
use serde::Serialize;

use super::comparison::{CANDIDATES, LIMITS, mean, over_seeds};
use super::demo::Demo;
use crate::fusing::{Interval, mean_difference};
use crate::learning::{Adapted, AdaptedRanks, Adapting, hits_at};
use crate::session::Session;
use crate::{human, table};

/// How batches are drawn, and what that is called.
const BATCHES: [(Batches, &str); 3] = [
    (Batches::Random, "random batches"),
    (Batches::Walk, "walks"),
    (Batches::Snowball, "snowballs"),
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// Recall at 10 among what codes find, in the mean over queries and seeds.
    recall: f64,
    /// That of each seed.
    seeds: Vec<f64>,
    /// The weight of codes with each seed.
    code_weights: Vec<f32>,
    /// Against floats.
    over_floats: Option<Interval>,
}

/// What the comparison found.
#[derive(Debug, Serialize)]
struct Adapters {
    pairs: usize,
    queries: usize,
    shortlist: usize,
    /// The time of a training, in the mean.
    training_seconds: f64,
    rows: Vec<Row>,
}

/// Trains codes and, on what they find, adapters, and compares.
pub(super) fn run(demo: &Demo<'_>, json: bool, session: &mut Session<'_>) -> anyhow::Result<()> {
    let mut adapted: [Vec<Adapted>; 3] = Default::default();
    for seed in demo.seeds() {
        let recurrent = demo.train(Levels::TWO, seed, &demo.training, None)?.0;
        let binarizer = Binarizer::new_recurrent(Arc::new(recurrent));
        for ((batches, name), of_seeds) in BATCHES.iter().zip(&mut adapted) {
            let adapting = Adapting {
                pairs: demo.pairs,
                binarizer: &binarizer,
                shortlist: CANDIDATES,
                limit: LIMITS[1],
                judges: demo.judges(),
            };
            let config = demo.adapter_config(*batches, seed);
            let one = demo.threads.install(|| adapting.run(config, demo.cancel))?;
            let (champion, weight) =
                (one.adapter.parts().champion, one.adapter.parts().code_weight);
            session.note(&format!(
                "seed {seed}, {name}: {:.4} with {weight} of codes, floats {:.4}",
                champion.learned, champion.rotation
            ));
            of_seeds.push(one);
        }
    }
    let hits = |of_seeds: &[Adapted], ranks: fn(&AdaptedRanks) -> &Vec<u32>| -> Vec<Vec<f64>> {
        of_seeds.iter().map(|one| hits_at(ranks(&one.ranks), LIMITS[1])).collect()
    };
    let floats = hits(&adapted[0], |ranks| &ranks.floats);
    let mean_floats = over_seeds(floats.iter().cloned());
    let mut rows = vec![Row::new("floats".to_owned(), &floats, Vec::new(), None)];
    for ((_, name), of_seeds) in BATCHES.iter().zip(&adapted) {
        let dense = hits(of_seeds, |ranks| &ranks.dense);
        rows.push(Row::new(format!("adapter, {name}"), &dense, Vec::new(), Some(&mean_floats)));
        let fused = hits(of_seeds, |ranks| &ranks.fused);
        let weights = of_seeds.iter().map(|one| one.adapter.parts().code_weight).collect();
        let name = format!("adapter and codes, {name}");
        rows.push(Row::new(name, &fused, weights, Some(&mean_floats)));
    }
    let seconds: Vec<f64> = adapted.iter().flatten().map(|one| one.took.as_secs_f64()).collect();
    let adapters = Adapters {
        pairs: demo.training.1.len(),
        queries: demo.asked.1.len(),
        shortlist: CANDIDATES,
        training_seconds: mean(&seconds),
        rows,
    };
    if json { session.write_json(&adapters) } else { adapters.write(session) }
}

impl Row {
    fn new(
        name: String,
        hits: &[Vec<f64>],
        code_weights: Vec<f32>,
        floats: Option<&Vec<f64>>,
    ) -> Self {
        let all = over_seeds(hits.iter().cloned());
        Self {
            name,
            recall: mean(&all),
            seeds: hits.iter().map(|hits| mean(hits)).collect(),
            code_weights,
            over_floats: floats.and_then(|floats| mean_difference(&all, floats)),
        }
    }
}

impl Adapters {
    fn write(&self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let mut shown = table::plain(["", "R@10", "by seed", "weight of codes", "over floats"]);
        for row in &self.rows {
            let seeds: Vec<String> = row.seeds.iter().map(|seed| format!("{seed:.4}")).collect();
            let weights: Vec<String> = row.code_weights.iter().map(f32::to_string).collect();
            shown.add_row([
                row.name.clone(),
                format!("{:.4}", row.recall),
                seeds.join(" "),
                weights.join(" "),
                row.over_floats.map(Interval::in_points).unwrap_or_default(),
            ]);
        }
        table::align_right(&mut shown, &[1]);
        writeln!(
            session.out,
            "among {} documents that learned codes of 2 levels find; {} pairs to learn from, {} queries; {:.0} s a \
             training\n\n{}",
            self.shortlist,
            human::count(self.pairs as u64),
            human::count(self.queries as u64),
            self.training_seconds,
            shown.trim_fmt(),
        )?;
        Ok(())
    }
}

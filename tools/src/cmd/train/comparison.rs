//! The table of `bigrain train demo`.

use serde::Serialize;

use crate::fusing::{Interval, mean_difference};
use crate::learning::hits_at;
use crate::session::Session;
use crate::{human, table};

/// The limits whose recalls are shown; the second one is compared.
pub(super) const LIMITS: [usize; 3] = [1, 10, 100];

/// Candidates that verification orders.
pub(super) const CANDIDATES: usize = 100;

/// Where the right documents of all queries come, with one seed.
#[derive(Debug)]
pub(super) struct Ranks {
    /// By codes alone.
    pub codes: Vec<u32>,
    /// After verification.
    pub verified: Vec<u32>,
}

/// A row of the table.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    name: String,
    bits: usize,
    /// Recalls at [`LIMITS`] by codes alone, in the mean over queries and seeds.
    recalls: [f64; 3],
    /// Recall at 10 after verification.
    verified: f64,
    /// Recall at 10 of each seed, by codes alone.
    seeds: Vec<f64>,
    /// Against the rotation of as many bits, and against floats: recall at 10 by codes alone.
    over_rotation: Option<Interval>,
    over_floats: Option<Interval>,
    /// Of each query, in the mean over seeds.
    #[serde(skip)]
    hits: Vec<f64>,
}

/// What the demo found.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub model: String,
    pub documents: usize,
    pub training_pairs: usize,
    pub queries: usize,
    pub seeds: u64,
    pub steps: u32,
    /// The time a training took, by levels, in the mean over seeds.
    pub training_seconds: Vec<f64>,
    pub rows: Vec<Row>,
}

impl Row {
    /// Takes the means over the ranks of some seeds.
    pub fn new(name: String, bits: usize, ranks: &[Ranks]) -> Self {
        let at = |limit| over_seeds(ranks.iter().map(|ranks| hits_at(&ranks.codes, limit)));
        let verified = ranks.iter().map(|ranks| hits_at(&ranks.verified, LIMITS[1]));
        let of_seed = |ranks: &Ranks| mean(&hits_at(&ranks.codes, LIMITS[1]));
        Self {
            name,
            bits,
            recalls: LIMITS.map(|limit| mean(&at(limit))),
            verified: mean(&over_seeds(verified)),
            seeds: ranks.iter().map(of_seed).collect(),
            over_rotation: None,
            over_floats: None,
            hits: at(LIMITS[1]),
        }
    }

    /// Compares with the rotation of as many bits.
    pub fn over_rotation(self, rotation: &Self) -> Self {
        Self { over_rotation: mean_difference(&self.hits, &rotation.hits), ..self }
    }

    /// Compares with floats.
    pub fn over_floats(self, floats: &Self) -> Self {
        Self { over_floats: mean_difference(&self.hits, &floats.hits), ..self }
    }
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Returns what each query has in the mean over seeds.
pub(super) fn over_seeds(by_seed: impl Iterator<Item = Vec<f64>>) -> Vec<f64> {
    let by_seed: Vec<Vec<f64>> = by_seed.collect();
    let queries = by_seed.first().map_or(0, Vec::len);
    let of = |query: usize| mean(&by_seed.iter().map(|hits| hits[query]).collect::<Vec<_>>());
    (0..queries).map(of).collect()
}

impl Comparison {
    /// Writes the table.
    pub fn write(&self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let header = [
            "",
            "bits",
            "R@1",
            "R@10",
            "R@100",
            "R@10 verified",
            "R@10 by seed",
            "over rotation",
            "over floats",
        ];
        let mut shown = table::plain(header);
        let interval =
            |interval: Option<Interval>| interval.map(Interval::in_points).unwrap_or_default();
        for row in &self.rows {
            let [one, ten, hundred] = row.recalls.map(|recall| format!("{recall:.4}"));
            let seeds: Vec<String> = row.seeds.iter().map(|seed| format!("{seed:.4}")).collect();
            shown.add_row([
                row.name.clone(),
                human::count(row.bits as u64),
                one,
                ten,
                hundred,
                format!("{:.4}", row.verified),
                seeds.join(" "),
                interval(row.over_rotation),
                interval(row.over_floats),
            ]);
        }
        table::align_right(&mut shown, &[1, 2, 3, 4, 5]);
        let seconds: Vec<String> =
            self.training_seconds.iter().map(|seconds| format!("{seconds:.0} s")).collect();
        writeln!(
            session.out,
            "{} definitions, {} pairs to learn from, {} queries; {} by {}\n\n{}\n\nby codes alone, but \
             for \"verified\": {CANDIDATES} candidates in the order of floats; differences of R@10 in \
             points, with what 95 of 100 resamplings of the queries give; {} steps a training, which \
             took {} (1 level, 2 levels) in the mean",
            human::count(self.documents as u64),
            human::count(self.training_pairs as u64),
            human::count(self.queries as u64),
            human::counted(self.seeds, "seed", "seeds"),
            self.model,
            shown.trim_fmt(),
            self.steps,
            seconds.join(", "),
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_means_over_queries_and_seeds() {
        let ranks = |codes: [u32; 2], verified: [u32; 2]| Ranks {
            codes: codes.to_vec(),
            verified: verified.to_vec(),
        };
        let learned = [ranks([0, 9], [0, 0]), ranks([20, 5], [u32::MAX, 0])];
        let learned = Row::new("learned".to_owned(), 128, &learned);
        assert_eq!((learned.recalls, learned.verified), ([0.25, 0.75, 1.0], 0.75));
        assert_eq!((&learned.seeds[..], &learned.hits[..]), (&[1.0, 0.5][..], &[0.5, 1.0][..]));
        let rotation = Row::new("rotation".to_owned(), 128, &[ranks([50, 10], [0, 0])]);
        let learned = learned.over_rotation(&rotation).over_floats(&rotation);
        let Interval { mean, low, high } = learned.over_rotation.unwrap();
        assert!(mean == 0.75 && low == 0.5 && high == 1.0, "{mean} {low} {high}");
        assert_eq!(learned.over_floats, learned.over_rotation);
    }
}

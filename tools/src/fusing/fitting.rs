//! What came of a fit.

use std::io::Write;

use bigrain_engine::{FitEvidence, FittedPart, HybridFit};
use serde::Serialize;

use super::{DEPTH, Folds, Interval, Setting, mean_difference};
use crate::ranking::Quality;
use crate::{human, table};

/// What came of a fit.
#[derive(Clone, Debug, Serialize)]
pub struct Fitting {
    /// Where the queries come from.
    pub source: String,
    /// How many there are.
    pub queries: usize,
    /// Parts of them, each judged with what was chosen by the others.
    pub folds: usize,
    /// What all of them choose.
    pub setting: Setting,
    /// Vectors alone.
    pub vector: FittingRow,
    /// Words alone.
    pub text: FittingRow,
    /// Both, fused by what the other folds chose.
    pub fused: FittingRow,
    /// By how much nDCG@10 of the fused search is above that of the better one alone.
    pub gain: Interval,
}

/// How good one way to search is.
#[derive(Clone, Debug, Serialize)]
pub struct FittingRow {
    /// Mean quality.
    #[serde(flatten)]
    pub quality: Quality,
    /// nDCG@10 of each query.
    #[serde(skip)]
    pub ndcg_10: Vec<f64>,
}

impl FittingRow {
    /// Takes the quality of every query's results.
    #[must_use]
    pub fn new(qualities: &[Quality]) -> Self {
        let ndcg_10 = qualities.iter().map(|quality| quality.ndcg_10).collect();
        Self { quality: Quality::mean(qualities), ndcg_10 }
    }
}

impl Fitting {
    /// Puts together what was found with vectors, with words, and with both.
    pub(super) fn new(
        source: &str,
        setting: Setting,
        folds: &Folds,
        [vector, text, fused]: [&[Quality]; 3],
    ) -> Self {
        let [vector, text, fused] = [vector, text, fused].map(FittingRow::new);
        let gain = gain(&fused, [&vector, &text]);
        Self {
            source: source.to_owned(),
            queries: fused.ndcg_10.len(),
            folds: folds.count(),
            setting,
            vector,
            text,
            fused,
            gain,
        }
    }

    /// Returns by how much other results of the same queries are better than the better search alone.
    #[must_use]
    pub fn gain_of(&self, row: &FittingRow) -> Interval {
        gain(row, [&self.vector, &self.text])
    }

    /// Returns what a collection keeps of it.
    #[must_use]
    pub fn to_fit(&self, vector_field: &str, text_field: &str) -> HybridFit {
        let part = |field: &str, weight| FittedPart { field: field.to_owned(), weight };
        HybridFit {
            fusion: self.setting.fusion,
            depth: DEPTH,
            vector: part(vector_field, self.setting.vector_weight()),
            text: part(text_field, self.setting.text_weight),
            evidence: FitEvidence {
                source: self.source.clone(),
                queries: self.queries as u64,
                folds: self.folds as u32,
                vector: self.vector.quality.ndcg_10,
                text: self.text.quality.ndcg_10,
                fused: self.fused.quality.ndcg_10,
            },
        }
    }

    /// Writes it for people; `more` are further rows about the same queries.
    ///
    /// # Errors
    ///
    /// When the output is closed.
    pub fn write_table(
        &self,
        more: &[(String, FittingRow)],
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let queries = human::counted(self.queries as u64, "query", "queries");
        writeln!(out, "{queries} of {}, {} folds\n", self.source, self.folds)?;
        let header = ["search", "nDCG@10", "Recall@10", "Recall@100", "MRR@10", "gain", "95 %"];
        let mut rows = table::plain(header);
        let mut add = |name: &str, row: &FittingRow, gain: Option<Interval>| {
            let Quality { ndcg_10, recall_10, recall_100, mrr_10 } = row.quality;
            let [mean, interval] = gain.map_or_else(Default::default, |gain| {
                [format!("{:+.4}", gain.mean), format!("{:+.4} .. {:+.4}", gain.low, gain.high)]
            });
            let figures = [ndcg_10, recall_10, recall_100, mrr_10].map(|n| format!("{n:.4}"));
            rows.add_row([name.to_owned()].into_iter().chain(figures).chain([mean, interval]));
        };
        add("vectors alone", &self.vector, None);
        add("words alone", &self.text, None);
        add("fused, by queries not fitted on", &self.fused, Some(self.gain));
        for (name, row) in more {
            add(name, row, Some(self.gain_of(row)));
        }
        table::align_right(&mut rows, &[1, 2, 3, 4, 5, 6]);
        writeln!(out, "{}\n\nfitted on all: {}", rows.trim_fmt(), self.setting)?;
        Ok(())
    }
}

fn gain(row: &FittingRow, alone: [&FittingRow; 2]) -> Interval {
    let [a, b] = alone;
    let better = if b.quality.ndcg_10 > a.quality.ndcg_10 { b } else { a };
    let none = Interval { mean: 0.0, low: 0.0, high: 0.0 };
    mean_difference(&row.ndcg_10, &better.ndcg_10).unwrap_or(none)
}

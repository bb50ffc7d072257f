//! What a comparison found, as a table, as JSON and as a picture.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::figures::{Figures, Measure, Ranked};
use crate::fusing::Interval;
use crate::plot::IntervalPlot;
use crate::session::Session;
use crate::{human, table};

/// What a comparison found.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Documents that are ranked.
    pub documents: usize,
    /// Queries.
    pub queries: usize,
    /// Those whose document has other queries, too.
    pub head: usize,
    /// In the order of the command line.
    pub rows: Vec<ComparedRow>,
}

/// A kind of codes.
#[derive(Debug, Serialize)]
pub struct ComparedRow {
    /// What it is called.
    pub name: String,
    /// Bits of a document.
    pub bits: usize,
    /// Binarizers of it.
    pub seeds: usize,
    /// Of all queries.
    pub all: Figures,
    /// Of queries whose document has others.
    pub head: Figures,
    /// Of the other queries.
    pub tail: Figures,
    /// nDCG@10 above that of the first row, with what 95 of 100 resamplings of queries and seeds give.
    pub ndcg_over_first: Option<Interval>,
    /// Recall@10 above that of the first row.
    pub recall_over_first: Option<Interval>,
}

impl Comparison {
    pub(super) fn new(documents: usize, right: &[u32], ranked: &[Ranked]) -> Self {
        let mut queries: HashMap<u32, usize> = HashMap::new();
        right.iter().for_each(|&document| *queries.entry(document).or_default() += 1);
        let head: Vec<bool> = right.iter().map(|document| queries[document] > 1).collect();
        let tail: Vec<bool> = head.iter().map(|is_head| !is_head).collect();
        let all = vec![true; right.len()];
        let row = |(at, each): (usize, &Ranked)| {
            let over = |measure| each.over(ranked.first().filter(|_| at > 0)?, measure);
            ComparedRow {
                name: each.name.clone(),
                bits: each.bits,
                seeds: each.seeds(),
                all: each.figures(&all),
                head: each.figures(&head),
                tail: each.figures(&tail),
                ndcg_over_first: over(Measure::Ndcg),
                recall_over_first: over(Measure::Recall),
            }
        };
        Self {
            documents,
            queries: right.len(),
            head: head.iter().filter(|is_head| **is_head).count(),
            rows: ranked.iter().enumerate().map(row).collect(),
        }
    }

    /// Draws recall@10 above that of the first row.
    pub(super) fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let first = self.rows.first().map_or("", |row| &row.name);
        let row = |row: &ComparedRow| Some((row.name.clone(), row.recall_over_first?));
        IntervalPlot {
            title: format!("recall@10 above that of {first}, in points"),
            rows: self.rows.iter().filter_map(row).collect(),
        }
        .write(path)
    }

    pub(super) fn write(&self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let first = self.rows.first().map_or("", |row| &row.name);
        let over = format!("R@10 over {first}");
        let header = [
            "",
            "bits",
            "seeds",
            "nDCG@10",
            "MRR@10",
            "R@1",
            "R@10",
            "R@100",
            &over,
            "R@10 head",
            "R@10 tail",
        ];
        let mut shown = table::plain(header);
        for row in &self.rows {
            let Figures { ndcg_10, mrr_10, recall_1, recall_10, recall_100 } = row.all;
            let figure = |figure: f64| format!("{figure:.4}");
            // Of no query there is no figure.
            let slice = |recall: f64, queries: usize| {
                if queries == 0 { String::new() } else { figure(recall) }
            };
            shown.add_row([
                row.name.clone(),
                human::count(row.bits as u64),
                row.seeds.to_string(),
                figure(ndcg_10),
                figure(mrr_10),
                figure(recall_1),
                figure(recall_10),
                figure(recall_100),
                row.recall_over_first.map(Interval::in_points).unwrap_or_default(),
                slice(row.head.recall_10, self.head),
                slice(row.tail.recall_10, self.queries - self.head),
            ]);
        }
        table::align_right(&mut shown, &[1, 2, 3, 4, 5, 6, 7, 9, 10]);
        writeln!(
            session.out,
            "{}, {} ({} of them of documents with others: head); by codes alone; differences in points, with \
             what 95 of 100 resamplings of queries and seeds give\n\n{}",
            human::counted(self.documents as u64, "document", "documents"),
            human::counted(self.queries as u64, "query", "queries"),
            human::count(self.head as u64),
            shown.trim_fmt(),
        )?;
        Ok(())
    }
}

//! A table of ways to search: how good each is, and what else is said of it.

use comfy_table::Table;

use crate::ranking::Quality;
use crate::table;

/// A figure of quality: its title, and where it stands.
pub(super) type Measure = (&'static str, fn(&Quality) -> f64);

/// nDCG@10.
pub(super) const NDCG_10: Measure = ("nDCG@10", |quality| quality.ndcg_10);
/// Recall@10.
pub(super) const RECALL_10: Measure = ("Recall@10", |quality| quality.recall_10);
/// Recall@100.
pub(super) const RECALL_100: Measure = ("Recall@100", |quality| quality.recall_100);
/// MRR@10.
pub(super) const MRR_10: Measure = ("MRR@10", |quality| quality.mrr_10);

/// The table.
pub(super) struct QualityTable<'a> {
    table: Table,
    measures: &'a [Measure],
}

impl<'a> QualityTable<'a> {
    /// Begins a table with some measures, and `more` columns of numbers behind them.
    pub(super) fn new(measures: &'a [Measure], more: &[&'static str]) -> Self {
        let titles = measures.iter().map(|(title, _)| *title);
        let header: Vec<&str> =
            std::iter::once("search").chain(titles).chain(more.iter().copied()).collect();
        let mut table = table::titled(&header);
        table::align_right(&mut table, &(1..header.len()).collect::<Vec<_>>());
        Self { table, measures }
    }

    /// Adds a way to search.
    pub(super) fn add<const N: usize>(
        &mut self,
        method: &str,
        quality: &Quality,
        more: [String; N],
    ) {
        let figures = self.measures.iter().map(|(_, of)| format!("{:.4}", of(quality)));
        self.table.add_row(std::iter::once(method.to_owned()).chain(figures).chain(more));
    }

    /// Returns its text.
    pub(super) fn text(&self) -> String {
        self.table.trim_fmt()
    }
}

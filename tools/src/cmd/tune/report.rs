//! What came of a tuning: JSON, table, picture.

use std::io::Write;

use serde::Serialize;

use super::Advice;
use crate::curve::{CurvePoint, series};
use crate::machine::Machine;
use crate::plot::RecallPlot;
use crate::{human, table};

/// What a tuning found.
#[derive(Clone, Debug, Serialize)]
pub struct Tuning {
    /// What it ran on.
    #[serde(flatten)]
    pub machine: Machine,
    /// The collection.
    pub collection: String,
    /// Points in it.
    pub rows: u64,
    /// Components of each.
    pub dims: usize,
    /// Where the queries come from.
    pub queries: String,
    /// How many there are.
    pub query_count: usize,
    /// Results asked for.
    pub limit: usize,
    /// Passes over the queries at each setting.
    pub rounds: u16,
    /// A row for each setting.
    pub points: Vec<CurvePoint>,
    /// Which setting to use for which recall.
    pub advice: Vec<Advice>,
}

impl Tuning {
    /// Writes it for people.
    ///
    /// # Errors
    ///
    /// When the output is closed.
    pub fn write_table(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(
            out,
            "{}: {} of {} dims; {} from {}, 1 thread\n",
            self.collection,
            human::counted(self.rows, "point", "points"),
            self.dims,
            human::counted(self.query_count as u64, "query", "queries"),
            self.queries,
        )?;
        writeln!(out, "{}\n", self.curve().trim_fmt())?;
        for advice in &self.advice {
            writeln!(out, "{}", self.advice_line(advice))?;
        }
        Ok(())
    }

    fn curve(&self) -> comfy_table::Table {
        let recall = format!("recall@{}", self.limit);
        let header =
            [self.knob(), &recall, "lists", "codes", "rows read", "p50", "p99", "queries/s"];
        let mut table = table::plain(header);
        for point in &self.points {
            table.add_row([
                point.value.to_string(),
                format!("{:.4}", point.recall.at_limit),
                format!("{:.1}", point.work.lists),
                human::count(point.work.codes.round() as u64),
                format!("{:.1}", point.work.rows_read),
                human::micros(point.p50_us),
                human::micros(point.p99_us),
                format!("{:.0}", point.qps_1),
            ]);
        }
        table::align_right(&mut table, &[0, 1, 2, 3, 4, 5, 6, 7]);
        table
    }

    fn advice_line(&self, advice: &Advice) -> String {
        let Advice { wanted, measured, qps_1, .. } = advice;
        match advice.setting {
            Some(setting) => format!(
                "for {wanted} of the neighbours: {} {setting} (found {measured:.4}, {qps_1:.0} \
                 queries/s)",
                setting.knob()
            ),
            None => format!(
                "for {wanted} of the neighbours: none of these, the best found {measured:.4}; try \
                 more --oversampling, or an exact search"
            ),
        }
    }

    fn knob(&self) -> &'static str {
        self.points.first().map_or("target", |point| point.knob)
    }

    /// Returns the curve as a picture.
    #[must_use]
    pub fn plot(&self) -> RecallPlot {
        let name = format!("1 thread, by {}", self.knob());
        RecallPlot {
            title: format!("{}, {} x {}", self.collection, human::count(self.rows), self.dims),
            recall: format!("recall@{}", self.limit),
            series: vec![series(&name, &self.points, |point| Some(point.qps_1))],
        }
    }
}

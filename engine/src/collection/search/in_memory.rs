//! The part of a search by vector that lies in a memtable: its codes are scanned, and the best scored at once.

use std::convert::Infallible;
use std::time::Instant;

use bigrain_index::verify::{similarity, verify};
use bigrain_kernels::TopK;
use bigrain_types::SearchStats;
use roaring::RoaringBitmap;

use super::{Hit, VectorSearch};
use crate::Result;
use crate::collection::matching::live_slots;
use crate::column::ColumnReach;
use crate::memtable::Memtable;

impl VectorSearch<'_> {
    /// Returns the best points of a memtable, scored, that may be better than those already scored, and adds the
    /// time it took.
    pub fn memtable_hits(
        &self,
        (table, dead): (&Memtable, &RoaringBitmap),
        scored: &[Hit],
        stats: &mut SearchStats,
    ) -> Result<Vec<Hit>> {
        let started = Instant::now();
        let best = self.memtable_best((table, dead), scored, stats)?;
        stats.times.candidates += started.elapsed();
        let hit = |(similarity, slot)| Hit { similarity, id: table.id(slot).clone() };
        Ok(best.into_iter().map(hit).collect())
    }

    /// Returns the best slots of a memtable with their exact similarities: found through codes, or
    /// by scoring every row in an exact search.
    fn memtable_best(
        &self,
        (table, dead): (&Memtable, &RoaringBitmap),
        scored: &[Hit],
        stats: &mut SearchStats,
    ) -> Result<Vec<(f32, u32)>> {
        let Some(column) = table.column(self.field.id) else { return Ok(Vec::new()) };
        let metric = self.field.config.metric;
        let limit = self.params.limit();
        let score = |row: u32| similarity(metric, &self.vector, column.row(row));
        let matching = self.filter.as_ref().map(|filter| live_slots(table, dead, filter));
        let is_out = |row: u32| match &matching {
            Some(matching) => !matching.contains(column.slot(row)),
            None => dead.contains(column.slot(row)),
        };
        if self.params.exact() {
            let mut best = TopK::new(limit);
            for row in (0..column.len() as u32).filter(|&row| !is_out(row)) {
                best.push(score(row), row);
                stats.rows_read += 1;
            }
            let best = best.into_sorted().into_iter();
            return Ok(best.map(|scored| (scored.score, column.slot(scored.offset))).collect());
        }
        let reach = if matching.is_some() || self.params.probes().is_some() {
            ColumnReach::All
        } else {
            ColumnReach::Near { target_recall: self.params.target_recall(), limit }
        };
        let code = self.code_for(column.field().binarizer.id())?;
        let mut candidates = self.no_candidates(scored);
        stats.codes_scanned += column.scan(code, reach, is_out, &mut candidates);
        if !candidates.has_enough() && matches!(reach, ColumnReach::Near { .. }) {
            candidates = self.no_candidates(scored);
            stats.codes_scanned += column.scan(code, ColumnReach::All, is_out, &mut candidates);
        }
        let candidates = candidates.into_sorted();
        stats.candidates += candidates.len() as u64;
        let Ok(verified) = verify(&candidates, limit, |candidate| {
            Ok::<_, Infallible>(score(column.row_of(candidate)))
        });
        stats.rows_read += verified.rows;
        let slot = |index: usize| column.slot(column.row_of(&candidates[index]));
        Ok(verified.best.into_iter().map(|(score, index)| (score, slot(index))).collect())
    }
}

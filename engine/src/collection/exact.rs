//! Searching without codes: every live row is scored.

use std::time::Instant;

use bigrain_kernels::{Scored, TopK};
use bigrain_types::{Offset, SearchStats};
use rayon::prelude::*;

use super::search::{Hit, Search};
use super::state::SegmentView;
use crate::Result;

/// Rows of one task, and between two looks at the cancel flag.
const TASK_ROWS: usize = 4096;

/// Some rows of one segment.
struct Task<'a> {
    view: &'a SegmentView,
    start: u32,
    end: u32,
}

impl Search<'_> {
    /// Returns the best of all rows of `segments` and of `in_memory`, which is scored already.
    pub fn exact(
        &self,
        segments: &[SegmentView],
        in_memory: Vec<Hit>,
        stats: &mut SearchStats,
    ) -> Result<Vec<Hit>> {
        let started = Instant::now();
        let tasks: Vec<Task<'_>> = segments.iter().flat_map(tasks).collect();
        let limit = self.params.limit();
        let best: Result<Vec<Vec<Scored>>> = self
            .shared
            .resources
            .threads
            .run(|| tasks.par_iter().map(|task| self.best_of(task)).collect());
        for view in segments {
            let live = view.segment.rows() - view.deleted.len();
            stats.rows_read += live;
            stats.bytes_read += live * view.segment.dense.row_bytes();
        }
        let mut rows: Vec<(&Task<'_>, Scored)> = Vec::new();
        for (task, best) in tasks.iter().zip(best?) {
            rows.extend(best.into_iter().map(|scored| (task, scored)));
        }
        // Stable: among equals, older segments and smaller offsets come first.
        rows.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
        rows.truncate(limit);
        let mut hits = in_memory;
        for (task, Scored { score, offset }) in rows {
            let id = task.view.segment.ids.get(Offset(offset))?;
            hits.push(Hit { similarity: score, id });
        }
        hits.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        hits.truncate(limit);
        stats.times.verify += started.elapsed();
        Ok(hits)
    }

    fn best_of(&self, task: &Task<'_>) -> Result<Vec<Scored>> {
        self.query.cancel.check()?;
        let metric = self.shared.config.metric;
        let mut best = TopK::new(self.params.limit());
        let rows = task.view.segment.dense.rows_in(task.start..task.end)?;
        for (offset, row) in (task.start..task.end).zip(rows) {
            if !task.view.deleted.contains(offset) {
                best.push(row.similarity(metric, &self.vector), offset);
            }
        }
        Ok(best.into_sorted())
    }
}

fn tasks(view: &SegmentView) -> impl Iterator<Item = Task<'_>> {
    // A segment has at most 2^32 rows: offsets are u32.
    let rows = view.segment.rows() as u32;
    let task = move |start: u32| Task { view, start, end: rows.min(start + TASK_ROWS as u32) };
    (0..rows).step_by(TASK_ROWS).map(task)
}

//! Searching without codes: every live row is scored.

use std::time::Instant;

use bigrain_index::verify::similarity;
use bigrain_kernels::TopK;
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
        let best = self.shared.resources.pool.install(|| {
            let best: Result<Vec<Vec<Hit>>> =
                tasks.into_par_iter().map(|task| self.best_of(&task)).collect();
            best
        })?;
        for view in segments {
            let live = view.segment.rows() - view.deleted.len();
            stats.rows_read += live;
            stats.bytes_read += live * view.segment.dense.row_bytes();
        }
        let mut hits: Vec<Hit> = best.into_iter().flatten().chain(in_memory).collect();
        // Stable: among equals, older segments and smaller offsets come first.
        hits.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        hits.truncate(self.params.limit());
        stats.times.verify += started.elapsed();
        Ok(hits)
    }

    fn best_of(&self, task: &Task<'_>) -> Result<Vec<Hit>> {
        self.query.cancel.check()?;
        let metric = self.shared.config.metric;
        let segment = &task.view.segment;
        let mut best = TopK::new(self.params.limit());
        for offset in task.start..task.end {
            if !task.view.deleted.contains(offset) {
                let row = segment.dense.row(Offset(offset))?;
                best.push(similarity(metric, &self.vector, row), offset);
            }
        }
        let hit = |scored: bigrain_kernels::Scored| {
            Ok(Hit { similarity: scored.score, id: segment.ids.get(Offset(scored.offset))? })
        };
        best.into_sorted().into_iter().map(hit).collect()
    }
}

fn tasks(view: &SegmentView) -> impl Iterator<Item = Task<'_>> {
    // A segment has at most 2^32 rows: offsets are u32.
    let rows = view.segment.rows() as u32;
    let task = move |start: u32| Task { view, start, end: rows.min(start + TASK_ROWS as u32) };
    (0..rows).step_by(TASK_ROWS).map(task)
}

//! Searching without codes: every live row is scored.

use std::time::Instant;

use bigrain_kernels::{Scored, TopK};
use bigrain_types::{Offset, SearchStats};
use rayon::prelude::*;

use super::filtered::Filtered;
use super::{Hit, VectorSearch};
use crate::Result;
use crate::collection::state::FieldView;

/// Rows of one task, and between two looks at the cancel flag.
const TASK_ROWS: usize = 4096;

/// Some rows of a field in one segment.
struct Task<'a> {
    view: &'a FieldView,
    /// What matches, if there is a filter.
    filtered: Option<&'a Filtered>,
    start: u32,
    end: u32,
}

/// What came of a task.
struct Best {
    /// The best rows by position, best first.
    rows: Vec<Scored>,
    /// How many rows were scored.
    scored: u64,
}

impl VectorSearch<'_> {
    /// Returns the best of all rows of `segments` and of `in_memory`, which is scored already.
    pub fn exact(
        &self,
        segments: &[FieldView],
        filtered: &[Filtered],
        in_memory: Vec<Hit>,
        stats: &mut SearchStats,
    ) -> Result<Vec<Hit>> {
        let started = Instant::now();
        let tasks = |(source, view)| tasks(view, filtered.get(source));
        let tasks: Vec<Task<'_>> = segments.iter().enumerate().flat_map(tasks).collect();
        let limit = self.params.limit();
        let best: Result<Vec<Best>> = self
            .shared
            .resources
            .threads
            .run(|| tasks.par_iter().map(|task| self.best_of(task)).collect());
        let mut rows: Vec<(&Task<'_>, Scored)> = Vec::new();
        for (task, best) in tasks.iter().zip(best?) {
            stats.rows_read += best.scored;
            stats.bytes_read += best.scored * task.view.files.dense.row_bytes();
            rows.extend(best.rows.into_iter().map(|scored| (task, scored)));
        }
        // Stable: among equals, older segments and smaller positions come first.
        rows.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
        rows.truncate(limit);
        let mut hits = in_memory;
        for (task, Scored { score, offset }) in rows {
            hits.push(Hit { similarity: score, id: task.view.id(offset)? });
        }
        hits.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        hits.truncate(limit);
        stats.times.verify += started.elapsed();
        Ok(hits)
    }

    fn best_of(&self, task: &Task<'_>) -> Result<Best> {
        self.query.cancel.check()?;
        let metric = self.field.config.metric;
        if let Some(filtered) = task.filtered {
            return self.best_of_matching(task, filtered);
        }
        let deleted = task.view.files.by_position(&task.view.deleted)?;
        let (mut best, mut scored) = (TopK::new(self.params.limit()), 0);
        let rows = task.view.files.dense.rows_in(task.start..task.end)?;
        for (position, row) in (task.start..task.end).zip(rows) {
            if !deleted.contains(position) {
                best.push(row.similarity(metric, &self.vector), position);
                scored += 1;
            }
        }
        Ok(Best { rows: best.into_sorted(), scored })
    }

    /// Scores only what matches; nothing else is read.
    fn best_of_matching(&self, task: &Task<'_>, filtered: &Filtered) -> Result<Best> {
        let (mut best, mut scored) = (TopK::new(self.params.limit()), 0);
        for position in filtered.mask.iter(task.start..task.end) {
            let row = task.view.files.dense.row(Offset(position))?;
            best.push(row.similarity(self.field.config.metric, &self.vector), position);
            scored += 1;
        }
        Ok(Best { rows: best.into_sorted(), scored })
    }
}

fn tasks<'a>(
    view: &'a FieldView,
    filtered: Option<&'a Filtered>,
) -> impl Iterator<Item = Task<'a>> {
    // A segment has at most 2^32 rows: offsets are u32.
    let rows = view.files.rows() as u32;
    let task =
        move |start: u32| Task { view, filtered, start, end: rows.min(start + TASK_ROWS as u32) };
    (0..rows).step_by(TASK_ROWS).map(task)
}

//! The part of a field that matches a filter, and how it is searched.

use std::sync::Arc;
use std::time::Instant;

use bigrain_index::{Candidate, RowMask};
use bigrain_types::{SearchStats, SeqNo};

use super::VectorSearch;
use crate::Result;
use crate::collection::state::FieldView;
use crate::filtering::{FilterMethod, Matching};

/// The vectors of a segment that match, by position, and how they are searched.
#[derive(Debug)]
pub(super) struct Filtered {
    pub mask: Arc<RowMask>,
    pub method: FilterMethod,
}

impl VectorSearch<'_> {
    /// Returns what matches the query's filter in each of some segments; nothing when a point was
    /// replaced while its payload was read.
    pub fn filtered(
        &self,
        segments: &[FieldView],
        seq: SeqNo,
        stats: &mut SearchStats,
    ) -> Result<Option<Vec<Filtered>>> {
        let started = Instant::now();
        let Some(filter) = &self.filter else { return Ok(Some(Vec::new())) };
        let mut masks = Vec::with_capacity(segments.len());
        for view in segments {
            self.query.cancel.check()?;
            let mask = self.shared.matching_mask(view, self.field.id, filter, seq)?;
            let Some(mask) = mask else { return Ok(None) };
            masks.push(mask);
        }
        let total = masks.iter().map(|mask| mask.len()).sum();
        let filtered = masks.into_iter().map(|mask| {
            let method = FilterMethod::choose(Matching {
                total,
                here: mask.len(),
                rows: mask.rows() as u64,
                limit: self.params.limit(),
                verify: self.params.verify(),
            });
            Filtered { mask, method }
        });
        let filtered = filtered.collect();
        stats.times.filter += started.elapsed();
        Ok(Some(filtered))
    }
}

impl Filtered {
    /// Returns the rows that are scored whatever their codes say, as candidates that could be
    /// anything.
    pub fn certain(&self, source: u32) -> impl Iterator<Item = Candidate> + '_ {
        let certain = self.method == FilterMethod::ScoreRows;
        let rows = if certain { 0..self.mask.rows() as u32 } else { 0..0 };
        let candidate = move |offset| Candidate { source, offset, optimistic: f32::INFINITY };
        self.mask.iter(rows).map(candidate)
    }

    /// Says what is done and why, for people.
    pub fn explain(&self, exact: bool) -> String {
        let (here, rows) = (self.mask.len(), self.mask.rows());
        let share = 100.0 * here as f64 / rows.max(1) as f64;
        let found = format!("{here} of {rows} match ({share:.2} %)");
        if exact {
            return format!("{found}: scored exactly, as asked");
        }
        format!("{found}: {}", self.method)
    }
}

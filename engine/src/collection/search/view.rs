//! What a search by vector looks at.

use std::sync::OnceLock;

use bigrain_types::{SearchStats, SeqNo};

use super::filtered::Filtered;
use super::{Hit, VectorSearch};
use crate::collection::state::{FieldView, Frozen, State};
use crate::device::ScannedBy;
use crate::plan::SourcePlan;
use crate::{Error, ErrorKind, Result};

/// What a search looks at, taken in one step.
pub(super) struct View {
    pub segments: Vec<FieldView>,
    /// What matches the filter in each segment, if there is one.
    pub filtered: Vec<Filtered>,
    /// What scanned the codes of each segment, where there is a device; set while they are.
    pub scanned_by: Vec<OnceLock<ScannedBy>>,
    pub frozen: Option<Frozen>,
    /// The memtable's best, already scored exactly: it may change once the lock is released.
    pub active: Vec<Hit>,
    pub active_plan: Option<SourcePlan>,
    /// Rows of the memtables, while points go over to or from the field; else nobody asks, and counting takes long.
    pub in_memory_rows: u64,
    /// The last write that the view shows.
    pub seq: SeqNo,
}

impl VectorSearch<'_> {
    /// Takes the view, in one step: under the state lock. The memtable's part is scored there too,
    /// because it may grow as soon as the lock is released. Nothing when the field's version has changed.
    pub fn view(&self, stats: &mut SearchStats) -> Result<Option<View>> {
        let state: &State = &self.shared.state.read();
        let Some(field) = state.fields.get(self.field.id) else {
            let reason = format!("field {:?} was dropped", self.field.name);
            return Err(Error::new(ErrorKind::NotFound, reason));
        };
        if !self.is_of_version(field) {
            return Ok(None);
        }
        let (active, dead) = (&state.active, state.active.dead());
        let segments: Vec<FieldView> = state.segments_with(self.field.id).collect();
        let view = View {
            scanned_by: segments.iter().map(|_| OnceLock::new()).collect(),
            segments,
            filtered: Vec::new(),
            frozen: state.frozen.clone(),
            active: self.memtable_hits((active, dead), &[], stats)?,
            active_plan: self.params.explain().then(|| self.memtable_plan(active, dead)),
            in_memory_rows: match self.field.predecessor.is_some() || self.field.is_followed {
                true => state.rows_in_memory(self.field.id),
                false => 0,
            },
            seq: state.seq,
        };
        self.query.cancel.check()?;
        Ok(Some(view))
    }
}

impl View {
    /// Returns how many rows match the filter, while points go over; of memtables, as large a part as of segments.
    pub fn rows(&self) -> u64 {
        let of_segment = |view: &FieldView| view.files.rows() - view.deleted_rows();
        let in_segments: u64 = self.segments.iter().map(of_segment).sum();
        if self.filtered.is_empty() || in_segments == 0 {
            return in_segments + self.in_memory_rows;
        }
        let matching: u64 = self.filtered.iter().map(|filtered| filtered.mask.len()).sum();
        matching + self.in_memory_rows * matching / in_segments
    }
}

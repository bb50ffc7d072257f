//! What a search sees.

use std::sync::Arc;

use bigrain_types::{Offset, PointId, SegmentId, SeqNo};
use roaring::RoaringBitmap;

use crate::memtable::{EncodedPoints, Memtable};
use crate::segment::Segment;

/// Everything a search looks at. Changed under a lock, in one step per commit, so that a search
/// sees each write wholly or not at all.
#[derive(Debug)]
pub(crate) struct State {
    pub segments: Vec<SegmentView>,
    /// A full memtable on its way into a segment; immutable but for the slots that die meanwhile.
    pub frozen: Option<Frozen>,
    pub active: Memtable,
    /// Points that exist.
    pub live: u64,
    /// The last write that is visible.
    pub seq: SeqNo,
}

/// A segment and which of its rows are deleted now.
#[derive(Clone, Debug)]
pub(crate) struct SegmentView {
    pub segment: Arc<Segment>,
    /// Shared with the searches that saw it; a delete copies it if any still do.
    pub deleted: Arc<RoaringBitmap>,
}

/// A memtable that is being flushed.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub table: Arc<Memtable>,
    /// Slots dead when it was frozen, and those replaced or deleted since.
    pub dead: Arc<RoaringBitmap>,
}

impl State {
    /// Returns the state of a collection without points.
    pub fn empty(active: Memtable) -> Self {
        Self { segments: Vec::new(), frozen: None, active, live: 0, seq: SeqNo::default() }
    }

    /// Returns a segment by its id.
    pub fn segment(&self, id: SegmentId) -> Option<&SegmentView> {
        self.segments.iter().find(|view| view.segment.id == id)
    }

    /// Adds committed points to the memtable.
    pub fn append(&mut self, points: &EncodedPoints, seq: SeqNo) {
        points.ids.iter().for_each(|id| self.bury_frozen(id));
        self.active.append(points, seq);
    }

    /// Removes a committed delete's point from the memtables.
    pub fn remove(&mut self, id: &PointId) {
        self.bury_frozen(id);
        self.active.remove(id);
    }

    /// Marks a row of a segment as deleted.
    pub fn bury(&mut self, segment: SegmentId, offset: Offset) {
        let view = self.segments.iter_mut().find(|view| view.segment.id == segment);
        if let Some(view) = view {
            Arc::make_mut(&mut view.deleted).insert(offset.0);
        }
    }

    fn bury_frozen(&mut self, id: &PointId) {
        if let Some(frozen) = &mut self.frozen
            && let Some(slot) = frozen.table.slot(id)
        {
            Arc::make_mut(&mut frozen.dead).insert(slot);
        }
    }
}

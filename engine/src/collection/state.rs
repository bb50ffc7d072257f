//! What a search sees.

use std::sync::Arc;

use bigrain_index::IndexError;
use bigrain_types::{FieldId, Offset, PointId, SegmentId, SeqNo};
use roaring::RoaringBitmap;

use crate::encoded_points::EncodedPoints;
use crate::field::{Field, Fields, MultiField, Schema, SparseField};
use crate::memory::Charge;
use crate::memtable::Memtable;
use crate::segment::{FieldFiles, Segment};

/// Everything a search looks at. Changed under a lock, in one step per commit, so that a search
/// sees each write wholly or not at all.
#[derive(Debug)]
pub(crate) struct State {
    pub fields: Fields,
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

/// One field of a segment, and which of the segment's rows are deleted now.
#[derive(Clone, Debug)]
pub(crate) struct FieldView {
    pub segment: Arc<Segment>,
    pub files: Arc<FieldFiles>,
    pub deleted: Arc<RoaringBitmap>,
}

impl FieldView {
    /// Returns the id of the point at a position of the field.
    pub fn id(&self, position: u32) -> Result<PointId, IndexError> {
        self.segment.ids.get(self.files.offset(position)?)
    }

    /// Returns how many of the field's vectors are deleted; for people.
    pub fn deleted_rows(&self) -> u64 {
        let rows = self.files.rows();
        self.files.by_position(&self.deleted).map_or(0, |deleted| deleted.count(rows))
    }
}

/// A memtable that is being flushed.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub table: Arc<Memtable>,
    /// Slots dead when it was frozen, and those replaced or deleted since.
    pub dead: Arc<RoaringBitmap>,
    /// What it takes, for as long as anybody reads it: a search may, when its segment serves already.
    pub memory: Arc<Charge>,
}

impl State {
    /// Forgets all points.
    pub fn clear(&mut self) {
        self.segments = Vec::new();
        self.frozen = None;
        self.active = Memtable::new(&self.fields);
        (self.live, self.seq) = (0, SeqNo::default());
    }

    /// Charges what the memtables take: the active one to `active`, a frozen one to itself.
    pub fn charge_memtables(&self, active: &Charge) {
        active.set(self.active.memory_bytes() as u64);
        if let Some(Frozen { table, memory, .. }) = &self.frozen {
            memory.set(table.memory_bytes() as u64);
        }
    }

    /// Returns a segment by its id.
    pub fn segment(&self, id: SegmentId) -> Option<&SegmentView> {
        self.segments.iter().find(|view| view.segment.id == id)
    }

    /// Returns the segments in which any point has a vector in a field, oldest first.
    pub fn segments_with(&self, field: FieldId) -> impl Iterator<Item = FieldView> {
        self.segments.iter().filter_map(move |SegmentView { segment, deleted }| {
            let files = Arc::clone(segment.field(field)?);
            let (segment, deleted) = (Arc::clone(segment), Arc::clone(deleted));
            Some(FieldView { segment, files, deleted })
        })
    }

    /// Makes room for the vectors of a field that was added.
    pub fn add_field(&mut self, field: Arc<Field>) {
        self.active.add_field(Arc::clone(&field));
        self.fields = self.fields.with(field);
    }

    /// Makes room for the vectors of a sparse field that was added.
    pub fn add_sparse_field(&mut self, field: Arc<SparseField>) {
        self.active.add_sparse_field(&field);
        self.fields = self.fields.with_sparse(field);
    }

    /// Makes room for the vectors of a multi-vector field that was added.
    pub fn add_multi_field(&mut self, field: Arc<MultiField>) {
        self.active.add_multi_field(&field);
        self.fields = self.fields.with_multi(field);
    }

    /// Takes another version of a field. Vectors in memory keep the codes that they have.
    pub fn replace_field(&mut self, field: &Arc<Field>) {
        self.fields = self.fields.with_version(field);
        if self.active.is_empty() {
            self.active = Memtable::new(&self.fields);
        }
    }

    /// Puts a field of a later encoder in the place of another one, which keeps the vectors that it has.
    pub fn succeed_field(&mut self, former: &Arc<Field>, later: &Arc<Field>) {
        self.fields = self.fields.with_succession(former, later);
        if self.active.is_empty() {
            self.active = Memtable::new(&self.fields);
        } else {
            self.active.add_field(Arc::clone(later));
        }
    }

    /// Whether a segment lacks something that one written now would have: words, or codes of the present
    /// version.
    pub fn is_stale(&self, segment: &Segment) -> bool {
        let is_old = |files: &Arc<FieldFiles>| {
            let field = self.fields.get(files.id());
            field.is_some_and(|field| field.is_stale(files.codes.space()))
        };
        self.fields.is_stale(segment.id) || segment.fields().any(is_old)
    }

    /// Forgets a field. A memtable that is being flushed keeps its vectors, out of reach.
    pub fn drop_field(&mut self, field: FieldId) {
        self.fields = self.fields.without(field);
        self.active.drop_field(field);
        for view in &mut self.segments {
            let segment = &view.segment;
            if segment.field(field).is_some()
                || segment.sparse(field).is_some()
                || segment.multi(field).is_some()
            {
                view.segment = Arc::new(view.segment.with_only(&self.fields));
            }
        }
    }

    /// Returns the step by which a state takes over what a schema says of words and of fusing.
    pub fn take_texts(schema: &Schema) -> impl FnOnce(&mut Self) + use<> {
        let schema = schema.clone();
        move |state| state.fields = state.fields.with_texts_of(&schema)
    }

    /// Adds committed points to the memtable.
    pub fn append(&mut self, points: &mut EncodedPoints, seq: SeqNo) {
        points.ids().iter().for_each(|id| self.bury_frozen(id));
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

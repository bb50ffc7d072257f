//! Recent writes, in memory, searchable before they reach a segment.
//!
//! A memtable only grows: a newer version of a point takes a new slot and the old one is marked
//! dead. So slots given out stay valid, and a memtable that has been *frozen* for a flush can be
//! read without a lock while the flush writes it out. What a slot holds never changes: a point whose
//! payload or vector is replaced gets a new slot.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use bigrain_index::sparse::SparseTable;
use bigrain_lexical::text::TextTable;
use bigrain_types::{FieldId, Payload, PointId, SeqNo, TextField};
use roaring::RoaringBitmap;

use crate::column::{Column, Packed, Replaced};
use crate::encoded_points::EncodedPoints;
use crate::field::{Field, Fields, MultiField, SparseField};
use crate::filtering::{PreparedFilter, SlotFilters};
use crate::multi_column::MultiColumn;
use crate::slot_texts::SlotTexts;
use crate::sparse_column::SparseColumn;

/// Tells a memtable from all others, as long as anybody keeps it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemtableIdentity(Arc<()>);

impl PartialEq for MemtableIdentity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Recent writes of one collection.
#[derive(Debug)]
pub(crate) struct Memtable {
    identity: MemtableIdentity,
    /// One per dense field, in the order of the fields.
    columns: Vec<Column>,
    /// One per sparse field, in the order of the fields.
    sparse: Vec<SparseColumn<SparseTable>>,
    /// One per multi-vector field, in the order of the fields.
    multi: Vec<MultiColumn>,
    ids: Vec<PointId>,
    /// One per slot.
    payloads: Vec<Arc<Payload>>,
    filters: SlotFilters,
    texts: SlotTexts,
    newest: SeqNo,
    slots: HashMap<PointId, u32>,
    dead: RoaringBitmap,
    id_bytes: usize,
    payload_bytes: usize,
}

impl Memtable {
    /// Returns an empty memtable for points of some fields.
    pub fn new(fields: &Fields) -> Self {
        Self {
            identity: MemtableIdentity::default(),
            columns: fields.iter().map(|field| Column::new(Arc::clone(field))).collect(),
            sparse: fields.sparse().map(SparseColumn::new).collect(),
            multi: fields.multi().map(MultiColumn::new).collect(),
            ids: Vec::new(),
            payloads: Vec::new(),
            filters: SlotFilters::default(),
            texts: SlotTexts::default(),
            newest: SeqNo::default(),
            slots: HashMap::new(),
            dead: RoaringBitmap::new(),
            id_bytes: 0,
            payload_bytes: 0,
        }
    }

    /// Makes room for so many points in what would have to be moved as a whole when it grows.
    #[must_use]
    pub fn expecting(mut self, points: usize) -> Self {
        self.ids.reserve(points);
        self.payloads.reserve(points);
        self.slots.reserve(points);
        self
    }

    /// Adds the points of one write, and takes its vectors; an earlier version of the same point dies. Vectors of
    /// a field that was dropped meanwhile go with it.
    pub fn append(&mut self, points: &mut EncodedPoints, seq: SeqNo) {
        let base = self.ids.len() as u32;
        for id in points.ids() {
            let slot = self.ids.len() as u32;
            if let Some(old) = self.slots.insert(id.clone(), slot) {
                self.dead.insert(old);
            }
            self.id_bytes += id.to_key().len();
            self.ids.push(id.clone());
        }
        self.payloads.extend_from_slice(points.payloads());
        self.payload_bytes +=
            points.payloads().iter().map(|payload| payload.memory_bytes()).sum::<usize>();
        self.newest = self.newest.max(seq);
        for column in &mut self.columns {
            let same = |new: &&mut Column| new.field().id == column.field().id;
            if let Some(new) = points.columns.iter_mut().find(same) {
                // It may have been encoded before or after the field's version changed.
                if new.field().binarizer.id() != column.field().binarizer.id() {
                    new.encode_as(column.field());
                }
                column.append(new, base);
            }
        }
        for column in &mut self.sparse {
            if let Some(new) = points.sparse.iter().find(|new| new.field.id == column.field.id) {
                column.append(new, base);
            }
        }
        for column in &mut self.multi {
            if let Some(new) = points.multi.iter().find(|new| new.field.id == column.field.id) {
                column.append(new, base);
            }
        }
    }

    /// Returns the codes of columns that are to be put into blocks, in blocks.
    pub fn packed(&self) -> Vec<(FieldId, Packed)> {
        let packed = |column: &Column| Some((column.field().id, column.packed()?));
        self.columns.iter().filter_map(packed).collect()
    }

    /// Takes over codes in blocks; no rows were added since they were packed. Returns what they replace, to be dropped
    /// where nobody waits.
    pub fn put(&mut self, packed: Vec<(FieldId, Packed)>) -> Vec<Replaced> {
        let put = |(field, packed)| {
            let column = self.columns.iter_mut().find(|column| column.field().id == field)?;
            Some(column.put(packed))
        };
        packed.into_iter().filter_map(put).collect()
    }

    /// Makes room for the vectors of another field; no point has one yet.
    pub fn add_field(&mut self, field: Arc<Field>) {
        self.columns.push(Column::new(field));
    }

    /// Makes room for the vectors of another sparse field; no point has one yet.
    pub fn add_sparse_field(&mut self, field: &Arc<SparseField>) {
        self.sparse.push(SparseColumn::new(field));
    }

    /// Makes room for the vectors of another multi-vector field; no point has one yet.
    pub fn add_multi_field(&mut self, field: &Arc<MultiField>) {
        self.multi.push(MultiColumn::new(field));
    }

    /// Forgets the vectors of a field.
    pub fn drop_field(&mut self, field: FieldId) {
        self.columns.retain(|column| column.field().id != field);
        self.sparse.retain(|column| column.field.id != field);
        self.multi.retain(|column| column.field.id != field);
    }

    /// Marks a point dead, if it is here.
    pub fn remove(&mut self, id: &PointId) {
        if let Some(slot) = self.slots.remove(id) {
            self.dead.insert(slot);
        }
    }

    /// Returns the slot of the live version of a point.
    pub fn slot(&self, id: &PointId) -> Option<u32> {
        self.slots.get(id).copied()
    }

    /// Returns which memtable it is.
    pub fn identity(&self) -> &MemtableIdentity {
        &self.identity
    }

    /// Returns the slots taken, dead ones included.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether no slot is taken.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the slots whose points were replaced or deleted.
    pub fn dead(&self) -> &RoaringBitmap {
        &self.dead
    }

    /// Returns the id in a slot.
    pub fn id(&self, slot: u32) -> &PointId {
        &self.ids[slot as usize]
    }

    /// Returns the payload in a slot.
    pub fn payload(&self, slot: u32) -> &Payload {
        &self.payloads[slot as usize]
    }

    /// Returns the slots whose points match a filter, dead ones included.
    pub fn matching(&self, filter: &PreparedFilter) -> Arc<RoaringBitmap> {
        self.filters.matching(filter, &self.ids, &self.payloads)
    }

    /// Calls `with` on the words of a text field; its rows are slots, dead ones included.
    pub fn with_text<T>(&self, field: &TextField, with: impl FnOnce(&TextTable) -> T) -> T {
        self.texts.with(field, &self.payloads, with)
    }

    /// Returns the newest write it holds.
    pub fn newest(&self) -> SeqNo {
        self.newest
    }

    /// Returns the vectors of a dense field.
    pub fn column(&self, field: FieldId) -> Option<&Column> {
        self.columns.iter().find(|column| column.field().id == field)
    }

    /// Returns about how much memory the payloads take.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes as u64
    }

    /// Returns the vectors of a sparse field, by slot.
    pub fn sparse(&self, field: FieldId) -> Option<&SparseTable> {
        let column = self.sparse.iter().find(|column| column.field.id == field);
        column.map(|column| &column.vectors)
    }

    /// Returns the vectors of a multi-vector field.
    pub fn multi(&self, field: FieldId) -> Option<&MultiColumn> {
        self.multi.iter().find(|column| column.field.id == field)
    }

    /// Returns about how much memory the points take.
    pub fn memory_bytes(&self) -> usize {
        let payload = size_of::<Arc<Payload>>() + size_of::<Payload>();
        let per_slot = size_of::<PointId>() * 2 + size_of::<u32>() + 1 + payload;
        let columns: usize = self.columns.iter().map(Column::memory_bytes).sum();
        let sparse: usize = self.sparse.iter().map(|column| column.vectors.memory_bytes()).sum();
        let multi: usize = self.multi.iter().map(MultiColumn::memory_bytes).sum();
        columns
            + sparse
            + multi
            + self.ids.len() * per_slot
            + self.id_bytes * 2
            + self.payload_bytes
            + self.texts.memory_bytes()
            + self.filters.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use bigrain_types::Metric;

    use super::*;
    use crate::field::Schema;
    use crate::{CollectionConfig, FieldConfig};

    fn points(fields: &Fields, rows: &[(u64, &str, [f32; 2])]) -> EncodedPoints {
        let mut points = EncodedPoints::new(fields);
        for (slot, (id, field, vector)) in (0..).zip(rows) {
            points.push((*id).into(), Payload::new());
            let field = fields.named(Some(field)).unwrap().id;
            points.column_mut(field).unwrap().push(slot, vector);
        }
        points.encoded()
    }

    #[test]
    fn a_newer_version_kills_the_older_one() {
        let config = CollectionConfig::of(FieldConfig::new("a", 2, Metric::Dot))
            .with_field(FieldConfig::new("b", 2, Metric::L2));
        let mut schema = Schema::new(config).unwrap();
        let fields = Fields::new(&schema).unwrap();
        let [a, b] = [0, 1].map(FieldId);
        let mut table = Memtable::new(&fields);
        let mut first = points(&fields, &[(1, "a", [1.0, 0.0]), (2, "b", [2.0, 0.0])]);
        table.append(&mut first, SeqNo(1));
        let newer = || points(&fields, &[(2, "a", [5.0, 3.0])]);
        table.append(&mut newer(), SeqNo(2));
        assert_eq!(table.slot(&2.into()), Some(2));
        assert_eq!(table.column(a).unwrap().vector(2).unwrap(), [5.0, 3.0]);
        assert_eq!(table.column(a).unwrap().slots(), [0, 2]);
        assert_eq!(table.column(b).unwrap().slots(), [1]);
        assert_eq!(table.newest(), SeqNo(2));
        assert_eq!(table.dead().iter().collect::<Vec<_>>(), [1]);
        table.remove(&1.into());
        table.remove(&9.into());
        assert_eq!(table.dead().iter().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(table.slot(&1.into()), None);
        assert_eq!(table.len(), 3);

        // A write that was encoded before its field was dropped brings nothing back.
        let mut newer = newer();
        table.drop_field(a);
        schema.remove("a").unwrap();
        let added = schema.add(FieldConfig::new("a", 2, Metric::Dot)).unwrap();
        table.add_field(Arc::new(Field::new(added).unwrap()));
        table.append(&mut newer, SeqNo(3));
        assert!(table.column(a).is_none());
        assert_eq!(table.columns.iter().map(Column::len).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(table.len(), 4);
    }
}

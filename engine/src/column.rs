//! The vectors of one field in memory, with their codes.

use std::mem::size_of;
use std::sync::Arc;

use bigrain_binarize::Factors;
use bigrain_index::CodeSlice;
use roaring::RoaringBitmap;

use crate::field::Field;

/// The vectors of one field, row after row, for points that are known by their *slot*: a place in a
/// batch or in a memtable.
///
/// Slots rise from row to row; a slot without a row is a point without a vector in this field.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    field: Arc<Field>,
    slots: Vec<u32>,
    /// Dense rows, one after another, of length one under cosine.
    rows: Vec<f32>,
    /// One plane per level, all rows one after another.
    planes: Vec<Vec<u64>>,
    factors: Vec<Factors>,
}

impl Column {
    /// Returns an empty column.
    pub fn new(field: Arc<Field>) -> Self {
        let planes = vec![Vec::new(); field.binarizer.layout().levels().count()];
        Self { field, slots: Vec::new(), rows: Vec::new(), planes, factors: Vec::new() }
    }

    /// Makes room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.slots.reserve(rows);
        self.rows.reserve(rows * self.field.config.dims);
    }

    /// Adds the vector of a slot above all others, of length one under cosine; it has no code until
    /// [`Column::encode`].
    pub fn push(&mut self, slot: u32, vector: &[f32]) {
        debug_assert!(self.slots.last().is_none_or(|last| *last < slot), "slots do not rise");
        debug_assert_eq!(vector.len(), self.field.config.dims, "row of another dimension");
        self.slots.push(slot);
        self.rows.extend_from_slice(vector);
    }

    /// Encodes the rows that have no code yet.
    pub fn encode(&mut self) {
        let binarizer = &self.field.binarizer;
        let fresh = &self.rows[self.factors.len() * binarizer.dims()..];
        let count = fresh.len() / binarizer.dims();
        let words = count * binarizer.layout().words_per_plane();
        self.planes.iter_mut().for_each(|plane| plane.reserve(words));
        self.factors.reserve(count);
        binarizer.encode_many(fresh, &mut self.planes, &mut self.factors);
    }

    /// Adds encoded rows whose slots count from `base` on.
    pub fn append(&mut self, other: &Self, base: u32) {
        self.slots.extend(other.slots.iter().map(|slot| base + slot));
        self.rows.extend_from_slice(&other.rows);
        for (plane, new) in self.planes.iter_mut().zip(&other.planes) {
            plane.extend_from_slice(new);
        }
        self.factors.extend_from_slice(&other.factors);
    }

    /// Returns the field.
    pub fn field(&self) -> &Arc<Field> {
        &self.field
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the slot of a row.
    pub fn slot(&self, row: u32) -> u32 {
        self.slots[row as usize]
    }

    /// Returns the slots that have a row, rising.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// Returns a row.
    pub fn row(&self, row: u32) -> &[f32] {
        let dims = self.field.config.dims;
        &self.rows[row as usize * dims..][..dims]
    }

    /// Returns the vector in a slot.
    pub fn vector(&self, slot: u32) -> Option<&[f32]> {
        // Most columns have a row for every slot.
        let row = if self.slots.get(slot as usize) == Some(&slot) {
            slot
        } else {
            self.slots.binary_search(&slot).ok()? as u32
        };
        Some(self.row(row))
    }

    /// Returns how many rows stand in some slots.
    pub fn count_in(&self, slots: &RoaringBitmap) -> u64 {
        self.slots.iter().filter(|&&slot| slots.contains(slot)).count() as u64
    }

    /// Calls `with` on the codes of all rows.
    pub fn with_codes<T>(&self, with: impl FnOnce(&CodeSlice<'_>) -> T) -> T {
        let planes: Vec<&[u64]> = self.planes.iter().map(Vec::as_slice).collect();
        let words = self.field.binarizer.layout().words_per_plane();
        with(&CodeSlice { planes: &planes, words, factors: &self.factors })
    }

    /// Returns the bytes of codes and factors.
    pub fn code_bytes(&self) -> usize {
        let words: usize = self.planes.iter().map(Vec::len).sum();
        words * size_of::<u64>() + self.factors.len() * size_of::<Factors>()
    }

    /// Returns about how much memory the rows take.
    pub fn memory_bytes(&self) -> usize {
        self.code_bytes() + self.rows.len() * size_of::<f32>() + self.slots.len() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use bigrain_types::Metric;

    use super::*;
    use crate::CollectionConfig;
    use crate::field::Schema;

    #[test]
    fn rows_are_found_by_slot_whether_every_slot_has_one_or_not() {
        let schema = Schema::new(CollectionConfig::new(2, Metric::Dot)).unwrap();
        let mut batch = Column::new(Arc::new(Field::new(&schema.fields[0]).unwrap()));
        for slot in [0, 1, 3] {
            batch.push(slot, &[slot as f32, 1.0]);
        }
        batch.encode();
        let mut column = Column::new(Arc::clone(batch.field()));
        column.append(&batch, 0);
        column.append(&batch, 10);
        assert_eq!(column.slots(), [0, 1, 3, 10, 11, 13]);
        assert_eq!((column.len(), column.slot(4)), (6, 11));
        assert_eq!(column.vector(1).unwrap(), [1.0, 1.0]);
        assert_eq!(column.vector(13).unwrap(), [3.0, 1.0]);
        for absent in [2, 4, 9, 12, 14] {
            assert_eq!(column.vector(absent), None);
        }
        assert_eq!(column.count_in(&RoaringBitmap::from_iter([1, 2, 13, 99])), 2);
        assert_eq!(column.with_codes(|codes| codes.factors.len()), 6);
    }
}

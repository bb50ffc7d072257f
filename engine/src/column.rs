//! The vectors of one field in memory, with their codes.

use std::mem::size_of;
use std::sync::Arc;

use bigrain_binarize::{Factors, QueryCode};
use bigrain_index::candidates::Offers;
use bigrain_index::candidates::list_scan::{ListScan, ListTerms};
use bigrain_index::codes::ResidentCodes;
use bigrain_index::{Candidate, Candidates, CodeSlice, scan};
use roaring::RoaringBitmap;

use crate::field::Field;

/// Rows whose codes are put into blocks together.
const SEALED_ROWS: usize = 1024;

/// The vectors of one field, row after row, for points that are known by their *slot*: a place in a
/// batch or in a memtable.
///
/// Slots rise from row to row; a slot without a row is a point without a vector in this field.
///
/// Codes come plane by plane. As soon as there are enough of them they are *sealed*, put into blocks as
/// those of a segment are, because a block is scanned several times as fast as its rows one by one:
///
/// ```text
///  rows    0 ..       1024 ..    2048 ..     ..
///  codes  | sealed   | sealed   | planes, factors |
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Column {
    field: Arc<Field>,
    slots: Vec<u32>,
    /// Dense rows, one after another, of length one under cosine.
    rows: Vec<f32>,
    sealed: Vec<ResidentCodes>,
    /// One plane per level: the codes behind the sealed ones, one after another.
    planes: Vec<Vec<u64>>,
    factors: Vec<Factors>,
}

impl Column {
    /// Returns an empty column.
    pub fn new(field: Arc<Field>) -> Self {
        let planes = vec![Vec::new(); field.binarizer.layout().levels().count()];
        let (slots, rows, sealed) = (Vec::new(), Vec::new(), Vec::new());
        Self { field, slots, rows, sealed, planes, factors: Vec::new() }
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
        let encoded = self.sealed.len() * SEALED_ROWS + self.factors.len();
        let fresh = &self.rows[encoded * binarizer.dims()..];
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
        self.seal();
    }

    /// Puts codes into blocks, as many as there are enough of.
    fn seal(&mut self) {
        let layout = *self.field.binarizer.layout();
        let words = SEALED_ROWS * layout.words_per_plane();
        let count = self.factors.len() / SEALED_ROWS;
        for part in 0..count {
            let planes: Vec<&[u64]> =
                self.planes.iter().map(|plane| &plane[part * words..][..words]).collect();
            let factors = &self.factors[part * SEALED_ROWS..][..SEALED_ROWS];
            self.sealed.push(ResidentCodes::of_rows(layout, &planes, factors));
        }
        self.factors.drain(..count * SEALED_ROWS);
        self.planes.iter_mut().for_each(|plane| drop(plane.drain(..count * words)));
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

    /// Offers the codes of all rows, except those for which `is_out` is true; returns how many were
    /// scored. Which row a candidate is, [`Column::row_of`] says.
    pub fn scan(
        &self,
        query: &QueryCode,
        is_out: impl Fn(u32) -> bool,
        candidates: &mut Candidates,
    ) -> u64 {
        if !self.sealed.is_empty() {
            let (mut blocks, terms) = (ListScan::new(query), ListTerms::whole(query));
            for (part, codes) in (0..).zip(&self.sealed) {
                candidates.begin_source(part);
                let is_out = |offset: u32| is_out(part * SEALED_ROWS as u32 + offset);
                let offers = &mut Offers::new(candidates, is_out);
                blocks.scan(codes, &terms, 0..SEALED_ROWS as u32, offers);
            }
        }
        let behind = self.sealed.len() as u32;
        candidates.begin_source(behind);
        let planes: Vec<&[u64]> = self.planes.iter().map(Vec::as_slice).collect();
        let words = self.field.binarizer.layout().words_per_plane();
        let codes = CodeSlice { planes: &planes, words, factors: &self.factors };
        let is_out = |offset: u32| is_out(behind * SEALED_ROWS as u32 + offset);
        scan(&codes, query, is_out, candidates);
        self.slots.len() as u64
    }

    /// Returns the row of a candidate of [`Column::scan`].
    pub fn row_of(candidate: &Candidate) -> u32 {
        candidate.source * SEALED_ROWS as u32 + candidate.offset
    }

    /// Returns the bytes of codes and factors.
    pub fn code_bytes(&self) -> usize {
        let words: usize = self.planes.iter().map(Vec::len).sum();
        let sealed: usize = self.sealed.iter().map(ResidentCodes::memory_bytes).sum();
        sealed + words * size_of::<u64>() + self.factors.len() * size_of::<Factors>()
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
    }

    #[test]
    fn sealed_codes_and_those_behind_find_what_codes_row_by_row_find() {
        const DIMS: usize = 40;
        for levels in 1..=4 {
            let config = CollectionConfig::new(DIMS, Metric::Cosine)
                .with_levels(bigrain_types::Levels::new(levels).unwrap());
            let schema = Schema::new(config).unwrap();
            let mut batch = Column::new(Arc::new(Field::new(&schema.fields[0]).unwrap()));
            let value = |i: usize| ((i * 2_654_435_761) % 1009) as f32 / 504.0 - 1.0;
            let rows: Vec<f32> = (0..2500 * DIMS).map(value).collect();
            let mut column = Column::new(Arc::clone(batch.field()));
            for (slot, row) in (0..).zip(rows.chunks(DIMS)) {
                batch.push(slot % 700, row);
                if slot % 700 == 699 || slot == 2499 {
                    batch.encode();
                    column.append(&batch, slot / 700 * 700);
                    batch = Column::new(Arc::clone(batch.field()));
                }
            }
            assert_eq!((column.len(), column.sealed.len(), column.factors.len()), (2500, 2, 452));
            let query: Vec<f32> = (0..DIMS).map(|i| (i as f32 * 0.7).sin()).collect();
            let binarizer = &column.field.binarizer;
            let width = bigrain_binarize::QueryWidth::DEFAULT;
            let query = binarizer.prepare_query(&query, width).unwrap();
            let is_out = |row: u32| row % 7 == 3;

            let mut found = Candidates::new(20, 2500);
            assert_eq!(column.scan(&query, is_out, &mut found), 2500);
            let found = found.into_sorted();
            let mut plain = Column::new(Arc::clone(&column.field));
            (0..).zip(rows.chunks(DIMS)).for_each(|(slot, row)| plain.push(slot, row));
            plain.encode();
            let mut expected = Candidates::new(20, 2500);
            plain.scan(&query, is_out, &mut expected);
            let expected = expected.into_sorted();
            // Bounds are rounded up to halves in blocks, so a few more may be left.
            assert!(found.len() >= expected.len() && found.len() <= expected.len() + 20);
            for candidate in expected {
                let same = |other: &&Candidate| Column::row_of(other) == candidate.offset;
                let other = found.iter().find(same).expect("it is in the column too");
                assert!(other.optimistic >= candidate.optimistic - 1e-5);
                assert!(other.optimistic <= candidate.optimistic + 1e-2);
            }
        }
    }
}

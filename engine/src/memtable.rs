//! Recent writes, in memory, searchable before they reach a segment.
//!
//! A memtable only grows: a newer version of a point takes a new slot and the old one is marked
//! dead. So slots given out stay valid, and a memtable that has been *frozen* for a flush can be
//! read without a lock while the flush writes it out. Payloads are not here; they are in the store
//! from the first write.

use std::collections::HashMap;
use std::mem::size_of;

use bigrain_binarize::{Binarizer, Factors};
use bigrain_index::CodeSlice;
use bigrain_types::{PointId, SeqNo};
use roaring::RoaringBitmap;

/// Validated points with their codes, ready to be committed and then appended.
#[derive(Debug)]
pub(crate) struct EncodedPoints {
    pub ids: Vec<PointId>,
    /// One row per point, of length one under cosine.
    pub rows: Vec<f32>,
    /// One plane per level, all points one after another.
    pub planes: Vec<Vec<u64>>,
    pub factors: Vec<Factors>,
}

impl EncodedPoints {
    /// Encodes rows that have passed their checks.
    pub fn encode(binarizer: &Binarizer, ids: Vec<PointId>, rows: Vec<f32>) -> Self {
        let words = ids.len() * binarizer.layout().words_per_plane();
        let mut planes = vec![Vec::with_capacity(words); binarizer.layout().levels().count()];
        let mut factors = Vec::with_capacity(ids.len());
        binarizer.encode_many(&rows, &mut planes, &mut factors);
        Self { ids, rows, planes, factors }
    }

    /// Returns the bytes of the vectors.
    pub fn size_bytes(&self) -> usize {
        size_of_val(&*self.rows)
    }

    /// Returns the row of the point at `index`.
    pub fn row(&self, index: usize) -> &[f32] {
        let dims = self.rows.len() / self.ids.len();
        &self.rows[index * dims..(index + 1) * dims]
    }
}

/// Recent writes of one collection.
#[derive(Clone, Debug)]
pub(crate) struct Memtable {
    dims: usize,
    words: usize,
    ids: Vec<PointId>,
    newest: SeqNo,
    rows: Vec<f32>,
    planes: Vec<Vec<u64>>,
    factors: Vec<Factors>,
    slots: HashMap<PointId, u32>,
    dead: RoaringBitmap,
    id_bytes: usize,
}

impl Memtable {
    /// Returns an empty memtable for the codes of `binarizer`.
    pub fn new(binarizer: &Binarizer) -> Self {
        Self {
            dims: binarizer.dims(),
            words: binarizer.layout().words_per_plane(),
            ids: Vec::new(),
            newest: SeqNo::default(),
            rows: Vec::new(),
            planes: vec![Vec::new(); binarizer.layout().levels().count()],
            factors: Vec::new(),
            slots: HashMap::new(),
            dead: RoaringBitmap::new(),
            id_bytes: 0,
        }
    }

    /// Adds the points of one write; an earlier version of the same point dies.
    pub fn append(&mut self, points: &EncodedPoints, seq: SeqNo) {
        for id in &points.ids {
            let slot = self.ids.len() as u32;
            if let Some(old) = self.slots.insert(id.clone(), slot) {
                self.dead.insert(old);
            }
            self.id_bytes += id.to_key().len();
            self.ids.push(id.clone());
        }
        self.newest = self.newest.max(seq);
        self.rows.extend_from_slice(&points.rows);
        for (plane, new) in self.planes.iter_mut().zip(&points.planes) {
            plane.extend_from_slice(new);
        }
        self.factors.extend_from_slice(&points.factors);
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

    /// Returns the newest write it holds.
    pub fn newest(&self) -> SeqNo {
        self.newest
    }

    /// Returns the dense vector in a slot.
    pub fn row(&self, slot: u32) -> &[f32] {
        let start = slot as usize * self.dims;
        &self.rows[start..start + self.dims]
    }

    /// Calls `with` on the codes of all slots.
    pub fn with_codes<T>(&self, with: impl FnOnce(&CodeSlice<'_>) -> T) -> T {
        let planes: Vec<&[u64]> = self.planes.iter().map(Vec::as_slice).collect();
        with(&CodeSlice { planes: &planes, words: self.words, factors: &self.factors })
    }

    /// Returns the bytes of codes and factors.
    pub fn code_bytes(&self) -> usize {
        let words: usize = self.planes.iter().map(Vec::len).sum();
        words * size_of::<u64>() + self.factors.len() * size_of::<Factors>()
    }

    /// Returns about how much memory the points take.
    pub fn memory_bytes(&self) -> usize {
        let per_slot = size_of::<PointId>() * 2 + size_of::<u32>() + 1;
        self.code_bytes()
            + self.rows.len() * size_of::<f32>()
            + self.ids.len() * per_slot
            + self.id_bytes * 2
    }
}

#[cfg(test)]
mod tests {
    use bigrain_types::{Levels, Metric};

    use super::*;

    fn points(binarizer: &Binarizer, ids: &[u64], value: f32) -> EncodedPoints {
        let rows = ids.iter().flat_map(|&id| [value, id as f32 + 1.0, 1.0]).collect();
        EncodedPoints::encode(binarizer, ids.iter().map(|&id| id.into()).collect(), rows)
    }

    #[test]
    fn a_newer_version_kills_the_older_one() {
        let binarizer = Binarizer::new_rotation(3, Levels::TWO, Metric::Dot, 1).unwrap();
        let mut table = Memtable::new(&binarizer);
        table.append(&points(&binarizer, &[1, 2], 0.0), SeqNo(1));
        table.append(&points(&binarizer, &[2], 5.0), SeqNo(2));
        assert_eq!(table.slot(&2.into()), Some(2));
        assert_eq!(table.row(2), [5.0, 3.0, 1.0]);
        assert_eq!(table.newest(), SeqNo(2));
        assert_eq!(table.dead().iter().collect::<Vec<_>>(), [1]);
        table.remove(&1.into());
        table.remove(&9.into());
        assert_eq!(table.dead().iter().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(table.slot(&1.into()), None);
        assert_eq!(table.len(), 3);
    }
}

//! The vectors of one field in memory, with their codes.

mod listed;

use std::mem::size_of;
use std::sync::Arc;

use bigrain_binarize::{Factors, QueryCode};
use bigrain_index::candidates::Offers;
use bigrain_index::candidates::list_scan::{ListScan, ListTerms};
use bigrain_index::codes::ResidentCodes;
use bigrain_index::{Candidate, Candidates, CodeSlice, scan};
use roaring::RoaringBitmap;

use self::listed::{Encoded, ListedCodes};
use crate::field::Field;
use crate::guide::Guide;

/// Rows whose codes are put into blocks together.
const SEALED_ROWS: usize = 1024;

/// Rows whose codes are put into lists together.
const LISTED_ROWS: usize = 8 * SEALED_ROWS;

/// The vectors of one field, row after row, for points that are known by their *slot*: a place in a
/// batch or in a memtable.
///
/// Slots rise from row to row; a slot without a row is a point without a vector in this field.
///
/// Codes come plane by plane. As soon as there are enough of them they are *sealed*, put into blocks as
/// those of a segment are, because a block is scanned several times as fast as its rows one by one. And as soon as
/// there are eight times as many they are *listed*, put into blocks list by list, if the field has a guide:
///
/// ```text
///  rows    0 ..      8192 ..    16384 ..     17408 ..   18432 ..
///  blocks | listed   | listed   | sealed     | sealed   |
///  codes                        | planes, factors, lists            |
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Column {
    field: Arc<Field>,
    slots: Vec<u32>,
    /// Dense rows, one after another, of length one under cosine.
    rows: Vec<f32>,
    listed: Vec<ListedCodes>,
    /// The first rows behind the listed ones.
    sealed: Vec<ResidentCodes>,
    /// One plane per level: the codes behind the listed ones, one after another.
    planes: Vec<Vec<u64>>,
    factors: Vec<Factors>,
    /// The lists of the same rows, and whose they are; without a guide there are none.
    lists: Vec<u8>,
    guide: Option<Arc<Guide>>,
}

/// How much of a column a search looks through.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ColumnReach {
    /// Every code.
    All,
    /// As many as it takes to find that share of the nearest rows.
    Near { target_recall: f32, limit: usize },
}

impl Column {
    /// Returns an empty column.
    pub fn new(field: Arc<Field>) -> Self {
        let planes = vec![Vec::new(); field.binarizer.layout().levels().count()];
        Self {
            field,
            slots: Vec::new(),
            rows: Vec::new(),
            listed: Vec::new(),
            sealed: Vec::new(),
            planes,
            factors: Vec::new(),
            lists: Vec::new(),
            guide: None,
        }
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

    /// Encodes the rows, none of which has a code yet, and finds their lists if the field has a guide.
    pub fn encode(&mut self) {
        debug_assert!(self.factors.is_empty() && self.listed.is_empty(), "encoded twice");
        let binarizer = &self.field.binarizer;
        let words = self.slots.len() * binarizer.layout().words_per_plane();
        self.planes.iter_mut().for_each(|plane| plane.reserve(words));
        self.factors.reserve(self.slots.len());
        binarizer.encode_many(&self.rows, &mut self.planes, &mut self.factors);
        if let Some(guide) = self.field.guide.load_full() {
            self.lists = guide.assign(&self.field, &self.rows);
            self.guide = Some(guide);
        }
    }

    /// Adds encoded rows whose slots count from `base` on.
    pub fn append(&mut self, other: &Self, base: u32) {
        self.slots.extend(other.slots.iter().map(|slot| base + slot));
        self.rows.extend_from_slice(&other.rows);
        for (plane, new) in self.planes.iter_mut().zip(&other.planes) {
            plane.extend_from_slice(new);
        }
        if self.factors.is_empty() {
            self.guide.clone_from(&other.guide);
        } else if !is_same(self.guide.as_ref(), other.guide.as_ref()) {
            // Rows that were encoded with two guides are in one list.
            self.guide = None;
        }
        self.factors.extend_from_slice(&other.factors);
        self.lists.extend_from_slice(&other.lists);
        while self.factors.len() >= LISTED_ROWS {
            self.list();
            // What is left are rows of this batch.
            self.guide.clone_from(&other.guide);
            let left = self.factors.len().min(other.lists.len());
            self.lists = other.lists[other.lists.len() - left..].to_vec();
        }
        self.seal();
    }

    /// Puts codes into blocks, list by list.
    fn list(&mut self) {
        let layout = *self.field.binarizer.layout();
        let words = LISTED_ROWS * layout.words_per_plane();
        let planes: Vec<&[u64]> = self.planes.iter().map(|plane| &plane[..words]).collect();
        let factors = &self.factors[..LISTED_ROWS];
        let encoded = Encoded { layout, planes: &planes, factors };
        self.listed.push(match &self.guide {
            Some(guide) => ListedCodes::guided(&encoded, guide, &self.lists[..LISTED_ROWS]),
            None => ListedCodes::unguided(&encoded),
        });
        self.sealed.clear();
        self.factors.drain(..LISTED_ROWS);
        self.planes.iter_mut().for_each(|plane| drop(plane.drain(..words)));
    }

    /// Puts codes into blocks, as many as there are enough of.
    fn seal(&mut self) {
        let layout = *self.field.binarizer.layout();
        let words = SEALED_ROWS * layout.words_per_plane();
        for part in self.sealed.len()..self.factors.len() / SEALED_ROWS {
            let planes: Vec<&[u64]> =
                self.planes.iter().map(|plane| &plane[part * words..][..words]).collect();
            let factors = &self.factors[part * SEALED_ROWS..][..SEALED_ROWS];
            self.sealed.push(ResidentCodes::of_rows(layout, &planes, factors));
        }
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

    /// Offers the codes of rows within `reach`, except those for which `is_out` is true; returns how many were
    /// scored. Which row a candidate is, [`Column::row_of`] says.
    pub fn scan(
        &self,
        query: &QueryCode,
        reach: ColumnReach,
        is_out: impl Fn(u32) -> bool,
        candidates: &mut Candidates,
    ) -> u64 {
        let behind = (self.listed.len() * LISTED_ROWS) as u32;
        let mut scanned = 0;
        if !self.listed.is_empty() || !self.sealed.is_empty() {
            let (blocks, terms) = (&mut ListScan::new(query), &ListTerms::whole(query));
            scanned += self.scan_listed(query, reach, (blocks, terms), &is_out, candidates);
            for (part, codes) in (0..).zip(&self.sealed) {
                candidates.begin_source(self.listed.len() as u32 + part);
                let first = behind + part * SEALED_ROWS as u32;
                let offers = &mut Offers::new(candidates, |offset| is_out(first + offset));
                blocks.scan(codes, terms, 0..SEALED_ROWS as u32, offers);
            }
        }
        candidates.begin_source((self.listed.len() + self.sealed.len()) as u32);
        let sealed = self.sealed.len() * SEALED_ROWS;
        let words = self.field.binarizer.layout().words_per_plane();
        let planes: Vec<&[u64]> =
            self.planes.iter().map(|plane| &plane[sealed * words..]).collect();
        let codes = CodeSlice { planes: &planes, words, factors: &self.factors[sealed..] };
        let first = behind + sealed as u32;
        scan(&codes, query, |offset: u32| is_out(first + offset), candidates);
        scanned + self.factors.len() as u64
    }

    fn scan_listed(
        &self,
        query: &QueryCode,
        reach: ColumnReach,
        (blocks, terms): (&mut ListScan, &ListTerms),
        is_out: impl Fn(u32) -> bool,
        candidates: &mut Candidates,
    ) -> u64 {
        let mut scanned = 0;
        // Nearly always all are of one guide.
        let mut nearest: Option<(&Arc<Guide>, Vec<u32>)> = None;
        for (part, listed) in (0..).zip(&self.listed) {
            candidates.begin_source(part);
            let is_out = |row: u32| is_out(part * LISTED_ROWS as u32 + row);
            let scan = (&mut *blocks, terms);
            let (Some(guide), ColumnReach::Near { target_recall, limit }) = (&listed.guide, reach)
            else {
                scanned += listed.scan_all(scan, is_out, candidates);
                continue;
            };
            let lists = match nearest.take() {
                Some((known, lists)) if Arc::ptr_eq(known, guide) => lists,
                _ => guide.nearest(query, scan.0),
            };
            let wanted = (guide.share(target_recall, limit) * LISTED_ROWS as f64).ceil() as u64;
            scanned += listed.scan_lists(scan, (&lists, wanted), is_out, candidates);
            nearest = Some((guide, lists));
        }
        scanned
    }

    /// Returns the row of a candidate of [`Column::scan`].
    pub fn row_of(&self, candidate: &Candidate) -> u32 {
        let (source, listed) = (candidate.source as usize, self.listed.len());
        match self.listed.get(source) {
            Some(codes) => (source * LISTED_ROWS) as u32 + codes.row(candidate.offset),
            None => {
                let first = listed * LISTED_ROWS + (source - listed) * SEALED_ROWS;
                first as u32 + candidate.offset
            }
        }
    }

    /// Returns the bytes of codes and factors.
    pub fn code_bytes(&self) -> usize {
        let words: usize = self.planes.iter().map(Vec::len).sum();
        let listed: usize = self.listed.iter().map(ListedCodes::memory_bytes).sum();
        let sealed: usize = self.sealed.iter().map(ResidentCodes::memory_bytes).sum();
        let factors = self.factors.len() * size_of::<Factors>() + self.lists.len();
        listed + sealed + words * size_of::<u64>() + factors
    }

    /// Returns about how much memory the rows take.
    pub fn memory_bytes(&self) -> usize {
        let guide = self.guide.as_ref().map_or(0, |guide| guide.memory_bytes());
        let rows = self.rows.len() * size_of::<f32>() + self.slots.len() * size_of::<u32>();
        guide + self.code_bytes() + rows
    }
}

fn is_same(a: Option<&Arc<Guide>>, b: Option<&Arc<Guide>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (a, b) => a.is_none() && b.is_none(),
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

    /// Returns rows of a field of so many dimensions, and a column of them, appended in batches.
    fn filled(
        field: &Arc<Field>,
        rows: usize,
        guides: [Option<&Arc<Guide>>; 2],
    ) -> (Vec<f32>, Column) {
        let dims = field.config.dims;
        let value = |i: usize| ((i * 2_654_435_761) % 1009) as f32 / 504.0 - 1.0;
        let vectors: Vec<f32> = (0..rows * dims).map(value).collect();
        let mut column = Column::new(Arc::clone(field));
        for (number, vectors) in vectors.chunks(700 * dims).enumerate() {
            field.guide.store(guides[number % 2].cloned());
            let mut batch = Column::new(Arc::clone(field));
            (0..).zip(vectors.chunks(dims)).for_each(|(slot, row)| batch.push(slot, row));
            batch.encode();
            column.append(&batch, number as u32 * 700);
        }
        (vectors, column)
    }

    fn guide(field: &Field, lists: usize) -> Arc<Guide> {
        let dims = field.binarizer.layout().dims();
        let centroids = (0..lists * dims).map(|i| ((i * 48_271) % 997) as f32 / 498.0 - 1.0);
        let none = (bigrain_index::lists::Calibration::default(), 8);
        Arc::new(Guide::new(field, bigrain_types::SegmentId(1), centroids.collect(), none).unwrap())
    }

    fn found(column: &Column, query: &[f32], reach: ColumnReach) -> (Vec<u32>, u64) {
        let width = bigrain_binarize::QueryWidth::DEFAULT;
        let query = column.field.binarizer.prepare_query(query, width).unwrap();
        let mut candidates = Candidates::new(5, 40_000);
        let scanned = column.scan(&query, reach, |row| row % 5 == 1, &mut candidates);
        let candidates = candidates.into_sorted();
        let mut rows: Vec<u32> = candidates.iter().map(|at| column.row_of(at)).collect();
        rows.sort_unstable();
        (rows, scanned)
    }

    #[test]
    fn listed_codes_are_the_codes_of_their_rows_whichever_guides_they_were_listed_by() {
        const ROWS: usize = 20_000;
        let schema = Schema::new(CollectionConfig::new(24, Metric::L2)).unwrap();
        let field = Arc::new(Field::new(&schema.fields[0]).unwrap());
        let [one, other] = [16, 40].map(|lists| guide(&field, lists));
        let query: Vec<f32> = (0..24).map(|i| (i as f32 * 0.7).sin()).collect();
        let (_, plain) = filled(&field, ROWS, [None, None]);
        let expected = found(&plain, &query, ColumnReach::All);
        for guides in [[Some(&one), Some(&one)], [Some(&one), Some(&other)], [None, Some(&other)]] {
            let (_, column) = filled(&field, ROWS, guides);
            assert_eq!((column.len(), column.listed.len()), (ROWS, 2));
            assert_eq!(found(&column, &query, ColumnReach::All), expected);
            // It was never measured what the guide's segment needs: every list.
            let near = ColumnReach::Near { target_recall: 0.9, limit: 5 };
            assert_eq!(found(&column, &query, near), expected);
        }
        let (rows, column) = filled(&field, ROWS, [Some(&one), Some(&one)]);
        let lists = one.assign(&field, &rows);
        for (part, listed) in column.listed.iter().enumerate() {
            for place in 0..LISTED_ROWS as u32 {
                let candidate = Candidate { source: part as u32, offset: place, optimistic: 0.0 };
                let row = column.row_of(&candidate) as usize;
                assert_eq!(listed.list_of(place), u32::from(lists[row]));
            }
        }
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
            assert_eq!((column.len(), column.sealed.len(), column.factors.len()), (2500, 2, 2500));
            let query: Vec<f32> = (0..DIMS).map(|i| (i as f32 * 0.7).sin()).collect();
            let binarizer = &column.field.binarizer;
            let width = bigrain_binarize::QueryWidth::DEFAULT;
            let query = binarizer.prepare_query(&query, width).unwrap();
            let is_out = |row: u32| row % 7 == 3;

            let mut found = Candidates::new(20, 2500);
            assert_eq!(column.scan(&query, ColumnReach::All, is_out, &mut found), 2500);
            let found = found.into_sorted();
            let mut plain = Column::new(Arc::clone(&column.field));
            (0..).zip(rows.chunks(DIMS)).for_each(|(slot, row)| plain.push(slot, row));
            plain.encode();
            let mut expected = Candidates::new(20, 2500);
            plain.scan(&query, ColumnReach::All, is_out, &mut expected);
            let expected = expected.into_sorted();
            // Bounds are rounded up to halves in blocks, so a few more may be left.
            assert!(found.len() >= expected.len() && found.len() <= expected.len() + 20);
            for candidate in expected {
                let same = |other: &&Candidate| column.row_of(other) == candidate.offset;
                let other = found.iter().find(same).expect("it is in the column too");
                assert!(other.optimistic >= candidate.optimistic - 1e-5);
                assert!(other.optimistic <= candidate.optimistic + 1e-2);
            }
        }
    }
}

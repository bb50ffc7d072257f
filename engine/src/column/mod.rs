//! The vectors of one field in memory, with their codes.

mod chosen;
mod listed;
mod plain;
mod rows;

use std::mem::size_of;
use std::sync::Arc;

use bigrain_binarize::QueryCode;
use bigrain_index::candidates::list_scan::ListScan;
use bigrain_index::codes::signs_first_pays;
use bigrain_index::{Candidate, Candidates};
use roaring::RoaringBitmap;

use self::chosen::{Chosen, is_same};
use self::listed::ListedCodes;
use self::plain::PlainCodes;
use self::rows::DenseRows;
use crate::field::Field;
use crate::guide::Guide;

/// Rows whose codes are put into blocks together.
const SMALL_PART: usize = 1024;

/// Rows whose codes are put into blocks anew, together.
const LARGE_PART: usize = 8 * SMALL_PART;

/// The vectors of one field, row after row, for points that are known by their *slot*: a place in a
/// batch or in a memtable.
///
/// Slots rise from row to row; a slot without a row is a point without a vector in this field.
///
/// If the field has a guide, each code is about the centroid of its list. Codes come row after row, where a search
/// picks those of its lists. As soon as there are enough of them they are put into blocks, list by list, as those of a segment are,
/// because a block is scanned several times as fast as its rows one by one; and as soon as there are eight times as
/// many they are put into blocks anew, so that there are few blocks with a part of a list in them:
///
/// ```text
///  rows    0 ..     8192 ..   16384 ..  17408 .. 18432 ..
///  parts  | large   | large   | small   | small  |
///  plain                      | recent           | newest
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Column {
    field: Arc<Field>,
    slots: Vec<u32>,
    /// Of length one under cosine.
    rows: DenseRows,
    /// The first rows, in blocks.
    parts: Vec<ListedCodes>,
    /// How many of these, the last ones, are small.
    small_parts: usize,
    /// The codes in small parts.
    recent: PlainCodes,
    /// The codes behind the parts.
    newest: PlainCodes,
}

/// Codes of a column in blocks, to be put there.
pub(crate) struct Packed {
    part: ListedCodes,
    /// Whether those of the small parts are in it, too.
    is_large: bool,
    /// The codes in small parts from then on.
    recent: PlainCodes,
}

/// What a column no longer needs.
pub(crate) struct Replaced {
    _parts: Vec<ListedCodes>,
    _codes: [PlainCodes; 2],
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
        let none = PlainCodes::new(&field, None);
        Self {
            slots: Vec::new(),
            rows: DenseRows::new(field.config.dims),
            field,
            parts: Vec::new(),
            small_parts: 0,
            recent: none.clone(),
            newest: none,
        }
    }

    /// Makes room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.slots.reserve(rows);
        self.rows.reserve(rows);
    }

    /// Adds the vector of a slot above all others, of length one under cosine; it has no code until
    /// [`Column::encode`].
    pub fn push(&mut self, slot: u32, vector: &[f32]) {
        debug_assert!(self.slots.last().is_none_or(|last| *last < slot), "slots do not rise");
        debug_assert_eq!(vector.len(), self.field.config.dims, "row of another dimension");
        self.slots.push(slot);
        self.rows.push(vector);
    }

    /// Encodes the rows, none of which has a code yet, in lists if the field has a guide.
    pub fn encode(&mut self) {
        debug_assert!(self.newest.is_empty() && self.parts.is_empty(), "encoded twice");
        let guide = self.field.guide.load_full();
        self.newest = PlainCodes::encode(&self.field, guide, &self.rows);
    }

    /// Encodes the rows anew, as another version of the field does.
    pub fn encode_as(&mut self, field: &Arc<Field>) {
        let rows = std::mem::replace(&mut self.rows, DenseRows::new(field.config.dims));
        let slots = std::mem::take(&mut self.slots);
        *self = Self { slots, rows, ..Self::new(Arc::clone(field)) };
        self.encode();
    }

    /// Moves encoded rows behind these; their slots count from `base` on.
    pub fn append(&mut self, other: &mut Self, base: u32) {
        if !is_same(self.newest.guide(), other.newest.guide()) {
            self.close(other.newest.guide());
        }
        self.slots.extend(other.slots.iter().map(|slot| base + slot));
        self.rows.append(&mut other.rows);
        self.newest.append(&other.newest);
    }

    /// Puts all codes into blocks, because those that follow are of another guide.
    fn close(&mut self, next: Option<&Arc<Guide>>) {
        if !self.newest.is_empty() {
            let packed = self.pack();
            drop(self.put(packed));
        }
        self.small_parts = 0;
        self.recent = PlainCodes::new(&self.field, next.cloned());
        self.newest = self.recent.clone();
    }

    /// Returns the newest codes in blocks, as soon as there are enough of them. It takes long, so that it is not done
    /// where the rows are added; what was packed is [`put`](Self::put) before more are.
    pub fn packed(&self) -> Option<Packed> {
        (self.newest.len() >= SMALL_PART).then(|| self.pack())
    }

    fn pack(&self) -> Packed {
        let mut recent = self.recent.clone();
        recent.append(&self.newest);
        if recent.len() < LARGE_PART {
            let part = ListedCodes::new(&self.newest, self.in_parts());
            return Packed { part, is_large: false, recent };
        }
        let first = self.in_parts() - self.recent.len() as u32;
        let part = ListedCodes::new(&recent, first);
        Packed {
            part,
            is_large: true,
            recent: PlainCodes::new(&self.field, recent.guide().cloned()),
        }
    }

    /// Takes over codes in blocks, those of all rows that were there; returns what they replace, which takes a while to
    /// be dropped.
    pub fn put(&mut self, Packed { part, is_large, recent }: Packed) -> Replaced {
        let none = PlainCodes::new(&self.field, self.newest.guide().cloned());
        let small = if is_large { std::mem::take(&mut self.small_parts) } else { 0 };
        let parts = self.parts.split_off(self.parts.len() - small);
        self.small_parts += usize::from(!is_large);
        self.parts.push(part);
        debug_assert_eq!(self.in_parts() as usize, self.len(), "rows were added meanwhile");
        let recent = std::mem::replace(&mut self.recent, recent);
        Replaced { _parts: parts, _codes: [recent, std::mem::replace(&mut self.newest, none)] }
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
        self.rows.row(row)
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
        if self.is_empty() {
            return 0;
        }
        let mut scanned = 0;
        let mut blocks = ListScan::new(query);
        // Nearly always all are of one guide.
        let mut chosen = None;
        for (source, part) in (0..).zip(&self.parts) {
            candidates.begin_source(source);
            let lists = self.choose(part.guide(), reach, (query, &mut blocks), &mut chosen);
            scanned += part.scan(&mut blocks, lists, &is_out, candidates);
        }
        candidates.begin_source(self.parts.len() as u32);
        if !self.newest.is_empty() {
            let guide = self.newest.guide();
            let lists = self.choose(guide, reach, (query, &mut blocks), &mut chosen);
            let first = self.in_parts();
            scanned += self.newest.scan(query, lists, |row| is_out(first + row), candidates);
        }
        scanned
    }

    /// Chooses lists of a guide, if those already chosen are not of it.
    fn choose<'c>(
        &self,
        guide: Option<&Arc<Guide>>,
        reach: ColumnReach,
        query: (&QueryCode, &mut ListScan),
        chosen: &'c mut Option<Chosen>,
    ) -> &'c Chosen {
        if chosen.as_ref().is_some_and(|chosen| !chosen.is_of(guide)) {
            *chosen = None;
        }
        chosen.get_or_insert_with(|| {
            let mut rows = vec![0; guide.map_or(1, |guide| guide.lists())];
            let parts = self.parts.iter().filter(|part| is_same(part.guide(), guide));
            parts.for_each(|part| part.add_rows(&mut rows));
            if is_same(self.newest.guide(), guide) {
                self.newest.add_rows(&mut rows);
            }
            let signs_first = signs_first_pays(self.field.binarizer.layout());
            Chosen::new(guide, &rows, reach, query, signs_first)
        })
    }

    /// Returns how many rows are in parts.
    fn in_parts(&self) -> u32 {
        self.parts.last().map_or(0, ListedCodes::end)
    }

    /// Returns the row of a candidate of [`Column::scan`].
    pub fn row_of(&self, candidate: &Candidate) -> u32 {
        match self.parts.get(candidate.source as usize) {
            Some(part) => part.row(candidate.offset),
            None => self.in_parts() + candidate.offset,
        }
    }

    /// Returns the bytes of codes and factors.
    pub fn code_bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(ListedCodes::memory_bytes).sum();
        parts + self.recent.memory_bytes() + self.newest.memory_bytes()
    }

    /// Returns about how much memory the rows take.
    pub fn memory_bytes(&self) -> usize {
        let guide = self.newest.guide().map_or(0, |guide| guide.memory_bytes());
        let slots = self.slots.len() * size_of::<u32>();
        guide + self.code_bytes() + self.rows.memory_bytes() + slots
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
        column.append(&mut batch.clone(), 0);
        column.append(&mut batch, 10);
        assert_eq!(column.slots(), [0, 1, 3, 10, 11, 13]);
        assert_eq!((column.len(), column.slot(4)), (6, 11));
        assert_eq!(column.vector(1).unwrap(), [1.0, 1.0]);
        assert_eq!(column.vector(13).unwrap(), [3.0, 1.0]);
        for absent in [2, 4, 9, 12, 14] {
            assert_eq!(column.vector(absent), None);
        }
        assert_eq!(column.count_in(&RoaringBitmap::from_iter([1, 2, 13, 99])), 2);
    }

    fn field(dims: usize, levels: u8, metric: Metric) -> Arc<Field> {
        let levels = bigrain_types::Levels::new(levels).unwrap();
        let schema = Schema::new(CollectionConfig::new(dims, metric).with_levels(levels)).unwrap();
        Arc::new(Field::new(&schema.fields[0]).unwrap())
    }

    /// Returns rows that look random.
    fn rows(field: &Field, count: usize) -> Vec<f32> {
        let value = |i: usize| ((i * 2_654_435_761) % 1009) as f32 / 504.0 - 1.0;
        (0..count * field.config.dims).map(value).collect()
    }

    /// Returns encoded rows, as a write has them.
    fn batch(field: &Arc<Field>, rows: &[f32]) -> Column {
        let mut batch = Column::new(Arc::clone(field));
        let rows = rows.chunks(field.config.dims);
        (0..).zip(rows).for_each(|(slot, row)| batch.push(slot, row));
        batch.encode();
        batch
    }

    /// Returns a column of rows that were written by 700, in turn with each of two guides.
    fn filled(field: &Arc<Field>, rows: &[f32], guides: [Option<&Arc<Guide>>; 2]) -> Column {
        let mut column = Column::new(Arc::clone(field));
        for (number, rows) in rows.chunks(700 * field.config.dims).enumerate() {
            field.guide.store(guides[number / 5 % 2].cloned());
            column.append(&mut batch(field, rows), number as u32 * 700);
            if let Some(packed) = column.packed() {
                drop(column.put(packed));
            }
        }
        column
    }

    fn guide(field: &Field, lists: usize) -> Arc<Guide> {
        let dims = field.binarizer.layout().dims();
        let centroids = (0..lists * dims).map(|i| ((i * 48_271) % 997) as f32 / 498.0 - 1.0);
        let none = (bigrain_index::lists::Calibration::default(), 8);
        Arc::new(Guide::new(field, bigrain_types::SegmentId(1), centroids.collect(), none).unwrap())
    }

    /// Returns candidates without every fifth row, each with its row, and how many codes were scored.
    fn found(column: &Column, query: &[f32], reach: ColumnReach) -> (Vec<(u32, f32)>, u64) {
        let width = bigrain_binarize::QueryWidth::DEFAULT;
        let query = column.field.binarizer.prepare_query(query, width).unwrap();
        let mut candidates = Candidates::new(20, 40_000);
        let scanned = column.scan(&query, reach, |row| row % 5 == 1, &mut candidates);
        let candidates = candidates.into_sorted();
        (candidates.iter().map(|at| (column.row_of(at), at.optimistic)).collect(), scanned)
    }

    fn query(dims: usize) -> Vec<f32> {
        (0..dims).map(|i| (i as f32 * 0.7).sin()).collect()
    }

    #[test]
    fn nearest_rows_are_candidates_whichever_guides_they_were_written_with() {
        const ROWS: usize = 19_800;
        let field = field(24, 2, Metric::L2);
        let [one, other] = [16, 40].map(|lists| guide(&field, lists));
        let (rows, query) = (rows(&field, ROWS), query(24));
        let similarity = |row: &u32| {
            let row = &rows[*row as usize * 24..][..24];
            -row.iter().zip(&query).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
        };
        let mut nearest: Vec<u32> = (0..ROWS as u32).filter(|row| row % 5 != 1).collect();
        nearest.sort_by(|a, b| similarity(b).total_cmp(&similarity(a)));
        let all = [None, Some(&one), Some(&other)];
        for guides in [[all[0]; 2], [all[1]; 2], [all[1], all[2]], [all[0], all[2]]] {
            let column = filled(&field, &rows, guides);
            assert!(column.parts.len() > 2 && !column.newest.is_empty());
            // It was never measured what the guide's segment needs: every list.
            let near = ColumnReach::Near { target_recall: 0.9, limit: 5 };
            for reach in [ColumnReach::All, near] {
                let (found, scanned) = found(&column, &query, reach);
                assert_eq!(scanned, ROWS as u64);
                let is_found = |row: &&u32| found.iter().any(|(other, _)| other == *row);
                assert_eq!(nearest[..20].iter().filter(is_found).count(), 20);
                assert!(found.iter().all(|(row, _)| row % 5 != 1));
            }
        }
    }

    #[test]
    fn rows_lie_in_the_list_of_the_nearest_centroid() {
        let field = field(24, 1, Metric::Dot);
        let guide = guide(&field, 16);
        let rows = rows(&field, 10_000);
        let column = filled(&field, &rows, [Some(&guide); 2]);
        let (mut nearest, mut rotated) = (guide.nearest_to_rows(), vec![0.0; 64]);
        let mut expected = vec![0; 16];
        for (row, vector) in (0..).zip(rows.chunks(24)) {
            field.binarizer.rotate(vector, &mut rotated);
            let list = nearest.of(&rotated);
            expected[list as usize] += 1;
            let of_part = column.parts.iter().find_map(|part| part.list_of(row));
            assert!(of_part.is_none_or(|of_part| of_part == list), "row {row}");
            assert_eq!(of_part.is_none(), row >= column.in_parts());
        }
        let mut counted = vec![0; 16];
        column.parts.iter().for_each(|part| part.add_rows(&mut counted));
        column.newest.add_rows(&mut counted);
        assert_eq!(counted, expected);
    }

    #[test]
    fn codes_in_blocks_find_what_codes_row_by_row_find() {
        for (dims, levels) in [(40, 1), (40, 2), (40, 4), (300, 1), (300, 2), (300, 3)] {
            let field = field(dims, levels, Metric::Cosine);
            let (rows, query) = (rows(&field, 2300), query(dims));
            for guide in [None, Some(guide(&field, 16))] {
                let column = filled(&field, &rows, [guide.as_ref(); 2]);
                assert!(!column.parts.is_empty() && !column.newest.is_empty());
                let (in_blocks, _) = found(&column, &query, ColumnReach::All);
                let plain = batch(&field, &rows);
                let (expected, scanned) = found(&plain, &query, ColumnReach::All);
                assert_eq!((scanned, plain.parts.len()), (2300, 0));
                // Bounds are rounded up to halves in blocks, and those of signs are others.
                for (row, optimistic) in expected {
                    let same = |(other, _): &&(u32, f32)| *other == row;
                    let Some((_, other)) = in_blocks.iter().find(same) else {
                        assert!(dims > 256 && levels > 1, "row {row} is missing");
                        continue;
                    };
                    assert!(
                        (other - optimistic).abs() <= 1e-2 + 1e-3 * optimistic,
                        "row {row}: {other}, {optimistic}"
                    );
                }
            }
        }
    }
}

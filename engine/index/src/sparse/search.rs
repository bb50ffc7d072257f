//! Finding the rows of the largest dot products, exactly.
//!
//! Term at a time within windows of rows: the sums of one window fit a core's nearest cache, and each
//! list of the query is walked once, from window to window.
//!
//! Once as many rows were found as are wanted, lists need not be walked that even together cannot lift
//! a row above the worst of these (MaxScore: Turtle and Flood, 1995). They are *optional*: a row that
//! the other lists show is scored by its own components, if what it has and what the optional lists
//! could add at most is enough. Where that is true of too many rows of a window, the window is added up
//! from all lists after all.
//!
//! Products are added in the order of dimensions, whichever way a row is scored, so a score is the same
//! to the last bit as [`SparseView::dot`], and skipping changes no result: what is skipped stays below
//! the worst result by more than all rounding together.

use bigrain_kernels::Scored;
use bigrain_types::{Cancel, SparseView};

use super::best_rows::BestRows;
use super::index::{InvertedList, SparseIndex, ValueBounds};
use super::window::Window;
use crate::IndexError;

/// Scoring a row by its own components takes about as long as adding up so many components of lists.
const ROW_COST: usize = 128;

/// One search of one source: the lists of the query's dimensions.
#[derive(Debug)]
pub struct SparseSearch<'a, I> {
    index: &'a I,
    query: SparseView<'a>,
    /// In the order of dimensions.
    lists: Vec<QueryList<'a>>,
}

/// What a search found, and what it took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseFound {
    /// The best rows, best first, and all that score as much as the last that is wanted; equal ones in
    /// the order of their offsets.
    pub rows: Vec<Scored>,
    /// Components of lists that were added up.
    pub components: u64,
    /// Rows that were scored by their own components.
    pub scored: u64,
}

/// A list and what the query multiplies it with.
#[derive(Clone, Copy, Debug)]
struct QueryList<'a> {
    list: InvertedList<'a>,
    weight: f32,
}

impl<'a, I: SparseIndex> SparseSearch<'a, I> {
    /// Looks up the lists of a query's dimensions.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block fails its check or a list contradicts itself.
    pub fn new(index: &'a I, query: SparseView<'a>) -> Result<Self, IndexError> {
        let mut lists = Vec::with_capacity(query.len());
        for (dimension, weight) in query.iter() {
            lists.extend(index.list(dimension)?.map(|list| QueryList { list, weight }));
        }
        Ok(Self { index, query, lists })
    }

    /// Returns how many dimensions of the query any row uses.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.lists.len()
    }

    /// Returns how many components the lists have.
    #[must_use]
    pub fn components(&self) -> u64 {
        self.lists.iter().map(|list| list.list.offsets.len() as u64).sum()
    }

    /// Whether the lists are more work than scoring so many rows by their own components.
    #[must_use]
    pub fn is_more_work_than_rows(&self, rows: u64) -> bool {
        self.components() > rows.saturating_mul(ROW_COST as u64)
    }

    /// Returns the `limit` rows of largest dot product with the query among those that share a dimension
    /// with it, that `skip` lets pass, and that score `floor` at least.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block fails its check, a row contradicts itself, or the caller gave up.
    pub fn best(
        &self,
        limit: usize,
        floor: f32,
        skip: impl Fn(u32) -> bool,
        cancel: &Cancel,
    ) -> Result<SparseFound, IndexError> {
        let mut best = BestRows::new(limit, floor);
        let mut walk = Walk::new(&self.lists);
        let mut window = Window::new();
        let mut found = SparseFound::default();
        loop {
            walk.raise(best.threshold());
            let Some(first) = walk.next_offset() else { break };
            cancel.check().map_err(bigrain_storage::ReadError::Cancelled)?;
            window.begin_at(first);
            found.components += walk.add_needed(&mut window);
            if walk.optional > 0 {
                let within_reach = |best: &BestRows, sum: f32| walk.reach(sum) >= best.threshold();
                let promising = window.rows().filter(|&(_, sum)| within_reach(&best, sum)).count();
                if promising * ROW_COST <= walk.skipped {
                    for (row, sum) in window.rows() {
                        if within_reach(&best, sum) && !skip(row) {
                            found.scored += 1;
                            self.offer(row, &mut best)?;
                        }
                    }
                    continue;
                }
                window.begin_at(first);
                found.components += walk.add_all(&mut window);
            }
            for (row, sum) in window.rows() {
                if sum >= best.threshold() && !skip(row) {
                    best.push(sum, row);
                }
            }
        }
        found.rows = best.into_sorted();
        Ok(found)
    }

    /// Returns the `limit` best of some rows that share a dimension with the query and score `floor` at
    /// least: each is scored by its own components.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block fails its check, a row contradicts itself, or the caller gave up.
    pub fn best_of(
        &self,
        rows: impl IntoIterator<Item = u32>,
        limit: usize,
        floor: f32,
        cancel: &Cancel,
    ) -> Result<SparseFound, IndexError> {
        let mut best = BestRows::new(limit, floor);
        let mut found = SparseFound::default();
        for row in rows {
            if found.scored.is_multiple_of(1024) {
                cancel.check().map_err(bigrain_storage::ReadError::Cancelled)?;
            }
            found.scored += 1;
            self.offer(row, &mut best)?;
        }
        found.rows = best.into_sorted();
        Ok(found)
    }

    /// Scores a row by its own components.
    fn offer(&self, row: u32, best: &mut BestRows) -> Result<(), IndexError> {
        let score = self.index.row(row)?.and_then(|vector| vector.dot(self.query));
        if let Some(score) = score {
            best.push(score, row);
        }
        Ok(())
    }
}

/// How far the lists of a query have been walked.
struct Walk<'a> {
    /// In the order of dimensions.
    cursors: Vec<Cursor<'a>>,
    /// Places of cursors, from the one that adds least to the one that adds most.
    by_most: Vec<usize>,
    /// How many of these are optional, and what they add at most.
    optional: usize,
    optional_most: f64,
    /// What all rounding together can amount to.
    slack: f64,
    /// Components of optional lists in the last window.
    skipped: usize,
}

struct Cursor<'a> {
    list: InvertedList<'a>,
    weight: f32,
    /// What the list adds to a row at most; 0 is what it adds to one that is not in it.
    most: f64,
    is_optional: bool,
    /// The components in the last window.
    from: usize,
    to: usize,
}

impl<'a> Walk<'a> {
    fn new(lists: &[QueryList<'a>]) -> Self {
        let mut magnitudes = 0.0;
        let mut cursor = |&QueryList { list, weight }: &QueryList<'a>| {
            let ValueBounds { min, max } = list.bounds;
            let ends = [f64::from(weight) * f64::from(min), f64::from(weight) * f64::from(max)];
            magnitudes += ends[0].abs().max(ends[1].abs());
            let most = ends[0].max(ends[1]).max(0.0);
            Cursor { list, weight, most, is_optional: false, from: 0, to: 0 }
        };
        let cursors: Vec<Cursor<'a>> = lists.iter().map(&mut cursor).collect();
        let mut by_most: Vec<usize> = (0..cursors.len()).collect();
        by_most.sort_by(|&a, &b| cursors[a].most.total_cmp(&cursors[b].most));
        // A sum of n products is off by n units in the last place of the sum of their magnitudes at most;
        // two such sums are compared.
        let slack = 4.0 * cursors.len() as f64 * f64::from(f32::EPSILON) * magnitudes;
        Self { cursors, by_most, optional: 0, optional_most: 0.0, slack, skipped: 0 }
    }

    /// Takes note of what a row must score, which only rises.
    fn raise(&mut self, threshold: f32) {
        while let Some(&next) = self.by_most.get(self.optional) {
            let cursor = &mut self.cursors[next];
            let most = self.optional_most + cursor.most;
            // Nothing is below minus infinity, and NaN is below nothing.
            let is_below = most + self.slack < f64::from(threshold);
            if !is_below {
                break;
            }
            cursor.is_optional = true;
            self.optional_most = most;
            self.optional += 1;
        }
    }

    /// Returns the first row that a list shows which is not optional.
    fn next_offset(&self) -> Option<u32> {
        let needed = self.cursors.iter().filter(|cursor| !cursor.is_optional);
        needed.filter_map(|cursor| cursor.list.offsets.get(cursor.to).copied()).min()
    }

    /// Returns what a row with a sum over the needed lists could score at most.
    fn reach(&self, sum: f32) -> f32 {
        (f64::from(sum) + self.optional_most + self.slack) as f32
    }

    /// Adds the needed lists, and finds where the optional ones meet the window; returns how many
    /// components were added.
    fn add_needed(&mut self, window: &mut Window) -> u64 {
        let (mut added, mut skipped) = (0, 0);
        for cursor in &mut self.cursors {
            cursor.enter(window);
            if cursor.is_optional {
                skipped += cursor.to - cursor.from;
            } else {
                added += cursor.add(window);
            }
        }
        self.skipped = skipped;
        added
    }

    /// Adds all lists to a window that was entered before.
    fn add_all(&self, window: &mut Window) -> u64 {
        self.cursors.iter().map(|cursor| cursor.add(window)).sum()
    }
}

impl Cursor<'_> {
    /// Goes to the components in a window behind the last one.
    fn enter(&mut self, window: &Window) {
        let left = &self.list.offsets[self.to..];
        self.from = self.to + left.partition_point(|&offset| offset < window.start());
        self.to = self.from + window.count_of(&self.list.offsets[self.from..]);
    }

    fn add(&self, window: &mut Window) -> u64 {
        let range = self.from..self.to;
        window.add(&self.list.offsets[range.clone()], &self.list.values[range], self.weight);
        (self.to - self.from) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bigrain_storage::RamDirectory;
    use bigrain_types::{Offset, SparseVector};
    use proptest::prelude::*;

    use super::super::window::WINDOW;
    use super::super::{SparseReader, SparseRows, SparseSource, SparseTable, write};
    use super::*;

    struct Rows(Vec<Option<SparseVector>>);

    impl SparseSource for Rows {
        fn rows(&self) -> usize {
            self.0.len()
        }
        fn row(&self, offset: usize) -> Result<Option<SparseView<'_>>, IndexError> {
            Ok(self.0[offset].as_ref().map(SparseVector::view))
        }
    }

    impl Rows {
        fn stored(&self) -> SparseReader {
            let directory = RamDirectory::new();
            write(&directory, Path::new("s"), self).unwrap();
            SparseReader::open(&directory, Path::new("s")).unwrap()
        }

        fn in_memory(&self) -> SparseTable {
            let mut table = SparseTable::default();
            let mut rows = SparseRows::default();
            // In two parts, as writes come.
            let half = self.0.len() / 2;
            for (at, row) in self.0.iter().enumerate() {
                if at == half {
                    table.append(&std::mem::take(&mut rows), 0);
                }
                let base = if at < half { 0 } else { half };
                row.iter().for_each(|row| rows.push((at - base) as u32, row.view()));
            }
            table.append(&rows, if self.0.is_empty() { 0 } else { half as u32 });
            table
        }

        /// The best `limit` rows and all that score as much as the last of these.
        fn best(&self, query: &SparseVector, limit: usize, floor: f32) -> Vec<Scored> {
            let rows = (0..).zip(&self.0).filter(|(offset, _)| !is_skipped(*offset));
            let scored = |(offset, row): (u32, &Option<SparseVector>)| {
                let score = row.as_ref()?.dot(query).filter(|score| *score >= floor)?;
                Some(Scored { score, offset })
            };
            let mut scored: Vec<Scored> = rows.filter_map(scored).collect();
            scored.sort_by(|a, b| b.score.total_cmp(&a.score));
            let last = limit.checked_sub(1).and_then(|at| scored.get(at)).copied();
            match last {
                Some(last) => scored.retain(|row| row.score >= last.score),
                None if limit == 0 => scored.clear(),
                None => {}
            }
            scored
        }
    }

    fn is_skipped(row: u32) -> bool {
        row % 5 == 3
    }

    fn vectors(count: usize, dims: u32) -> impl Strategy<Value = Vec<Option<SparseVector>>> {
        // Few different values, so that many rows score the same.
        let value = prop_oneof![-2.0_f32..2.0, (-3_i32..4).prop_map(|value| value as f32)];
        let vector = prop::collection::btree_map(0..dims, value, 0..6).prop_map(|map| {
            let (dimensions, values) = map.into_iter().unzip();
            SparseVector::new(dimensions, values).unwrap()
        });
        prop::collection::vec(prop::option::of(vector), 0..count)
    }

    fn found(
        index: &impl SparseIndex,
        query: &SparseVector,
        limit: usize,
        floor: f32,
    ) -> SparseFound {
        let search = SparseSearch::new(index, query.view()).unwrap();
        search.best(limit, floor, is_skipped, &Cancel::new()).unwrap()
    }

    proptest! {
        #[test]
        fn the_largest_products_are_found_exactly(
            rows in vectors(200, 12), queries in vectors(4, 14), limit in 0_usize..20, floor in -3_i32..3,
        ) {
            let rows = Rows(rows);
            let (reader, table) = (rows.stored(), rows.in_memory());
            for query in queries.iter().flatten() {
                for floor in [f32::NEG_INFINITY, floor as f32] {
                    let expected = rows.best(query, limit, floor);
                    prop_assert_eq!(&found(&reader, query, limit, floor).rows, &expected);
                    prop_assert_eq!(&found(&table, query, limit, floor).rows, &expected);
                    let passing = (0..rows.0.len() as u32).filter(|&row| !is_skipped(row));
                    let search = SparseSearch::new(&reader, query.view()).unwrap();
                    let scored = search.best_of(passing, limit, floor, &Cancel::new()).unwrap();
                    prop_assert_eq!(&scored.rows, &expected);
                }
            }
            for (offset, row) in rows.0.iter().enumerate() {
                let row = row.as_ref().filter(|row| !row.is_empty()).map(SparseVector::view);
                prop_assert_eq!(reader.vector(Offset(offset as u32)).unwrap(), row);
                prop_assert_eq!(SparseIndex::row(&table, offset as u32).unwrap(), row);
            }
            prop_assert!(reader.vector(Offset(rows.0.len() as u32)).is_err());
        }
    }

    /// Rows as learned sparse encoders make them: a few rare dimensions of much weight, many frequent
    /// ones of little.
    fn skewed(count: u32) -> Rows {
        let mut state = 1_u64;
        let mut next = |end: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 33) % u64::from(end)) as u32
        };
        let mut row = || {
            let mut components: Vec<(u32, f32)> =
                (0..8).map(|_| (next(20), (1 + next(50)) as f32 / 100.0)).collect();
            components.extend((0..4).map(|_| (100 + next(2000), (1 + next(300)) as f32 / 100.0)));
            components.sort_unstable_by_key(|component| component.0);
            components.dedup_by_key(|component| component.0);
            let (dimensions, values) = components.into_iter().unzip();
            SparseVector::new(dimensions, values).ok()
        };
        Rows((0..count).map(|_| row()).collect())
    }

    #[test]
    fn lists_that_cannot_matter_are_passed_over_and_nothing_changes() {
        let rows = skewed(5 * WINDOW + 77);
        let (reader, table) = (rows.stored(), rows.in_memory());
        let (mut components, mut walked, mut scored) = (0, 0, 0);
        for number in 0..30_u32 {
            let dimensions: Vec<u32> =
                (0..10).chain([100 + number * 7, 900 + number, 1500 + number]).collect();
            let values = (0..13).map(|at| if at < 10 { 0.3 } else { 2.0 }).collect();
            let query = SparseVector::new(dimensions, values).unwrap();
            let expected = rows.best(&query, 10, f32::NEG_INFINITY);
            let from_file = found(&reader, &query, 10, f32::NEG_INFINITY);
            assert_eq!(from_file.rows, expected);
            assert_eq!(found(&table, &query, 10, f32::NEG_INFINITY), from_file);
            components += SparseSearch::new(&reader, query.view()).unwrap().components();
            walked += from_file.components;
            scored += from_file.scored;
        }
        assert!(walked < components / 2, "{walked} of {components}");
        assert!(scored > 0);
    }

    #[test]
    fn rows_of_many_windows_compete() {
        let row = |at: u32| SparseVector::new(vec![at % 3, 7], vec![(at % 1009) as f32, 1.0]).ok();
        let rows = Rows((0..3 * WINDOW + 5).map(row).collect());
        let query = SparseVector::new(vec![2, 7], vec![1.5, 0.5]).unwrap();
        let expected = rows.best(&query, 50, f32::NEG_INFINITY);
        assert_eq!(found(&rows.stored(), &query, 50, f32::NEG_INFINITY).rows, expected);
    }

    #[test]
    fn all_that_are_as_good_as_the_last_are_kept() {
        let row =
            |at: u32| SparseVector::new(vec![1], vec![if at == 900 { 2.0 } else { 1.0 }]).ok();
        let rows = Rows((0..1000).map(row).collect());
        let query = SparseVector::new(vec![1], vec![1.0]).unwrap();
        let found = found(&rows.stored(), &query, 2, f32::NEG_INFINITY).rows;
        assert_eq!((found.len(), found[0].offset, found[1].offset), (800, 900, 0));
    }

    #[test]
    fn a_cancelled_search_stops() {
        let rows = Rows(vec![SparseVector::new(vec![1], vec![1.0]).ok()]);
        let cancel = Cancel::new();
        cancel.cancel();
        let (reader, query) = (rows.stored(), rows.0[0].clone().unwrap());
        let search = SparseSearch::new(&reader, query.view()).unwrap();
        let error = search.best(1, f32::NEG_INFINITY, |_| false, &cancel).unwrap_err();
        assert!(error.is_cancelled());
        assert!(search.best_of([0], 1, f32::NEG_INFINITY, &cancel).unwrap_err().is_cancelled());
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        use bigrain_storage::{BlockFileWriter, FileKind};
        let mut one_row = [0; 24];
        one_row[0] = 1;
        for header in [[0xff_u8; 24], one_row] {
            let directory = RamDirectory::new();
            let path = Path::new("s");
            let mut file = BlockFileWriter::create(&directory, path, FileKind::Sparse).unwrap();
            file.append(&header).unwrap();
            file.finish().unwrap();
            assert!(SparseReader::open(&directory, path).unwrap_err().is_corruption());
        }
    }
}

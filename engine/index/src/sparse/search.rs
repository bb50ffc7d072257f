//! Finding the rows of the largest dot products, exactly.
//!
//! Term at a time within windows of rows: the sums of one window fit a core's nearest cache, and each
//! list of the query is walked once, from window to window. Products are added in the order of
//! dimensions, so a score is the same to the last bit as [`SparseVector::dot`].

use bigrain_kernels::{Scored, TopK};
use bigrain_types::{Cancel, SparseVector};

use super::reader::{InvertedList, SparseReader};
use crate::IndexError;

/// Rows whose sums are kept at a time: 32 KiB of them.
const WINDOW: u32 = 8192;

impl SparseReader {
    /// Returns the `limit` rows of largest dot product with `query`, largest first, among those that
    /// share a dimension with it and that `skip` lets pass; equal scores in the order of offsets.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block fails its check, a list contradicts itself, or the caller gave up.
    pub fn search(
        &self,
        query: &SparseVector,
        limit: usize,
        skip: impl Fn(u32) -> bool,
        cancel: &Cancel,
    ) -> Result<Vec<Scored>, IndexError> {
        let mut cursors = self.cursors(query)?;
        let mut best = TopK::new(limit);
        let mut window = Window::new();
        while let Some(first) = cursors.iter().filter_map(Cursor::next_offset).min() {
            cancel.check().map_err(bigrain_storage::ReadError::Cancelled)?;
            window.begin(first - first % WINDOW);
            cursors.iter_mut().for_each(|cursor| window.add(cursor));
            window.offer(&skip, &mut best);
        }
        Ok(best.into_sorted())
    }

    /// Returns a cursor for each dimension of the query that rows use, in the order of dimensions.
    fn cursors(&self, query: &SparseVector) -> Result<Vec<Cursor<'_>>, IndexError> {
        let dimensions = self.dimensions()?;
        let mut cursors = Vec::with_capacity(query.len());
        for (dimension, weight) in query.iter() {
            if let Ok(at) = dimensions.binary_search(&dimension) {
                cursors.push(Cursor { list: self.list(at)?, at: 0, weight });
            }
        }
        Ok(cursors)
    }
}

/// How far one list of the query has been walked.
struct Cursor<'a> {
    list: InvertedList<'a>,
    at: usize,
    weight: f32,
}

impl Cursor<'_> {
    fn next_offset(&self) -> Option<u32> {
        self.list.offsets.get(self.at).copied()
    }
}

/// The sums of some neighbouring rows.
struct Window {
    start: u32,
    sums: Vec<f32>,
    /// Which rows share a dimension with the query: a sum of zero does not say.
    seen: Vec<u64>,
}

impl Window {
    fn new() -> Self {
        Self { start: 0, sums: vec![0.0; WINDOW as usize], seen: vec![0; WINDOW as usize / 64] }
    }

    fn begin(&mut self, start: u32) {
        self.start = start;
        self.sums.fill(0.0);
        self.seen.fill(0);
    }

    /// Adds a cursor's products as far as the window reaches.
    fn add(&mut self, cursor: &mut Cursor<'_>) {
        let offsets = &cursor.list.offsets[cursor.at..];
        let count = offsets.partition_point(|&offset| offset - self.start < WINDOW);
        let values = &cursor.list.values[cursor.at..cursor.at + count];
        for (&offset, value) in offsets.iter().zip(values) {
            let at = (offset - self.start) as usize;
            self.sums[at] += cursor.weight * value;
            self.seen[at / 64] |= 1 << (at % 64);
        }
        cursor.at += count;
    }

    fn offer(&self, skip: &impl Fn(u32) -> bool, best: &mut TopK) {
        for (word, &seen) in self.seen.iter().enumerate() {
            let mut seen = seen;
            while seen != 0 {
                let at = word * 64 + seen.trailing_zeros() as usize;
                seen &= seen - 1;
                let offset = self.start + at as u32;
                if self.sums[at] >= best.threshold() && !skip(offset) {
                    best.push(self.sums[at], offset);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bigrain_storage::RamDirectory;
    use bigrain_types::Offset;
    use proptest::prelude::*;

    use super::super::write;
    use super::*;

    fn vectors(count: usize, dims: u32) -> impl Strategy<Value = Vec<Option<SparseVector>>> {
        let vector = prop::collection::btree_map(0..dims, -2.0_f32..2.0, 0..6).prop_map(|map| {
            let (dimensions, values) = map.into_iter().unzip();
            SparseVector::new(dimensions, values).unwrap()
        });
        prop::collection::vec(prop::option::of(vector), 0..count)
    }

    fn stored(rows: &[Option<SparseVector>]) -> SparseReader {
        let directory = RamDirectory::new();
        write(&directory, Path::new("s"), rows.iter().map(Option::as_ref)).unwrap();
        SparseReader::open(&directory, Path::new("s")).unwrap()
    }

    fn by_brute_force(
        rows: &[Option<SparseVector>],
        query: &SparseVector,
        limit: usize,
    ) -> Vec<Scored> {
        let mut best = TopK::new(limit);
        for (offset, row) in rows.iter().enumerate() {
            let score = row.as_ref().and_then(|row| row.dot(query));
            if let Some(score) = score.filter(|_| offset % 5 != 3) {
                best.push(score, offset as u32);
            }
        }
        best.into_sorted()
    }

    proptest! {
        #[test]
        fn the_largest_products_are_found_exactly(
            rows in vectors(200, 12), queries in vectors(4, 14), limit in 0_usize..20,
        ) {
            let reader = stored(&rows);
            for query in queries.iter().flatten() {
                let found =
                    reader.search(query, limit, |row| row % 5 == 3, &Cancel::new()).unwrap();
                prop_assert_eq!(found, by_brute_force(&rows, query, limit));
            }
            for (offset, row) in rows.iter().enumerate() {
                let row = row.clone().filter(|row| !row.is_empty());
                prop_assert_eq!(reader.row(Offset(offset as u32)).unwrap(), row);
            }
            prop_assert!(reader.row(Offset(rows.len() as u32)).is_err());
        }
    }

    #[test]
    fn rows_of_many_windows_compete() {
        let row = |at: u32| SparseVector::new(vec![at % 3, 7], vec![(at % 1009) as f32, 1.0]).ok();
        let rows: Vec<_> = (0..3 * WINDOW + 5).map(row).collect();
        let query = SparseVector::new(vec![2, 7], vec![1.5, 0.5]).unwrap();
        let found = stored(&rows).search(&query, 50, |row| row % 5 == 3, &Cancel::new()).unwrap();
        assert_eq!(found, by_brute_force(&rows, &query, 50));
    }

    #[test]
    fn a_cancelled_search_stops() {
        let rows = [SparseVector::new(vec![1], vec![1.0]).ok()];
        let cancel = Cancel::new();
        cancel.cancel();
        let query = rows[0].clone().unwrap();
        let error = stored(&rows).search(&query, 1, |_| false, &cancel).unwrap_err();
        assert!(error.is_cancelled());
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        use bigrain_storage::{BlockFileWriter, FileKind};
        for header in [[0xff_u8; 16], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            let directory = RamDirectory::new();
            let path = Path::new("s");
            let mut file = BlockFileWriter::create(&directory, path, FileKind::Sparse).unwrap();
            file.append(&header).unwrap();
            file.finish().unwrap();
            assert!(SparseReader::open(&directory, path).unwrap_err().is_corruption());
        }
    }
}

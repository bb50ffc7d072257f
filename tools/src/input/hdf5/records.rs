//! Records from one matrix of an HDF5 file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bigrain_engine::{Payload, PointId};

use super::super::error::check_ids;
use super::super::{At, Content, InputError, Place, Problem, Record, Role, Shape};
use super::table::{Table, open_file};

/// Reads records from one matrix of an HDF5 file; ids count up from the first.
pub struct Hdf5 {
    table: Table,
    first_id: u64,
    row: u64,
    ended: bool,
    block: Vec<f32>,
    block_start: u64,
}

impl Hdf5 {
    /// Opens the matrix for `role` and checks its size and type.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a file that is no HDF5, has no such matrix, or one of another kind.
    pub fn open(file: &Arc<Path>, role: Role, first_id: u64) -> Result<Self, InputError> {
        let name = match role {
            Role::Base => "train",
            Role::Queries => "test",
        };
        let table = Table::open(&open_file(file)?, file, name)?;
        check_ids(first_id, table.shape().rows).map_err(|problem| table.place().error(problem))?;
        Ok(Self { table, first_id, row: 0, ended: false, block: Vec::new(), block_start: 0 })
    }

    /// Returns how many rows there are, and how long each is.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.table.shape()
    }

    /// Returns the position after the last record, in bytes of f32: the file may be compressed.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.bytes_before(self.table.shape().rows)
    }

    fn bytes_before(&self, rows: u64) -> u64 {
        rows.saturating_mul((self.table.shape().dims * size_of::<f32>()) as u64)
    }

    fn record(&mut self) -> Result<Record, Problem> {
        let dims = self.table.shape().dims;
        let mut start = (self.row - self.block_start) as usize * dims;
        if start >= self.block.len() {
            let block = self.table.read(self.row)?;
            self.block = block.into_iter().map(|value| value as f32).collect();
            self.block_start = self.row;
            start = 0;
        }
        let vector = self.block[start..start + dims].to_vec();
        let row = self.row;
        self.row += 1;
        Ok(Record {
            place: Place::new(self.table.file(), At::Row(row)),
            id: PointId::from(self.first_id + row),
            content: Content::Vector(vector),
            payload: Payload::new(),
            position: self.bytes_before(self.row),
        })
    }
}

impl Iterator for Hdf5 {
    type Item = Result<Record, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.row == self.table.shape().rows {
            return None;
        }
        let place = Place::new(self.table.file(), At::Row(self.row));
        let record = self.record().map_err(|problem| place.error(problem));
        self.ended = record.is_err();
        Some(record)
    }
}

impl fmt::Debug for Hdf5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hdf5").field("file", self.table.file()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use bigrain_engine::Metric;
    use proptest::prelude::*;

    use super::super::{read_metric, read_neighbors};
    use super::*;
    use crate::truth::similarity::similarity;

    /// Files that h5py made; see `make_hdf5.py` beside them.
    const FILES: [&str; 4] = ["contiguous.hdf5", "chunked.hdf5", "latest.hdf5", "big_endian.hdf5"];

    fn path(name: &str) -> Arc<Path> {
        Arc::from(Path::new("tests/data").join(name))
    }

    fn read(file: &Arc<Path>, role: Role) -> Result<Vec<Vec<f32>>, String> {
        let records = Hdf5::open(file, role, 0).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let vector = |record: Record| match record.content {
            Content::Vector(vector) => vector,
            other @ (Content::Text(_) | Content::Named { .. }) => panic!("{other:?}"),
        };
        let records = records.map_err(|error| error.to_string())?;
        Ok(records.into_iter().map(vector).collect())
    }

    #[test]
    fn every_layout_gives_the_same_vectors() {
        let expected = read(&path("contiguous.hdf5"), Role::Base).unwrap();
        assert_eq!((expected.len(), expected[0].len()), (60, 6));
        // 104729 and 7919 + 104729, squared, modulo 31, less 15.
        assert_eq!(expected[0][..2], [13.0, -10.0]);
        for name in FILES {
            assert_eq!(read(&path(name), Role::Base).unwrap(), expected, "{name}");
            assert_eq!(read(&path(name), Role::Queries).unwrap().len(), 5, "{name}");
        }
    }

    #[test]
    fn the_neighbors_of_a_file_are_its_nearest_rows() {
        for name in FILES {
            let file = path(name);
            assert_eq!(read_metric(&file).unwrap(), Some(Metric::L2), "{name}");
            let base = read(&file, Role::Base).unwrap();
            let neighbors = read_neighbors(&file).unwrap().unwrap();
            assert_eq!((neighbors.len(), neighbors.width()), (5, 12));
            for (number, query) in read(&file, Role::Queries).unwrap().iter().enumerate() {
                let near = |row: &u32| similarity(Metric::L2, query, &base[*row as usize]);
                let nearest: Vec<f64> = neighbors.of(number).iter().map(near).collect();
                assert!(nearest.is_sorted_by(|a, b| a >= b), "{name}");
                let nearer =
                    base.iter().filter(|row| similarity(Metric::L2, query, row) > nearest[11]);
                assert!(nearer.count() < 12, "{name}");
            }
        }
    }

    #[test]
    fn what_is_no_test_set_is_refused_by_name() {
        let error = read(&path("make_hdf5.py"), Role::Base).unwrap_err();
        assert!(error.contains("make_hdf5.py: bad HDF5: "), "{error}");
        assert!(read(&path("none.hdf5"), Role::Base).unwrap_err().contains("none.hdf5: bad HDF5"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn damaged_files_never_panic(
            file in 0..FILES.len(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            keep in 0.3f64..1.3,
        ) {
            let mut bytes = fs::read(path(FILES[file])).unwrap();
            bytes.truncate((bytes.len() as f64 * keep) as usize);
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let mut damaged = tempfile::NamedTempFile::new().unwrap();
            damaged.write_all(&bytes).unwrap();
            let damaged: Arc<Path> = Arc::from(damaged.path());
            // Rows that a header invents are filled in without end; a few of them will do.
            let _ = Hdf5::open(&damaged, Role::Base, 0).map(|rows| rows.take(100).count());
            let _ = read_metric(&damaged);
            if Hdf5::open(&damaged, Role::Queries, 0).is_ok_and(|test| test.shape().rows < 1000) {
                let _ = read_neighbors(&damaged);
            }
        }
    }
}

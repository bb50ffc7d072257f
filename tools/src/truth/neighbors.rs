//! Row numbers of the true neighbours of each query, and their `.ivecs` file.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use crate::input::{At, Component, Frames, InputError, Place, Problem};

/// Row numbers of the true neighbours of each query, nearest first, as many for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbors {
    width: usize,
    ids: Vec<u32>,
}

/// True neighbours that do not belong to these queries and this base.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NeighborsError {
    /// Neighbours of more or fewer queries.
    #[error("the truth is of {actual} queries, there are {expected}")]
    Queries {
        /// The queries there are.
        expected: usize,
        /// The queries of the truth.
        actual: usize,
    },
    /// A neighbour behind the last row.
    #[error("the truth of query {query} names row {id}, the base has {rows} rows")]
    Row {
        /// Which query.
        query: usize,
        /// The row it names.
        id: u32,
        /// The rows there are.
        rows: u64,
    },
}

impl Neighbors {
    /// Returns the neighbours of no query yet, `width` for each.
    #[must_use]
    pub fn empty(width: usize) -> Self {
        Self { width, ids: Vec::new() }
    }

    /// Adds the neighbours of the next query.
    ///
    /// # Panics
    ///
    /// When they are not `width`.
    pub fn push(&mut self, ids: &[u32]) {
        assert_eq!(ids.len(), self.width, "every query has as many neighbours");
        self.ids.extend_from_slice(ids);
    }

    /// Returns how many neighbours each query has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns how many queries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len() / self.width.max(1)
    }

    /// Whether there is no query.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the neighbours of a query.
    ///
    /// # Panics
    ///
    /// When there is no such query.
    #[must_use]
    pub fn of(&self, query: usize) -> &[u32] {
        &self.ids[query * self.width..(query + 1) * self.width]
    }

    /// Refuses neighbours of other queries, or of another base.
    ///
    /// # Errors
    ///
    /// [`NeighborsError`] with the first thing that does not fit.
    pub fn check(&self, queries: usize, rows: u64) -> Result<(), NeighborsError> {
        if self.len() != queries {
            return Err(NeighborsError::Queries { expected: queries, actual: self.len() });
        }
        match self.ids.iter().position(|&id| u64::from(id) >= rows) {
            Some(at) => Err(NeighborsError::Row { query: at / self.width, id: self.ids[at], rows }),
            None => Ok(()),
        }
    }

    /// Reads an `.ivecs` file.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a file that is missing, cut off or ragged, or a number below zero.
    pub fn read_ivecs(path: &Path) -> Result<Self, InputError> {
        let file: Arc<Path> = Arc::from(path);
        let place = Place::new(&file, At::Start);
        let opened = File::open(path).and_then(|opened| {
            let len_bytes = opened.metadata()?.len();
            Ok((opened, len_bytes))
        });
        let (opened, len_bytes) = opened.map_err(|error| place.error(error))?;
        let reader = BufReader::with_capacity(1 << 20, opened);
        let mut frames = Frames::new(reader, Arc::clone(&file), len_bytes, Component::I32)?;
        let mut neighbors = Self::empty(frames.shape().dims);
        while let Some((row, bytes)) = frames.next_row()? {
            for &word in bytes.as_chunks::<4>().0 {
                let number = i32::from_le_bytes(word);
                let id = u32::try_from(number).map_err(|_| {
                    Place::new(&file, At::Row(row)).error(Problem::RowNumber(number.into()))
                })?;
                neighbors.ids.push(id);
            }
        }
        Ok(neighbors)
    }

    /// Writes an `.ivecs` file.
    ///
    /// # Errors
    ///
    /// When the disk refuses, or a row number is above 2³¹ - 1, the largest of this format.
    pub fn write_ivecs(&self, file: &File) -> io::Result<()> {
        let mut out = BufWriter::new(file);
        let width = i32::try_from(self.width).map_err(io::Error::other)?;
        for query in 0..self.len() {
            out.write_all(&width.to_le_bytes())?;
            for &id in self.of(query) {
                let id = i32::try_from(id).map_err(io::Error::other)?;
                out.write_all(&id.to_le_bytes())?;
            }
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbors() -> Neighbors {
        let mut neighbors = Neighbors::empty(3);
        neighbors.push(&[5, 0, 2]);
        neighbors.push(&[1, 2, 3]);
        neighbors
    }

    #[test]
    fn a_file_gives_back_what_was_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        neighbors().write_ivecs(file.as_file()).unwrap();
        assert_eq!(Neighbors::read_ivecs(file.path()).unwrap(), neighbors());
    }

    #[test]
    fn numbers_below_zero_are_refused_with_their_row() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let words = [1_i32, 7, 1, -2];
        file.as_file().write_all(&words.map(i32::to_le_bytes).concat()).unwrap();
        let error = Neighbors::read_ivecs(file.path()).unwrap_err().to_string();
        assert!(error.ends_with("row 1: -2 is no row number"), "{error}");
        let error = Neighbors::read_ivecs(Path::new("none.ivecs")).unwrap_err().to_string();
        assert!(error.starts_with("none.ivecs: "), "{error}");
    }

    #[test]
    fn truth_of_something_else_is_refused() {
        assert_eq!(neighbors().check(2, 6), Ok(()));
        let error = neighbors().check(3, 6).unwrap_err().to_string();
        assert_eq!(error, "the truth is of 2 queries, there are 3");
        let error = neighbors().check(2, 5).unwrap_err().to_string();
        assert_eq!(error, "the truth of query 0 names row 5, the base has 5 rows");
    }
}

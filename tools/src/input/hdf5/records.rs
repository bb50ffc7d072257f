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

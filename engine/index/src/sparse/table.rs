//! Sparse vectors in memory that can be searched: rows, and inverted lists over them.

use std::collections::HashMap;
use std::mem::size_of;

use bigrain_types::SparseView;

use super::index::{InvertedList, SparseIndex, ValueBounds};
use super::rows::SparseRows;
use crate::IndexError;

/// What a list takes besides its components, the room that vectors keep in reserve included.
const LIST_BYTES: usize = 128;

/// Sparse vectors in memory that can be searched. It only grows.
#[derive(Clone, Debug, Default)]
pub struct SparseTable {
    rows: SparseRows,
    lists: HashMap<u32, List>,
}

#[derive(Clone, Debug)]
struct List {
    offsets: Vec<u32>,
    values: Vec<f32>,
    bounds: ValueBounds,
}

impl SparseTable {
    /// Adds rows whose numbers count from `base` on, above all that are there.
    pub fn append(&mut self, rows: &SparseRows, base: u32) {
        for (number, vector) in rows.iter() {
            self.push(base + number, vector);
        }
    }

    /// Returns the rows.
    #[must_use]
    pub fn rows(&self) -> &SparseRows {
        &self.rows
    }

    /// Returns about how much memory rows and lists take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let components = self.rows.components() * (size_of::<u32>() + size_of::<f32>());
        self.rows.memory_bytes() + components + self.lists.len() * LIST_BYTES
    }

    fn push(&mut self, number: u32, vector: SparseView<'_>) {
        self.rows.push(number, vector);
        for (dimension, value) in vector.iter() {
            let empty =
                || List { offsets: Vec::new(), values: Vec::new(), bounds: ValueBounds::NONE };
            let list = self.lists.entry(dimension).or_insert_with(empty);
            list.offsets.push(number);
            list.values.push(value);
            list.bounds.include(value);
        }
    }
}

impl SparseIndex for SparseTable {
    fn list(&self, dimension: u32) -> Result<Option<InvertedList<'_>>, IndexError> {
        let list = self.lists.get(&dimension);
        Ok(list.map(|List { offsets, values, bounds }| InvertedList {
            offsets,
            values,
            bounds: *bounds,
        }))
    }

    fn row(&self, offset: u32) -> Result<Option<SparseView<'_>>, IndexError> {
        Ok(self.rows.row(offset))
    }

    fn vectors(&self) -> u64 {
        self.rows.len() as u64
    }

    fn has_row(&self, offset: u32) -> Result<bool, IndexError> {
        Ok(self.rows.row(offset).is_some())
    }
}

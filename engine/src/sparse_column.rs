//! The sparse vectors of one field in memory.

use std::sync::Arc;

use bigrain_index::sparse::{SparseRows, SparseTable};

use crate::field::SparseField;

/// The sparse vectors of one field, for points that are known by their *slot*: rows, in a batch that is
/// to be written, or a table that can be searched, in a memtable.
#[derive(Clone, Debug)]
pub(crate) struct SparseColumn<V> {
    pub field: Arc<SparseField>,
    /// By slot.
    pub vectors: V,
}

impl<V: Default> SparseColumn<V> {
    /// Returns an empty column.
    pub fn new(field: &Arc<SparseField>) -> Self {
        Self { field: Arc::clone(field), vectors: V::default() }
    }
}

impl SparseColumn<SparseTable> {
    /// Adds rows whose slots count from `base` on.
    pub fn append(&mut self, rows: &SparseColumn<SparseRows>, base: u32) {
        self.vectors.append(&rows.vectors, base);
    }
}

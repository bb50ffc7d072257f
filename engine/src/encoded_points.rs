//! Validated points with their codes, ready to be committed and then appended.

use std::sync::Arc;

use bigrain_index::sparse::SparseRows;
use bigrain_types::{FieldId, HalfTokens, Payload, PointId, SparseVector};

use crate::column::Column;
use crate::field::Fields;
use crate::multi_column::MultiColumn;
use crate::sparse_column::SparseColumn;

/// Points of one write: checked, normalised, encoded.
#[derive(Debug)]
pub(crate) struct EncodedPoints {
    ids: Vec<PointId>,
    /// One per id.
    payloads: Vec<Arc<Payload>>,
    /// One column per field in which any of the points has a vector; slots are positions in `ids`.
    pub columns: Vec<Column>,
    /// The same for sparse fields.
    pub sparse: Vec<SparseColumn<SparseRows>>,
    /// The same for multi-vector fields.
    pub multi: Vec<MultiColumn>,
    expected: usize,
}

impl EncodedPoints {
    /// Starts an empty batch for points of some fields.
    pub fn new(fields: &Fields) -> Self {
        let columns = fields.iter().map(|field| Column::new(field.clone())).collect();
        let sparse = fields.sparse().map(SparseColumn::new).collect();
        let multi = fields.multi().map(MultiColumn::new).collect();
        Self { ids: Vec::new(), payloads: Vec::new(), columns, sparse, multi, expected: 0 }
    }

    /// Adds a point, whose vectors are pushed into the columns with [`EncodedPoints::len`] as their
    /// slot before.
    pub fn push(&mut self, id: PointId, payload: Payload) {
        self.ids.push(id);
        self.payloads.push(Arc::new(payload));
    }

    /// Returns how many points there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns the ids.
    pub fn ids(&self) -> &[PointId] {
        &self.ids
    }

    /// Returns the payloads, one per id.
    pub fn payloads(&self) -> &[Arc<Payload>] {
        &self.payloads
    }

    /// States how many points there will be.
    #[must_use]
    pub fn expecting(mut self, points: usize) -> Self {
        self.ids.reserve(points);
        self.payloads.reserve(points);
        self.expected = points;
        self
    }

    /// Returns how many points are still expected.
    pub fn missing(&self) -> usize {
        self.expected.saturating_sub(self.ids.len())
    }

    /// Returns the column of a field, if the batch was started with it.
    pub fn column_mut(&mut self, field: FieldId) -> Option<&mut Column> {
        self.columns.iter_mut().find(|column| column.field().id == field)
    }

    /// Returns the column of a sparse field, if the batch was started with it.
    pub fn sparse_mut(&mut self, field: FieldId) -> Option<&mut SparseRows> {
        let column = self.sparse.iter_mut().find(|column| column.field.id == field);
        column.map(|column| &mut column.vectors)
    }

    /// Returns the column of a multi-vector field, if the batch was started with it.
    pub fn multi_mut(&mut self, field: FieldId) -> Option<&mut MultiColumn> {
        self.multi.iter_mut().find(|column| column.field.id == field)
    }

    /// Encodes what has been pushed into the columns.
    #[must_use]
    pub fn encoded(mut self) -> Self {
        self.columns.retain(|column| !column.is_empty());
        self.sparse.retain(|column| !column.vectors.is_empty());
        self.multi.retain(|column| !column.is_empty());
        self.columns.iter_mut().for_each(Column::encode);
        self
    }

    /// Returns about how much memory the points take in a memtable.
    pub fn memory_bytes(&self) -> u64 {
        let columns: usize = self.columns.iter().map(Column::memory_bytes).sum();
        // A memtable keeps lists beside the rows.
        let sparse = self.sparse.iter().map(|column| 2 * column.vectors.memory_bytes());
        let multi: usize = self.multi.iter().map(MultiColumn::memory_bytes).sum();
        (columns + sparse.sum::<usize>() + multi + self.ids.len() * size_of::<PointId>() * 2) as u64
    }

    /// Returns the sparse vectors of the point at a position, in the order of the fields.
    pub fn sparse_vectors(&self, position: usize) -> impl Iterator<Item = (FieldId, SparseVector)> {
        self.sparse.iter().filter_map(move |column| {
            let vector = column.vectors.row(position as u32)?;
            Some((column.field.id, vector.into()))
        })
    }

    /// Returns the multi-vectors of the point at a position, in the order of the fields.
    pub fn multi_vectors(&self, position: usize) -> impl Iterator<Item = (FieldId, HalfTokens)> {
        self.multi.iter().filter_map(move |column| {
            let tokens = column.tokens(position as u32)?;
            Some((column.field.id, HalfTokens::clone(tokens)))
        })
    }

    /// Returns the dense vectors of the point at a position, in the order of the fields.
    pub fn vectors(&self, position: usize) -> impl Iterator<Item = (FieldId, &[f32])> {
        self.columns.iter().filter_map(move |column| {
            let vector = column.vector(position as u32)?;
            Some((column.field().id, vector))
        })
    }
}

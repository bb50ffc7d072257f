//! What a segment is built from.

use std::borrow::Cow;

use bigrain_index::IndexError;
use bigrain_index::build::Rows;
use bigrain_index::multi::MultiSource;
use bigrain_index::sparse::SparseSource;
use bigrain_types::{FieldId, Payload, PointId, SparseView, TokensView};

/// The points of a segment to be, in the order they were written: of a frozen memtable, or of
/// segments that are merged.
pub(crate) trait SegmentInput: Sync {
    /// Returns how many points there are.
    fn len(&self) -> usize;

    /// Returns the id of a point.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when an id that lies in a file cannot be read.
    fn id(&self, point: usize) -> Result<Cow<'_, PointId>, IndexError>;

    /// Whether a point has a vector in a dense field.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when this is written in a file that cannot be read.
    fn has(&self, point: usize, field: FieldId) -> Result<bool, IndexError>;

    /// Returns the vector of a point in a dense field, of length one under cosine; none where it has
    /// none.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a vector that lies in a file cannot be read.
    fn vector(&self, point: usize, field: FieldId) -> Result<Option<Cow<'_, [f32]>>, IndexError>;

    /// Returns the vector of a point in a sparse field; none where it has none.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a vector that lies in a file cannot be read.
    fn sparse(&self, point: usize, field: FieldId) -> Result<Option<SparseView<'_>>, IndexError>;

    /// Whether a point has a multi-vector in a field.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when this is written in a file that cannot be read.
    fn has_multi(&self, point: usize, field: FieldId) -> Result<bool, IndexError>;

    /// Returns the multi-vector of a point in a field; none where it has none.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when tokens that lie in a file cannot be read.
    fn multi(&self, point: usize, field: FieldId) -> Result<Option<TokensView<'_>>, IndexError>;

    /// Returns the payloads of some points. A point that was replaced or deleted meanwhile may have
    /// any payload: its row will be dead.
    ///
    /// # Errors
    ///
    /// [`Error`](crate::Error) when payloads that lie in the store cannot be read.
    fn payloads(&self, points: &[u32]) -> crate::Result<Vec<Cow<'_, Payload>>>;

    /// Hears that clustering has come as far as so many of a field's vectors, all of them in the end.
    fn clustered(&self, vectors: u64) {
        let _ = vectors;
    }
}

/// The rows of one sparse field, in the order of a segment's offsets.
pub(super) struct SparseFieldRows<'a, I> {
    pub input: &'a I,
    pub field: FieldId,
    /// For each offset, the point of the input that lies there.
    pub order: &'a [u32],
}

impl<I: SegmentInput> SparseFieldRows<'_, I> {
    /// Whether no point has a vector.
    pub fn is_empty(&self) -> Result<bool, IndexError> {
        for offset in 0..self.order.len() {
            if self.row(offset)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<I: SegmentInput> SparseSource for SparseFieldRows<'_, I> {
    fn rows(&self) -> usize {
        self.order.len()
    }

    fn row(&self, offset: usize) -> Result<Option<SparseView<'_>>, IndexError> {
        self.input.sparse(self.order[offset] as usize, self.field)
    }
}

/// The multi-vectors of one field, in the order of a segment's offsets.
pub(super) struct MultiFieldRows<'a, I> {
    pub input: &'a I,
    pub field: FieldId,
    /// For each offset, the point of the input that lies there.
    pub order: &'a [u32],
}

impl<I: SegmentInput> MultiFieldRows<'_, I> {
    /// Whether no point has a multi-vector.
    pub fn is_empty(&self) -> Result<bool, IndexError> {
        for offset in 0..self.order.len() {
            if self.has(offset)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<I: SegmentInput> MultiSource for MultiFieldRows<'_, I> {
    fn points(&self) -> usize {
        self.order.len()
    }

    fn has(&self, offset: usize) -> Result<bool, IndexError> {
        self.input.has_multi(self.order[offset] as usize, self.field)
    }

    fn tokens(&self, offset: usize) -> Result<Option<TokensView<'_>>, IndexError> {
        self.input.multi(self.order[offset] as usize, self.field)
    }
}

/// The rows of one dense field: the vectors of those points that have one, in the order of the points.
pub(super) struct FieldRows<'a, I> {
    input: &'a I,
    field: FieldId,
    /// The point of each row.
    points: Vec<u32>,
}

impl<'a, I: SegmentInput> FieldRows<'a, I> {
    /// Finds out which points have a vector in a field.
    pub fn new(input: &'a I, field: FieldId) -> Result<Self, IndexError> {
        let mut points = Vec::new();
        for point in 0..input.len() {
            if input.has(point, field)? {
                points.push(point as u32);
            }
        }
        Ok(Self { input, field, points })
    }

    /// Returns the point of each row.
    pub fn points(&self) -> &[u32] {
        &self.points
    }
}

impl<I: SegmentInput> Rows for FieldRows<'_, I> {
    fn len(&self) -> usize {
        self.points.len()
    }

    fn row(&self, at: usize) -> Result<Cow<'_, [f32]>, IndexError> {
        let vector = self.input.vector(self.points[at] as usize, self.field)?;
        debug_assert!(vector.is_some(), "a point has lost its vector");
        Ok(vector.unwrap_or_default())
    }

    fn trained(&self, rows: usize, of: usize) {
        self.input.clustered((self.points.len() as u64 * rows as u64) / of.max(1) as u64);
    }
}

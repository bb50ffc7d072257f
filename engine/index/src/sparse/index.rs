//! What a search of sparse vectors asks of where they lie.

use bigrain_types::SparseView;

use crate::IndexError;

/// Sparse vectors by row and by dimension: of a file, or in memory.
pub trait SparseIndex {
    /// Returns the rows that use a dimension; none where no row does.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a file cannot be read or contradicts itself.
    fn list(&self, dimension: u32) -> Result<Option<InvertedList<'_>>, IndexError>;

    /// Returns a row; none where there is no vector.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a file cannot be read or contradicts itself.
    fn row(&self, offset: u32) -> Result<Option<SparseView<'_>>, IndexError>;

    /// Returns the number of rows with a vector.
    fn vectors(&self) -> u64;

    /// Whether a row has a vector.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a file cannot be read or contradicts itself.
    fn has_row(&self, offset: u32) -> Result<bool, IndexError>;
}

/// The rows that use one dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InvertedList<'a> {
    /// Rising, each once.
    pub offsets: &'a [u32],
    /// The value of each.
    pub values: &'a [f32],
    /// Between these lie all values.
    pub bounds: ValueBounds,
}

/// The least and the largest of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueBounds {
    /// The least; infinite where there are none.
    pub min: f32,
    /// The largest; minus infinity where there are none.
    pub max: f32,
}

impl ValueBounds {
    /// Bounds of no values.
    pub const NONE: Self = Self { min: f32::INFINITY, max: f32::NEG_INFINITY };

    /// Widens the bounds to hold a value.
    pub fn include(&mut self, value: f32) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
}

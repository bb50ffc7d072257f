//! Vectors of one length, side by side in memory.

/// Vectors of one length, side by side in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    dims: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Returns a matrix without rows.
    #[must_use]
    pub fn empty(dims: usize) -> Self {
        Self { dims, values: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    ///
    /// When the row is of another length than the others.
    pub fn push(&mut self, row: &[f32]) {
        assert_eq!(row.len(), self.dims, "rows of a matrix are of one length");
        self.values.extend_from_slice(row);
    }

    /// Takes all rows away and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Returns how many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.dims.max(1)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the components of each row.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Returns a row.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dims..(row + 1) * self.dims]
    }

    /// Returns the rows, first to last.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dims.max(1))
    }

    /// Returns all components, row after row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_went_in() {
        let mut matrix = Matrix::empty(2);
        assert!(matrix.is_empty());
        matrix.push(&[1.0, 2.0]);
        matrix.push(&[3.0, 4.0]);
        assert_eq!((matrix.len(), matrix.row(1)), (2, [3.0, 4.0].as_slice()));
        assert_eq!(matrix.rows().collect::<Vec<_>>(), [[1.0, 2.0], [3.0, 4.0]]);
    }
}

//! One vector a token or patch.

use thiserror::Error;

/// The vectors of one image or text: a row for each patch or token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenMatrix {
    dims: usize,
    data: Vec<f32>,
    grid: Option<Grid>,
}

/// How the patches of an image lie: rows of a [`TokenMatrix`] go from left to right, then down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Patches from top to bottom.
    pub height: usize,
    /// Patches from left to right.
    pub width: usize,
}

/// Values that are no matrix.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenMatrixError {
    /// The values do not divide into rows.
    #[error("{values} values are no rows of {dims}")]
    Ragged {
        /// How many values.
        values: usize,
        /// Values a row should have.
        dims: usize,
    },
    /// Another number of rows than the grid has places.
    #[error("a grid of {} x {} has no place for {rows} rows", grid.height, grid.width)]
    Grid {
        /// The grid.
        grid: Grid,
        /// How many rows.
        rows: usize,
    },
}

impl TokenMatrix {
    /// Wraps `data`, rows of `dims` values one after the other.
    ///
    /// # Errors
    ///
    /// [`TokenMatrixError`] if `data` does not divide into rows.
    pub fn new(dims: usize, data: Vec<f32>) -> Result<Self, TokenMatrixError> {
        if dims == 0 || !data.len().is_multiple_of(dims) {
            return Err(TokenMatrixError::Ragged { values: data.len(), dims });
        }
        Ok(Self { dims, data, grid: None })
    }

    /// Wraps what a model gives: whole rows, as many as the grid has places.
    pub(crate) fn from_rows(dims: usize, data: Vec<f32>, grid: Option<Grid>) -> Self {
        let matrix = Self { dims, data, grid };
        debug_assert!(matrix.data.len().is_multiple_of(dims));
        debug_assert!(grid.is_none_or(|grid| grid.height * grid.width == matrix.rows()));
        matrix
    }

    /// Says how the rows lie in the image.
    ///
    /// # Errors
    ///
    /// [`TokenMatrixError`] if the grid has another number of places than there are rows.
    pub fn with_grid(mut self, grid: Grid) -> Result<Self, TokenMatrixError> {
        if grid.height.checked_mul(grid.width) != Some(self.rows()) {
            return Err(TokenMatrixError::Grid { grid, rows: self.rows() });
        }
        self.grid = Some(grid);
        Ok(self)
    }

    /// Values of one row.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.data.len() / self.dims.max(1)
    }

    /// How the rows lie in an image, if they are its patches.
    #[must_use]
    pub fn grid(&self) -> Option<Grid> {
        self.grid
    }

    /// One row, or `None` past the last.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<&[f32]> {
        self.data.chunks_exact(self.dims.max(1)).nth(row)
    }

    /// The rows one by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.dims.max(1))
    }

    /// All values, row by row.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// Gives the values away, row by row.
    #[must_use]
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole_and_fill_their_grid() {
        let matrix = TokenMatrix::new(2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((matrix.rows(), matrix.row(1), matrix.row(2)), (2, Some(&[3.0, 4.0][..]), None));
        let grid = Grid { height: 2, width: 1 };
        assert_eq!(matrix.clone().with_grid(grid).unwrap().grid(), Some(grid));
        let refused = matrix.with_grid(Grid { height: 2, width: 2 }).unwrap_err();
        assert_eq!(refused.to_string(), "a grid of 2 x 2 has no place for 2 rows");
        let refused = TokenMatrix::new(3, vec![0.0; 4]).unwrap_err();
        assert_eq!(refused.to_string(), "4 values are no rows of 3");
        assert!(TokenMatrix::new(0, Vec::new()).is_err());
    }
}

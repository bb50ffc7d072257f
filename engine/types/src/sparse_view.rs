//! A sparse vector that lies in somebody else's memory.

use crate::{MAX_SPARSE_COMPONENTS, SparseVectorError};

/// A sparse vector where it lies: in a file, a memtable, or a [`SparseVector`](crate::SparseVector).
/// What holds for its owned sister holds here too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SparseView<'a> {
    dimensions: &'a [u32],
    values: &'a [f32],
}

impl<'a> SparseView<'a> {
    /// Takes dimensions that rise, each with a finite value that is not zero.
    ///
    /// # Errors
    ///
    /// [`SparseVectorError`] for anything else.
    pub fn new(dimensions: &'a [u32], values: &'a [f32]) -> Result<Self, SparseVectorError> {
        if dimensions.len() != values.len() {
            let (dimensions, values) = (dimensions.len(), values.len());
            return Err(SparseVectorError::Lengths { dimensions, values });
        }
        if dimensions.len() > MAX_SPARSE_COMPONENTS {
            return Err(SparseVectorError::TooMany { actual: dimensions.len() });
        }
        if let Some([before, dimension]) = dimensions.array_windows().find(|[a, b]| a >= b) {
            let dimension = *dimension;
            return Err(if *before == dimension {
                SparseVectorError::Repeated { dimension }
            } else {
                SparseVectorError::NotRising { dimension }
            });
        }
        let refused = |value: &f32| !value.is_finite() || *value == 0.0;
        if let Some(at) = values.iter().position(refused) {
            let (dimension, value) = (dimensions[at], values[at]);
            return Err(if value == 0.0 {
                SparseVectorError::Zero { dimension }
            } else {
                SparseVectorError::NotFinite { dimension, value }
            });
        }
        Ok(Self { dimensions, values })
    }

    /// Takes what was checked before.
    pub(crate) fn trusted(dimensions: &'a [u32], values: &'a [f32]) -> Self {
        debug_assert!(Self::new(dimensions, values).is_ok(), "not a sparse vector");
        Self { dimensions, values }
    }

    /// Returns the dimensions whose values are not zero, rising.
    #[must_use]
    pub fn dimensions(self) -> &'a [u32] {
        self.dimensions
    }

    /// Returns the value of each of [`SparseView::dimensions`].
    #[must_use]
    pub fn values(self) -> &'a [f32] {
        self.values
    }

    /// Returns dimensions with their values.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (u32, f32)> + 'a {
        self.dimensions.iter().copied().zip(self.values.iter().copied())
    }

    /// Returns how many components are not zero.
    #[must_use]
    pub fn len(self) -> usize {
        self.dimensions.len()
    }

    /// Whether every component is zero.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.dimensions.is_empty()
    }

    /// Returns the dot product with another, or nothing when they share no dimension. Products are
    /// added in the order of dimensions.
    #[must_use]
    pub fn dot(self, other: SparseView<'_>) -> Option<f32> {
        let (mut sum, mut shared) = (0.0, false);
        let (mut left, mut right) = (0, 0);
        while let (Some(a), Some(b)) = (self.dimensions.get(left), other.dimensions.get(right)) {
            if a == b {
                sum += self.values[left] * other.values[right];
                shared = true;
            }
            left += usize::from(a <= b);
            right += usize::from(b <= a);
        }
        shared.then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SparseVector;

    #[test]
    fn only_what_a_vector_would_write_down_is_taken() {
        let new = |dimensions: &[u32], values: &[f32]| {
            SparseView::new(dimensions, values)
                .map(SparseVector::from)
                .map_err(|error| error.to_string())
        };
        let vector = SparseVector::new(vec![3, 1], vec![0.5, -1.0]).unwrap();
        assert_eq!(new(&[1, 3], &[-1.0, 0.5]).unwrap(), vector);
        for (dimensions, values, reason) in [
            (&[1, 3][..], &[1.0][..], "sparse vector has 2 dimensions but 1 values"),
            (&[3, 1], &[1.0; 2], "sparse vector has dimension 1 behind a larger one"),
            (&[1, 1], &[1.0; 2], "sparse vector has dimension 1 twice"),
            (&[1, 2], &[1.0, -0.0], "sparse vector has a stored zero in dimension 2"),
            (
                &[1, 2],
                &[f32::INFINITY, 0.0],
                "sparse vector has inf in dimension 1: every value must be finite",
            ),
        ] {
            assert_eq!(new(dimensions, values).unwrap_err(), reason);
        }
    }
}

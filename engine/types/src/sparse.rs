//! Vectors of which almost every component is zero.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::SparseView;

/// The most components of one sparse vector that may differ from zero.
pub const MAX_SPARSE_COMPONENTS: usize = 65_536;

/// A sparse vector that is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SparseVectorError {
    /// Dimensions and values do not pair up.
    #[error("sparse vector has {dimensions} dimensions but {values} values")]
    Lengths {
        /// How many dimensions were given.
        dimensions: usize,
        /// How many values were given.
        values: usize,
    },
    /// A dimension is there twice.
    #[error("sparse vector has dimension {dimension} twice")]
    Repeated {
        /// Which.
        dimension: u32,
    },
    /// A value is NaN or infinite.
    #[error("sparse vector has {value} in dimension {dimension}: every value must be finite")]
    NotFinite {
        /// Which dimension.
        dimension: u32,
        /// What it holds.
        value: f32,
    },
    /// A dimension stands behind a larger one, where they must rise.
    #[error("sparse vector has dimension {dimension} behind a larger one")]
    NotRising {
        /// Which.
        dimension: u32,
    },
    /// A value is zero, where only others are written down.
    #[error("sparse vector has a stored zero in dimension {dimension}")]
    Zero {
        /// Which dimension.
        dimension: u32,
    },
    /// Too many components.
    #[error("sparse vector has {actual} components, at most {MAX_SPARSE_COMPONENTS} are stored")]
    TooMany {
        /// How many there are.
        actual: usize,
    },
}

/// A sparse vector: dimensions in rising order, each once, with finite values that are not zero.
///
/// ```
/// use bigrain_types::SparseVector;
///
/// let vector = SparseVector::new(vec![7, 2, 5], vec![0.5, 1.0, 0.0]).unwrap();
/// assert_eq!(vector.dimensions(), [2, 7]);
/// assert_eq!(vector.values(), [1.0, 0.5]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct SparseVector {
    dimensions: Vec<u32>,
    values: Vec<f32>,
}

/// How a sparse vector is written down: `{"indices": [2, 7], "values": [1.0, 0.5]}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(rename = "indices")]
    dimensions: Vec<u32>,
    values: Vec<f32>,
}

impl SparseVector {
    /// Takes dimensions in any order with a value each; zeros are left out.
    ///
    /// # Errors
    ///
    /// [`SparseVectorError`] for lists of different lengths, a dimension given twice, a value that is
    /// not finite, or more than [`MAX_SPARSE_COMPONENTS`] values that are not zero.
    pub fn new(dimensions: Vec<u32>, values: Vec<f32>) -> Result<Self, SparseVectorError> {
        if dimensions.len() != values.len() {
            let (dimensions, values) = (dimensions.len(), values.len());
            return Err(SparseVectorError::Lengths { dimensions, values });
        }
        let mut components: Vec<(u32, f32)> = dimensions.into_iter().zip(values).collect();
        components.sort_by_key(|&(dimension, _)| dimension);
        if let Some(twice) = components.array_windows().find(|[a, b]| a.0 == b.0) {
            return Err(SparseVectorError::Repeated { dimension: twice[0].0 });
        }
        if let Some(&(dimension, value)) = components.iter().find(|(_, value)| !value.is_finite()) {
            return Err(SparseVectorError::NotFinite { dimension, value });
        }
        components.retain(|&(_, value)| value != 0.0);
        if components.len() > MAX_SPARSE_COMPONENTS {
            return Err(SparseVectorError::TooMany { actual: components.len() });
        }
        let (dimensions, values) = components.into_iter().unzip();
        Ok(Self { dimensions, values })
    }

    /// Returns the dimensions whose values are not zero, rising.
    #[must_use]
    pub fn dimensions(&self) -> &[u32] {
        &self.dimensions
    }

    /// Returns the value of each of [`SparseVector::dimensions`].
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns dimensions with their values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, f32)> + '_ {
        self.dimensions.iter().copied().zip(self.values.iter().copied())
    }

    /// Returns how many components are not zero.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dimensions.len()
    }

    /// Whether every component is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dimensions.is_empty()
    }

    /// Returns the vector without owning it.
    #[must_use]
    pub fn view(&self) -> SparseView<'_> {
        SparseView::trusted(&self.dimensions, &self.values)
    }

    /// Returns the dot product with another, or nothing when they share no dimension. Products are
    /// added in the order of dimensions.
    #[must_use]
    pub fn dot(&self, other: &Self) -> Option<f32> {
        self.view().dot(other.view())
    }
}

impl From<SparseView<'_>> for SparseVector {
    fn from(view: SparseView<'_>) -> Self {
        Self { dimensions: view.dimensions().to_vec(), values: view.values().to_vec() }
    }
}

impl TryFrom<Parts> for SparseVector {
    type Error = SparseVectorError;

    fn try_from(parts: Parts) -> Result<Self, SparseVectorError> {
        Self::new(parts.dimensions, parts.values)
    }
}

impl From<SparseVector> for Parts {
    fn from(vector: SparseVector) -> Self {
        Self { dimensions: vector.dimensions, values: vector.values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_dimension() {
        let new = |dimensions: &[u32], values: &[f32]| {
            SparseVector::new(dimensions.to_vec(), values.to_vec())
                .map_err(|error| error.to_string())
        };
        let refused = |result: Result<SparseVector, String>| result.unwrap_err();
        assert_eq!(refused(new(&[1, 2], &[1.0])), "sparse vector has 2 dimensions but 1 values");
        assert_eq!(refused(new(&[3, 1, 3], &[1.0; 3])), "sparse vector has dimension 3 twice");
        let error = refused(new(&[9], &[f32::NAN]));
        assert_eq!(error, "sparse vector has NaN in dimension 9: every value must be finite");
        let many = MAX_SPARSE_COMPONENTS as u32 + 1;
        let dimensions: Vec<u32> = (0..many).collect();
        assert!(new(&dimensions, &vec![1.0; many as usize]).is_err());
        assert!(new(&dimensions, &vec![0.0; many as usize]).unwrap().is_empty());
    }

    #[test]
    fn products_need_a_shared_dimension() {
        let a = SparseVector::new(vec![1, 5, 9], vec![1.0, 2.0, 3.0]).unwrap();
        let b = SparseVector::new(vec![5, 9, 11], vec![0.5, -1.0, 4.0]).unwrap();
        let c = SparseVector::new(vec![2], vec![1.0]).unwrap();
        assert_eq!(a.dot(&b), Some(-2.0));
        assert_eq!(a.dot(&c), None);
    }

    #[test]
    fn json_is_checked_like_everything_else() {
        let vector: SparseVector =
            serde_json::from_str(r#"{"indices":[4,1],"values":[1,2]}"#).unwrap();
        assert_eq!(vector.dimensions(), [1, 4]);
        assert_eq!(
            serde_json::to_string(&vector).unwrap(),
            r#"{"indices":[1,4],"values":[2.0,1.0]}"#
        );
        let twice = r#"{"indices":[4,4],"values":[1,2]}"#;
        assert!(serde_json::from_str::<SparseVector>(twice).is_err());
    }
}

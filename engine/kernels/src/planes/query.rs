//! A query as bit planes, checked.

use std::error::Error;
use std::fmt;

/// The largest number of planes a query may have.
pub const MAX_QUERY_WIDTH: usize = 8;
/// The largest number of dimensions for which no score can leave `i32`.
pub const MAX_SCAN_DIMS: usize = 1 << 19;

/// A query's bit planes: plane 0 is the most significant bit (the sign) of each dimension.
///
/// Bit `i % 64` of word `i / 64` of a plane belongs to dimension `i`; bits past the last dimension
/// are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryPlanes<'a> {
    planes: &'a [u64],
    words: usize,
    width: usize,
    dims: usize,
}

impl<'a> QueryPlanes<'a> {
    /// Wraps planes of `ceil(dims / 64)` words each, one after the other.
    ///
    /// # Errors
    ///
    /// [`QueryPlanesError`] for a number of dimensions outside 1..=[`MAX_SCAN_DIMS`], a length that
    /// is not 1 to [`MAX_QUERY_WIDTH`] planes, or a set bit past the last dimension.
    pub fn new(planes: &'a [u64], dims: usize) -> Result<Self, QueryPlanesError> {
        if !(1..=MAX_SCAN_DIMS).contains(&dims) {
            return Err(QueryPlanesError::Dims(dims));
        }
        let words = dims.div_ceil(64);
        let width = planes.len() / words;
        if planes.len() != width * words || !(1..=MAX_QUERY_WIDTH).contains(&width) {
            return Err(QueryPlanesError::Length { words, actual: planes.len() });
        }
        let query = Self { planes, words, width, dims };
        let pads = !query.tail_mask();
        match (0..width).find(|&b| query.plane(b)[words - 1] & pads != 0) {
            Some(plane) => Err(QueryPlanesError::Pad { plane }),
            None => Ok(query),
        }
    }

    /// Returns the number of dimensions.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Returns the number of words in a plane, of the query and of each level of a code.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words
    }

    /// Returns the number of planes, `Q` in the formulas.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns plane `b`, the most significant first.
    ///
    /// # Panics
    ///
    /// When `b` is not below [`QueryPlanes::width`].
    #[must_use]
    pub fn plane(&self, b: usize) -> &'a [u64] {
        &self.planes[b * self.words..(b + 1) * self.words]
    }

    /// Returns the planes, the most significant first.
    pub(super) fn planes(&self) -> impl Iterator<Item = &'a [u64]> + use<'a> {
        self.planes.chunks_exact(self.words)
    }

    /// Returns the largest share of one plane of a code: `(2^Q - 1) * D`.
    pub(super) fn full_score(&self) -> i32 {
        ((1 << self.width) - 1) * self.dims as i32
    }

    /// Returns the bits of the last word that belong to dimensions.
    pub(crate) fn tail_mask(&self) -> u64 {
        let used = self.dims - (self.words - 1) * 64;
        u64::MAX >> (64 - used)
    }
}

/// Words that are not the planes of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryPlanesError {
    /// The number of dimensions is zero or above [`MAX_SCAN_DIMS`].
    Dims(usize),
    /// The number of words is not a whole number of planes, or not 1 to [`MAX_QUERY_WIDTH`].
    Length {
        /// Words in one plane.
        words: usize,
        /// Words given.
        actual: usize,
    },
    /// A bit past the last dimension is set.
    Pad {
        /// In which plane.
        plane: usize,
    },
}

impl fmt::Display for QueryPlanesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dims(dims) => {
                write!(
                    f,
                    "query dimensions out of range: expected 1 to {MAX_SCAN_DIMS}, got {dims}"
                )
            }
            Self::Length { words, actual } => write!(
                f,
                "query planes have the wrong length: expected 1 to {MAX_QUERY_WIDTH} times {words} \
                 words, got {actual}"
            ),
            Self::Pad { plane } => {
                write!(f, "query plane {plane} has a bit set past its last dimension")
            }
        }
    }
}

impl Error for QueryPlanesError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_planes_are_refused_by_name() {
        assert_eq!(QueryPlanes::new(&[], 0), Err(QueryPlanesError::Dims(0)));
        assert_eq!(
            QueryPlanes::new(&[0; 3], 65),
            Err(QueryPlanesError::Length { words: 2, actual: 3 })
        );
        assert!(QueryPlanes::new(&[], 65).is_err());
        assert!(QueryPlanes::new(&[0; 9], 64).is_err());
        assert_eq!(QueryPlanes::new(&[0, 0b1000], 3), Err(QueryPlanesError::Pad { plane: 1 }));
        let query = QueryPlanes::new(&[0, 0b111], 3).unwrap();
        assert_eq!((query.dims(), query.words(), query.width()), (3, 1, 2));
    }
}

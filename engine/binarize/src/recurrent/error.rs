//! Parts that give no recurrent binarizer.

use thiserror::Error;

use crate::layout::CodeLayoutError;
use crate::rotation::RotationError;

/// Parts that give no recurrent binarizer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecurrentError {
    /// Dimensions that no code has.
    #[error(transparent)]
    Layout(#[from] CodeLayoutError),
    /// Parameters that no rotation has.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// More code dimensions than the rotation gives.
    #[error("code of {code_dims} dimensions is longer than embeddings of {dims}")]
    TooLong {
        /// Those of the code.
        code_dims: usize,
        /// Those of embeddings.
        dims: usize,
    },
    /// Each level above the first takes a loop.
    #[error("{levels} levels take {} loops, got {loops}", levels.saturating_sub(1))]
    Loops {
        /// Levels of the code.
        levels: u8,
        /// Loops given.
        loops: usize,
    },
    /// A tensor of another shape.
    #[error("{map}: {tensor} takes {expected} numbers, got {actual}")]
    Shape {
        /// `W`, `B` or `R`.
        map: &'static str,
        /// Which of its tensors.
        tensor: &'static str,
        /// What the dimensions ask for.
        expected: usize,
        /// What was given.
        actual: usize,
    },
    /// A hidden layer of no or too many units.
    #[error("{map}: a hidden layer has 1 to {max} units, got {actual}", max = super::MAX_HIDDEN)]
    Hidden {
        /// `W`, `B` or `R`.
        map: &'static str,
        /// Units given.
        actual: usize,
    },
    /// A number that is not finite, or a factor that must be above zero and is not.
    #[error("{0} is not a number that it can be")]
    Number(&'static str),
    /// More quantiles than a file holds.
    #[error("at most {max} quantiles are kept, got {0}", max = super::MAX_QUANTILES)]
    Quantiles(usize),
}

//! Training that cannot go on.

use bigrain_binarize::{BinarizerError, PrepareQueryError, RecurrentError};
use thiserror::Error;

/// Training that cannot go on.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting outside its range.
    #[error("{name} out of range: expected {expected}, got {actual}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it was.
        actual: String,
    },
    /// Inputs that are too few, or do not fit together.
    #[error("{0}")]
    Input(String),
    /// The weights or the loss are no longer finite.
    #[error("training diverged at step {step}: try a lower learning rate")]
    Diverged {
        /// The step.
        step: u32,
    },
    /// A version that cannot be gone on from.
    #[error("the version to be compatible with: {0}")]
    Parent(String),
    /// Bytes that are not a checkpoint of this training.
    #[error("checkpoint: {0}")]
    Checkpoint(String),
    /// Parameters that give no binarizer.
    #[error(transparent)]
    Binarizer(#[from] BinarizerError),
    /// Weights that give no binarizer.
    #[error(transparent)]
    Recurrent(#[from] RecurrentError),
    /// A query that cannot be compared with codes.
    #[error(transparent)]
    Query(#[from] PrepareQueryError),
}

impl TrainError {
    pub(crate) fn setting(
        name: &'static str,
        expected: &'static str,
        actual: &impl ToString,
    ) -> Self {
        Self::Setting { name, expected, actual: actual.to_string() }
    }
}

//! Why the names of classes are refused.

use std::path::PathBuf;

use thiserror::Error;

use crate::encoder::EncodeError;

/// Names of classes that are refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClassNamesError {
    /// The folder asks for a classifier that is not known.
    #[error("{path}: classifier {actual:?} is not supported: expected {expected}")]
    Classifier {
        /// The file.
        path: PathBuf,
        /// What it names.
        actual: String,
        /// What it may name.
        expected: &'static str,
    },
    /// Another number of names than the classifier has classes.
    #[error("{path}: expected the names of {expected} classes, got {actual}")]
    Count {
        /// The file.
        path: PathBuf,
        /// Classes of the classifier.
        expected: usize,
        /// Names in the file.
        actual: usize,
    },
    /// A class without a name.
    #[error("{path}: class {class} has no name")]
    NoName {
        /// The file.
        path: PathBuf,
        /// Which class.
        class: usize,
    },
    /// A template that has no place for a name.
    #[error("{path}: template {template:?} has no {{label}}")]
    Template {
        /// The file.
        path: PathBuf,
        /// What it says.
        template: String,
    },
    /// A name that the sentence encoder refuses.
    #[error("{path}: {source}")]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: EncodeError,
    },
}

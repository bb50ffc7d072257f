//! Why a model folder is refused.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::architecture::ModelConfigError;

/// A model folder that is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelDirError {
    /// A file that must be there could not be read.
    #[error("read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// None of the files that would do is there.
    #[error("{path} has no {expected}")]
    MissingFile {
        /// The folder.
        path: PathBuf,
        /// The files looked for.
        expected: &'static str,
    },
    /// A file is not the JSON it should be.
    #[error("parse {path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it fails.
        #[source]
        source: serde_json::Error,
    },
    /// The model's configuration is refused.
    #[error("{path}: {source}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ModelConfigError,
    },
    /// `modules.json` names a step that is not supported, or steps in an order that is not.
    #[error(
        "{path}: module {module:?} is not supported: expected Transformer, Pooling, any number of \
         Dense, Normalize"
    )]
    Module {
        /// The file.
        path: PathBuf,
        /// The module.
        module: String,
    },
    /// A pooling that is not supported.
    #[error("{path}: pooling {actual} is not supported: expected one of {expected}")]
    Pooling {
        /// The file.
        path: PathBuf,
        /// The poolings it asks for.
        actual: String,
        /// The poolings there are.
        expected: &'static str,
    },
    /// A dense layer that is not supported, or does not fit what comes before it.
    #[error("{path}: {field} {actual} is not supported: expected {expected}")]
    Dense {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What it holds.
        actual: String,
        /// What it may hold.
        expected: String,
    },
    /// An index of shards names a file that is not one of the folder.
    #[error("{path}: shard {name:?} is not the name of a file")]
    Shard {
        /// The index.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A limit on tokens that the model's position table does not reach.
    #[error("max tokens out of range: expected 1 to {limit}, got {actual}")]
    MaxTokens {
        /// What the model has positions for.
        limit: usize,
        /// What was asked for.
        actual: usize,
    },
}

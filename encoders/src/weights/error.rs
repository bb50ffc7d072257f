//! Why weights are refused.

use std::fmt;
use std::io;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensorError};
use thiserror::Error;

use super::torch::TorchFileError;

/// How many tensors a message lists.
const MAX_LISTED: usize = 8;

/// Weights that are refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file could not be read.
    #[error("read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a whole safetensors file.
    #[error("{path} is not a valid safetensors file: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SafeTensorError,
    },
    /// The file is not a torch file we read.
    #[error("{path} is not a torch file that can be read: {source}")]
    Torch {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TorchFileError,
    },
    /// The tensors are not those of the model.
    #[error("{path} {mismatch}")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Which do not fit.
        mismatch: Box<TensorMismatch>,
    },
    /// A tensor holds something else than floating-point numbers.
    #[error("tensor {name}: expected f32, f16 or bf16, got {actual:?}")]
    Dtype {
        /// The tensor.
        name: String,
        /// What it holds.
        actual: Dtype,
    },
    /// A tensor of a layer in int8 has another type.
    #[error("tensor {name}: expected {expected:?}, got {actual:?}")]
    Int8Dtype {
        /// The tensor.
        name: String,
        /// What it must hold.
        expected: Dtype,
        /// What it holds.
        actual: Dtype,
    },
    /// An exact input of a layer in int8 is not an input of it, or is out of order.
    #[error("tensor {name}: {value} is out of order or not one of {inputs} inputs")]
    ExactInput {
        /// The tensor.
        name: String,
        /// The value.
        value: i32,
        /// Inputs of the layer.
        inputs: usize,
    },
    /// Layers of the same input have different exact inputs.
    #[error(
        "tensor {name} differs from {other}: layers of one input must have the same exact inputs"
    )]
    ExactInputsDiffer {
        /// The tensor.
        name: String,
        /// The one it should equal.
        other: String,
    },
    /// A weight is NaN or infinite.
    #[error("tensor {name}: value {position} is {value}, every weight must be finite")]
    NotFinite {
        /// The tensor.
        name: String,
        /// Which of its values.
        position: usize,
        /// What it holds.
        value: f32,
    },
}

/// How the tensors of a file differ from those a model needs; names are without the prefixes that
/// wrappers add. Displayed, each list is cut after its first names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorMismatch {
    /// Tensors the model needs and the file lacks.
    pub missing: Vec<String>,
    /// Tensors of another shape than the configuration says.
    pub wrong_shape: Vec<WrongShape>,
    /// Tensors of the file that the model has no use for: often the missing ones under other
    /// names. They alone are no reason to refuse a file.
    pub unused: Vec<String>,
}

/// A tensor of another shape than the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongShape {
    /// The tensor.
    pub name: String,
    /// The shape the configuration asks for.
    pub expected: Vec<usize>,
    /// The shape in the file.
    pub actual: Vec<usize>,
}

impl fmt::Display for TensorMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(format!(
                "lacks {} tensors the model needs: {}",
                self.missing.len(),
                listed(&self.missing)
            ));
        }
        if !self.wrong_shape.is_empty() {
            parts.push(format!(
                "has {} tensors in other shapes than its configuration says: {}",
                self.wrong_shape.len(),
                listed(&self.wrong_shape)
            ));
        }
        if !self.unused.is_empty() {
            parts.push(format!(
                "has {} tensors the model does not use: {}",
                self.unused.len(),
                listed(&self.unused)
            ));
        }
        f.write_str(&parts.join("; it "))
    }
}

impl fmt::Display for WrongShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {:?}, got {:?}", self.name, self.expected, self.actual)
    }
}

fn listed(items: &[impl fmt::Display]) -> String {
    let mut shown: Vec<String> = items.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    if items.len() > MAX_LISTED {
        shown.push(format!("and {} more", items.len() - MAX_LISTED));
    }
    shown.join(", ")
}

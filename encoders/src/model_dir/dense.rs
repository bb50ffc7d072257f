//! A dense layer behind the pooling (`2_Dense`).

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::ModelDirError;
use super::files::{self, parse_json, read};

/// A dense layer that the pooled vector goes through, as its folder describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenseModule {
    path: PathBuf,
    /// Values it takes.
    pub inputs: usize,
    /// Values it gives.
    pub outputs: usize,
    /// Whether it adds a bias.
    pub bias: bool,
    /// What it applies.
    pub activation: DenseActivation,
}

/// What a dense layer applies to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DenseActivation {
    /// Nothing.
    Identity,
    /// `tanh(x)`.
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

#[derive(Deserialize)]
struct DenseConfig {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    activation_function: String,
}

fn yes() -> bool {
    true
}

/// Sizes beyond any published model.
const MAX_FEATURES: usize = 1 << 20;

impl DenseModule {
    /// Reads the configuration in the module's folder.
    pub(super) fn read(folder: &Path) -> Result<Self, ModelDirError> {
        let path = folder.join("config.json");
        let config: DenseConfig = parse_json(&path, &read(&path)?)?;
        let refused = |field, actual: String, expected: String| ModelDirError::Dense {
            path: path.clone(),
            field,
            actual,
            expected,
        };
        let activation = match config.activation_function.rsplit('.').next() {
            Some("Identity") => DenseActivation::Identity,
            Some("Tanh") => DenseActivation::Tanh,
            Some("ReLU") => DenseActivation::Relu,
            _ => {
                let expected = "Identity, Tanh or ReLU".to_owned();
                return Err(refused("activation_function", config.activation_function, expected));
            }
        };
        for (field, size) in
            [("in_features", config.in_features), ("out_features", config.out_features)]
        {
            if !(1..=MAX_FEATURES).contains(&size) {
                return Err(refused(field, size.to_string(), format!("1 to {MAX_FEATURES}")));
            }
        }
        Ok(Self {
            path: folder.to_owned(),
            inputs: config.in_features,
            outputs: config.out_features,
            bias: config.bias,
            activation,
        })
    }

    /// Refuses a layer that takes another number of values than it is given.
    pub(super) fn check(&self, given: usize) -> Result<(), ModelDirError> {
        if self.inputs == given {
            return Ok(());
        }
        Err(ModelDirError::Dense {
            path: self.path.join("config.json"),
            field: "in_features",
            actual: self.inputs.to_string(),
            expected: format!("the {given} values before it"),
        })
    }

    /// The files of its weights.
    pub(crate) fn weights_files(&self) -> Result<Vec<PathBuf>, ModelDirError> {
        files::weights(&self.path)
    }
}

impl fmt::Display for DenseActivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity",
            Self::Tanh => "tanh",
            Self::Relu => "relu",
        })
    }
}

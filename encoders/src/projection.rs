//! A dense layer between pooling and normalisation.

use crate::model_dir::{DenseActivation, DenseModule, ModelDirError};
use crate::nn::dense;
use crate::weights::{Checkpoint, TensorSpec, WeightsError};

/// `activation(x Wᵀ + b)` on pooled vectors.
#[derive(Debug)]
pub(crate) struct Projection {
    weight: Vec<f32>,
    bias: Vec<f32>,
    activation: DenseActivation,
}

/// A dense layer that could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildProjectionError {
    #[error(transparent)]
    Folder(#[from] ModelDirError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl Projection {
    /// Reads the weights of a module, and feeds all that decides its result to `hasher`.
    pub(crate) fn build(
        module: &DenseModule,
        hasher: &mut blake3::Hasher,
    ) -> Result<Self, BuildProjectionError> {
        let checkpoint = Checkpoint::open(&module.weights_files()?)?;
        let tensors = checkpoint.tensors()?;
        let spec = |name: &str, shape: &[usize]| TensorSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
        };
        let mut specs = vec![spec("linear.weight", &[module.outputs, module.inputs])];
        if module.bias {
            specs.push(spec("linear.bias", &[module.outputs]));
        }
        tensors.check_model(&specs)?;
        hasher.update(format!("dense {}\n", module.activation).as_bytes());
        tensors.hash(&specs, hasher);
        Ok(Self {
            weight: tensors.read("linear.weight")?,
            bias: if module.bias {
                tensors.read("linear.bias")?
            } else {
                vec![0.0; module.outputs]
            },
            activation: module.activation,
        })
    }

    /// Returns the result for vectors one after the other.
    pub(crate) fn apply(&self, vectors: &[f32]) -> Vec<f32> {
        let mut out = dense(vectors, &self.weight, &self.bias);
        match self.activation {
            DenseActivation::Identity => {}
            DenseActivation::Tanh => out.iter_mut().for_each(|value| *value = value.tanh()),
            DenseActivation::Relu => out.iter_mut().for_each(|value| *value = value.max(0.0)),
        }
        out
    }
}

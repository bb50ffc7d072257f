//! Learned weights of blocks.

use std::path::Path;

use super::aggregator::AggregatorError;
use crate::weights::{Checkpoint, TensorSpec, Tensors, WeightsError};

/// Weighs the blocks of a snippet: `softmax_i(w · e_i + b)`, or with two layers
/// `softmax_i(w₂ · tanh(W₁ e_i + b₁) + b₂)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    dims: usize,
    /// Rows of `dims` weights and their bias: one row, or those of the hidden layer.
    first: Vec<f32>,
    first_bias: Vec<f32>,
    /// Weights of the hidden layer and their bias; none with one layer.
    second: Vec<f32>,
    second_bias: f32,
    gain: f32,
}

const FIRST: &str = "fusion_layer.embedding_common.0.weight";
const FIRST_BIAS: &str = "fusion_layer.embedding_common.0.bias";
const SECOND: &str = "fusion_layer.embedding_common.2.weight";
const SECOND_BIAS: &str = "fusion_layer.embedding_common.2.bias";
const GAIN: &str = "fusion_layer.global_emb_weight_net.weight";

impl Attention {
    /// Opens a safetensors file with the tensors of the published code, `fusion_layer.*`; one layer or
    /// two, as the file has.
    ///
    /// # Errors
    ///
    /// [`AggregatorError`] names the file and the tensor that is missing or has another shape.
    pub fn open(path: &Path, dims: usize) -> Result<Self, AggregatorError> {
        let checkpoint = Checkpoint::open(&[path])?;
        Ok(Self::read(&checkpoint.tensors()?, dims)?)
    }

    fn read(tensors: &Tensors<'_>, dims: usize) -> Result<Self, WeightsError> {
        let spec = |name: &str, shape: &[usize]| TensorSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
        };
        let first = tensors.read(FIRST)?;
        let second = if tensors.has(SECOND) { Some(tensors.read(SECOND)?) } else { None };
        let hidden = second.as_ref().map_or(1, Vec::len);
        let mut specs = vec![spec(FIRST, &[hidden, dims]), spec(FIRST_BIAS, &[hidden])];
        if second.is_some() {
            specs.extend([spec(SECOND, &[1, hidden]), spec(SECOND_BIAS, &[1])]);
        }
        tensors.check(&specs)?;
        let gain = if tensors.has(GAIN) {
            tensors.check(&[spec(GAIN, &[1, 1])])?;
            tensors.read(GAIN)?.first().copied().unwrap_or(1.0)
        } else {
            1.0
        };
        let second_bias = match second {
            Some(_) => tensors.read(SECOND_BIAS)?.first().copied().unwrap_or_default(),
            None => 0.0,
        };
        let first_bias = tensors.read(FIRST_BIAS)?;
        Ok(Self { dims, first, first_bias, second: second.unwrap_or_default(), second_bias, gain })
    }

    /// Values of the vectors it weighs.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// How much the global vector counts beside the attention.
    #[must_use]
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// Returns the weight of each vector; they sum to one.
    pub(super) fn weights<'r>(&self, rows: impl Iterator<Item = &'r [f32]>) -> Vec<f32> {
        let mut weights: Vec<f32> = rows.map(|row| self.logit(row)).collect();
        let largest = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for weight in &mut weights {
            *weight = (*weight - largest).exp();
            sum += *weight;
        }
        weights.iter_mut().for_each(|weight| *weight /= sum);
        weights
    }

    fn logit(&self, row: &[f32]) -> f32 {
        let layer = self.first.chunks_exact(self.dims.max(1)).zip(&self.first_bias);
        let mut hidden = layer.map(|(weights, bias)| dot(weights, row) + bias);
        if self.second.is_empty() {
            return hidden.next().unwrap_or_default();
        }
        let hidden: Vec<f32> = hidden.map(f32::tanh).collect();
        dot(&self.second, &hidden) + self.second_bias
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use super::*;

    /// A file with tensors of these names, shapes and values.
    fn file(tensors: &[(&str, &[usize], &[f32])]) -> tempfile::NamedTempFile {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, _, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect())
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), safetensors::serialize(views, None).unwrap()).unwrap();
        file
    }

    const ROWS: [&[f32]; 2] = [&[1.0, 0.0], &[0.0, 1.0]];

    #[test]
    fn one_layer_is_a_softmax_over_blocks() {
        let file = file(&[(FIRST, &[1, 2], &[2.0, 0.0]), (FIRST_BIAS, &[1], &[5.0])]);
        let attention = Attention::open(file.path(), 2).unwrap();
        let weights = attention.weights(ROWS.into_iter());
        // softmax(7, 5) = 1 / (1 + e^-2)
        assert!((weights[0] - 0.880_797).abs() < 1e-6, "{weights:?}");
        assert!((weights[0] + weights[1] - 1.0).abs() < 1e-6);
        assert!((attention.gain() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn two_layers_have_a_tanh_between_them() {
        let file = file(&[
            (FIRST, &[3, 2], &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]),
            (FIRST_BIAS, &[3], &[0.0, 0.0, 9.0]),
            (SECOND, &[1, 3], &[1.0, -1.0, 0.5]),
            (SECOND_BIAS, &[1], &[0.25]),
            (GAIN, &[1, 1], &[0.5]),
        ]);
        let attention = Attention::open(file.path(), 2).unwrap();
        let weights = attention.weights(ROWS.into_iter());
        // The logits are ±tanh(1) and a constant: softmax = 1 / (1 + e^(-2 tanh 1)).
        assert!((weights[0] - 0.821_000).abs() < 1e-4, "{weights:?}");
        assert!((attention.gain() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn files_of_other_shapes_are_refused() {
        let refusal = |tensors: &[(&str, &[usize], &[f32])]| {
            Attention::open(file(tensors).path(), 2).unwrap_err().to_string()
        };
        let none = refusal(&[("x", &[1], &[0.0])]);
        assert!(
            none.ends_with(
                "lacks 1 tensors the model needs: fusion_layer.embedding_common.0.weight"
            ),
            "{none}"
        );
        let wide = refusal(&[(FIRST, &[1, 3], &[0.0; 3]), (FIRST_BIAS, &[1], &[0.0])]);
        assert!(wide.ends_with(&format!("{FIRST}: expected [1, 2], got [1, 3]")), "{wide}");
    }
}

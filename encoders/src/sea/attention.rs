//! Learned weights of blocks.

use std::collections::HashMap;
use std::path::Path;

use bigrain_types::EmbeddingSpaceId;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::aggregator::AggregatorError;
use crate::weights::{Checkpoint, TensorSpec, Tensors, WeightsError};

/// Weighs the blocks of a snippet: `softmax_i(w · e_i + b)`, or with two layers
/// `softmax_i(w₂ · tanh(W₁ e_i + b₁) + b₂)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    parts: AttentionParts,
    origin: Option<AttentionOrigin>,
}

/// The numbers of an attention.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttentionParts {
    /// Values of the vectors it weighs.
    pub dims: usize,
    /// Rows of `dims` weights: one, or those of the hidden layer.
    pub first: Vec<f32>,
    /// A bias for each row.
    pub first_bias: Vec<f32>,
    /// Weights of the hidden layer; none with one layer.
    pub second: Vec<f32>,
    /// Their bias; 0 with one layer.
    pub second_bias: f32,
    /// How much the global vector counts beside the attention; none where there is none.
    pub gain: Option<f32>,
}

/// Where an attention comes from, and what it was worth there on queries that it was not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttentionOrigin {
    /// The space of the blocks that it was trained on.
    pub space: EmbeddingSpaceId,
    /// Seed of the training.
    pub training_seed: u64,
    /// Steps of the training.
    pub steps: u32,
    /// Queries that were held out.
    pub queries: u32,
    /// Their mean reciprocal rank by the mean of blocks.
    pub mean: f64,
    /// And by the attention.
    pub learned: f64,
    /// The difference in 95 of 100 resamplings: from here ..
    pub low: f64,
    /// .. to here.
    pub high: f64,
}

const FIRST: &str = "fusion_layer.embedding_common.0.weight";
const FIRST_BIAS: &str = "fusion_layer.embedding_common.0.bias";
const SECOND: &str = "fusion_layer.embedding_common.2.weight";
const SECOND_BIAS: &str = "fusion_layer.embedding_common.2.bias";
const GAIN: &str = "fusion_layer.global_emb_weight_net.weight";

/// What the origin is called among a file's own remarks.
const ORIGIN: &str = "bigrain_attention";

impl Attention {
    /// Takes the numbers of a training.
    ///
    /// # Errors
    ///
    /// [`AggregatorError::Parts`] for numbers that do not fit together, or are not finite.
    pub fn new(parts: AttentionParts, origin: AttentionOrigin) -> Result<Self, AggregatorError> {
        let AttentionParts { dims, first, first_bias, second, second_bias, gain } = &parts;
        let hidden = second.len().max(1);
        let refuse = |reason: String| Err(AggregatorError::Parts(reason));
        if *dims == 0 || first.len() != hidden * dims || first_bias.len() != hidden {
            let (weights, biases) = (first.len(), first_bias.len());
            return refuse(format!(
                "expected {hidden} row(s) of {dims} weights and a bias each, got {weights} weights and {biases} biases"
            ));
        }
        let single = [*second_bias, gain.unwrap_or_default()];
        let mut all = first.iter().chain(first_bias).chain(second).chain(&single);
        if all.any(|value| !value.is_finite()) {
            return refuse("a number is not finite".to_owned());
        }
        Ok(Self { parts, origin: Some(origin) })
    }

    /// Opens a safetensors file with the tensors of the published code, `fusion_layer.*`; one layer or
    /// two, as the file has.
    ///
    /// # Errors
    ///
    /// [`AggregatorError`] names the file and the tensor that is missing or has another shape.
    pub fn open(path: &Path, dims: usize) -> Result<Self, AggregatorError> {
        let checkpoint = Checkpoint::open(&[path])?;
        let parts = Self::read(&checkpoint.tensors()?, dims)?;
        let origin = checkpoint.remark(ORIGIN).map(|origin| serde_json::from_str(&origin));
        let origin = origin
            .transpose()
            .map_err(|source| AggregatorError::Origin { path: path.to_owned(), source })?;
        Ok(Self { parts, origin })
    }

    fn read(tensors: &Tensors<'_>, dims: usize) -> Result<AttentionParts, WeightsError> {
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
            tensors.read(GAIN)?.first().copied()
        } else {
            None
        };
        let second_bias = match second {
            Some(_) => tensors.read(SECOND_BIAS)?.first().copied().unwrap_or_default(),
            None => 0.0,
        };
        let (first_bias, second) = (tensors.read(FIRST_BIAS)?, second.unwrap_or_default());
        Ok(AttentionParts { dims, first, first_bias, second, second_bias, gain })
    }

    /// Returns the bytes of a file that [`Attention::open`] opens.
    ///
    /// # Errors
    ///
    /// [`AggregatorError::Write`] when there is no such file of these numbers.
    pub fn to_bytes(&self) -> Result<Vec<u8>, AggregatorError> {
        let AttentionParts { dims, first, first_bias, second, second_bias, gain } = &self.parts;
        let hidden = first_bias.len();
        let mut tensors: Vec<(&str, Vec<usize>, &[f32])> =
            vec![(FIRST, vec![hidden, *dims], first), (FIRST_BIAS, vec![hidden], first_bias)];
        if !second.is_empty() {
            tensors.push((SECOND, vec![1, hidden], second));
            tensors.push((SECOND_BIAS, vec![1], std::slice::from_ref(second_bias)));
        }
        tensors.extend(gain.as_slice().chunks(1).map(|gain| (GAIN, vec![1, 1], gain)));
        let bytes_of = |values: &[f32]| -> Vec<u8> {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, _, values)| bytes_of(values)).collect();
        let mut views = Vec::new();
        for ((name, shape, _), bytes) in tensors.into_iter().zip(&bytes) {
            views.push((name, TensorView::new(Dtype::F32, shape, bytes)?));
        }
        // One remark: with more their order, and so the bytes, would be another each time.
        let about = self.origin.as_ref().and_then(|origin| serde_json::to_string(origin).ok());
        let about = about.map(|about| HashMap::from([(ORIGIN.to_owned(), about)]));
        Ok(safetensors::serialize(views, about)?)
    }

    /// Values of the vectors it weighs.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.parts.dims
    }

    /// How much the global vector counts beside the attention; 1 where it says nothing of it.
    #[must_use]
    pub fn gain(&self) -> f32 {
        self.parts.gain.unwrap_or(1.0)
    }

    /// Whether it says how much a global vector counts beside it, and so was trained with one.
    #[must_use]
    pub fn has_gain(&self) -> bool {
        self.parts.gain.is_some()
    }

    /// Where it comes from, as far as its file says.
    #[must_use]
    pub fn origin(&self) -> Option<&AttentionOrigin> {
        self.origin.as_ref()
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
        let AttentionParts { dims, first, first_bias, second, second_bias, .. } = &self.parts;
        let layer = first.chunks_exact((*dims).max(1)).zip(first_bias);
        let mut hidden = layer.map(|(weights, bias)| dot(weights, row) + bias);
        if second.is_empty() {
            return hidden.next().unwrap_or_default();
        }
        let hidden: Vec<f32> = hidden.map(f32::tanh).collect();
        dot(second, &hidden) + second_bias
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
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

    fn origin() -> AttentionOrigin {
        let space = EmbeddingSpaceId::from_bytes([7; 16]);
        AttentionOrigin {
            space,
            training_seed: u64::MAX,
            steps: 1000,
            queries: 300,
            mean: 0.25,
            learned: 0.5,
            low: 0.1,
            high: 0.375,
        }
    }

    #[test]
    fn what_was_learned_comes_back_from_its_file() {
        let two = AttentionParts {
            dims: 2,
            first: vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
            first_bias: vec![0.0, 0.0, 9.0],
            second: vec![1.0, -1.0, 0.5],
            second_bias: 0.25,
            gain: Some(0.5),
        };
        let one = AttentionParts {
            dims: 2,
            first: vec![2.0, 0.0],
            first_bias: vec![5.0],
            ..AttentionParts::default()
        };
        for parts in [one, two] {
            let attention = Attention::new(parts, origin()).unwrap();
            let bytes = attention.to_bytes().unwrap();
            assert_eq!(bytes, attention.to_bytes().unwrap());
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let read = Attention::open(file.path(), 2).unwrap();
            assert_eq!((read.origin(), &read), (Some(&origin()), &attention));
        }
    }

    #[test]
    fn numbers_that_do_not_fit_together_are_refused() {
        let refusal = |first: Vec<f32>, first_bias: Vec<f32>| {
            let parts = AttentionParts { dims: 2, first, first_bias, ..AttentionParts::default() };
            Attention::new(parts, origin()).unwrap_err().to_string()
        };
        assert_eq!(
            refusal(vec![1.0; 4], vec![0.0]),
            "attention: expected 1 row(s) of 2 weights and a bias each, got 4 weights and 1 biases"
        );
        assert_eq!(refusal(vec![1.0, f32::NAN], vec![0.0]), "attention: a number is not finite");
    }

    #[test]
    fn an_origin_that_is_none_is_refused() {
        let parts = AttentionParts {
            dims: 2,
            first: vec![0.0; 2],
            first_bias: vec![0.0],
            ..AttentionParts::default()
        };
        let bytes = Attention::new(parts, origin()).unwrap().to_bytes().unwrap();
        let place = bytes.windows(5).position(|bytes| bytes == b"steps").unwrap();
        let mut wrong = bytes;
        wrong[place] = b'x';
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), wrong).unwrap();
        let error = Attention::open(file.path(), 2).unwrap_err().to_string();
        assert!(error.contains("where it comes from"), "{error}");
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

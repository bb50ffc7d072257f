//! Attention over the blocks of documents as it is trained: forward and backward (SEA).
//!
//! ```text
//!  l_i = w · e_i                              one layer
//!  l_i = w₂ · tanh(W₁ e_i + b₁)               two layers
//!  a   = softmax(l)                           over the blocks of a document
//!  v   = Σ a_i e_i                            or ½ Σ a_i e_i + ½ g · mean e_i
//!  z   = v / ‖v‖
//! ```
//!
//! A number added to all `l_i` of a document changes nothing, so the last layer has no bias. `w` or `w₂`
//! begins as zero: all blocks weigh the same, and `z` is the mean of the blocks, of length one. `g` begins as
//! one, which is the same mean.

use crate::matrix::{As, Matrix};

/// The trained numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attention {
    /// One row, or those of the hidden layer.
    pub first: Matrix,
    /// Of the hidden layer; none with one layer.
    pub first_bias: Vec<f32>,
    /// Weights of the hidden layer; none with one layer.
    pub second: Vec<f32>,
    /// How much the mean counts beside the attention; none if it does not.
    pub gain: Vec<f32>,
}

/// The blocks of some documents.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    /// A row each, document after document.
    pub rows: Matrix,
    /// Where the blocks of each document begin, and the end.
    pub starts: Vec<usize>,
}

/// What the backward pass needs of the forward pass.
#[derive(Debug)]
pub(crate) struct Passed {
    /// Behind the tanh; nothing with one layer.
    units: Matrix,
    /// Of each block.
    weights: Vec<f32>,
    /// Of each document; nothing where no mean counts.
    means: Matrix,
    /// Of each document, of length one, and what their lengths were.
    pub vectors: Matrix,
    lengths: Vec<f32>,
}

impl Blocks {
    fn documents(&self) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> {
        self.starts.windows(2).map(|ends| ends[0]..ends[1])
    }
}

impl Attention {
    /// Returns an attention that weighs all blocks alike: of two layers with `hidden` units, whose inputs are
    /// drawn by `draw`, or of one layer with 0.
    pub fn new(
        dims: usize,
        hidden: usize,
        with_mean: bool,
        draw: &mut impl FnMut() -> f32,
    ) -> Self {
        let (first, second) = if hidden == 0 {
            (Matrix::zeros(1, dims), Vec::new())
        } else {
            // Blocks have length one, so what comes to a unit has deviation one.
            let values = (0..hidden * dims).map(|_| draw()).collect();
            (Matrix { rows: hidden, cols: dims, values }, vec![0.0; hidden])
        };
        let gain = if with_mean { vec![1.0] } else { Vec::new() };
        Self { first, first_bias: vec![0.0; hidden], second, gain }
    }

    /// Returns the numbers that are trained.
    pub fn tensors(&self) -> [&Vec<f32>; 4] {
        [&self.first.values, &self.first_bias, &self.second, &self.gain]
    }

    /// As [`Attention::tensors`], to be changed.
    pub fn tensors_mut(&mut self) -> [&mut Vec<f32>; 4] {
        [&mut self.first.values, &mut self.first_bias, &mut self.second, &mut self.gain]
    }

    /// Returns a vector of length one for each document, and what the backward pass needs.
    pub fn forward(&self, blocks: &Blocks) -> Passed {
        let rows = &blocks.rows;
        let mut units = Matrix::product(rows, As::Is, &self.first, As::Transposed, 1.0);
        let mut weights = if self.second.is_empty() {
            std::mem::take(&mut units.values)
        } else {
            units.add_row(&self.first_bias);
            units.values.iter_mut().for_each(|unit| *unit = unit.tanh());
            units.iter_rows().map(|units| dot(units, &self.second)).collect()
        };
        let documents = blocks.starts.len().saturating_sub(1);
        let mut vectors = Matrix::zeros(documents, rows.cols);
        let mut means = Matrix::zeros(if self.gain.is_empty() { 0 } else { documents }, rows.cols);
        let (share, gain) = self.shares();
        for (document, of_document) in blocks.documents().enumerate() {
            softmax(&mut weights[of_document.clone()]);
            let vector = vectors.row_mut(document);
            for block in of_document.clone() {
                add_scaled(vector, rows.row(block), share * weights[block]);
            }
            if let Some(gain) = gain {
                let mean = means.row_mut(document);
                let each = 1.0 / of_document.len().max(1) as f32;
                of_document.for_each(|block| add_scaled(mean, rows.row(block), each));
                add_scaled(vector, mean, share * gain);
            }
        }
        let lengths = vectors.normalize_rows();
        Passed { units, weights, means, vectors, lengths }
    }

    /// Returns the gradients of a pass, in the order of [`Attention::tensors`]; `vectors` is the gradient of
    /// the vectors of length one.
    pub fn backward(&self, blocks: &Blocks, passed: &Passed, mut vectors: Matrix) -> [Vec<f32>; 4] {
        vectors.normalize_backward(&passed.vectors, &passed.lengths);
        let rows = &blocks.rows;
        let (share, gain) = self.shares();
        let mut gain_gradient = vec![0.0; self.gain.len()];
        // Of what goes into the softmax.
        let mut scores = vec![0.0; passed.weights.len()];
        for (document, of_document) in blocks.documents().enumerate() {
            let gradient = vectors.row(document);
            if gain.is_some() {
                gain_gradient[0] += share * dot(gradient, passed.means.row(document));
            }
            let mut mean = 0.0;
            for block in of_document.clone() {
                scores[block] = share * dot(gradient, rows.row(block));
                mean += passed.weights[block] * scores[block];
            }
            for block in of_document {
                scores[block] = passed.weights[block] * (scores[block] - mean);
            }
        }
        let count = scores.len();
        let scores = Matrix { rows: count, cols: 1, values: scores };
        let first = |units: &Matrix| Matrix::product(units, As::Transposed, rows, As::Is, 1.0);
        if self.second.is_empty() {
            return [first(&scores).values, Vec::new(), Vec::new(), gain_gradient];
        }
        let second = Matrix::product(&scores, As::Transposed, &passed.units, As::Is, 1.0).values;
        let mut units = passed.units.clone();
        let hidden = self.second.len();
        for (units, score) in units.values.chunks_exact_mut(hidden).zip(&scores.values) {
            for (unit, weight) in units.iter_mut().zip(&self.second) {
                *unit = score * weight * (1.0 - *unit * *unit);
            }
        }
        let mut bias = vec![0.0; hidden];
        units.add_column_sums(&mut bias);
        [first(&units).values, bias, second, gain_gradient]
    }

    /// Returns what part of a vector its attention and its mean each are, and the gain of the mean.
    fn shares(&self) -> (f32, Option<f32>) {
        let gain = self.gain.first().copied();
        (if gain.is_some() { 0.5 } else { 1.0 }, gain)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(to: &mut [f32], row: &[f32], factor: f32) {
    to.iter_mut().zip(row).for_each(|(to, value)| *to += factor * value);
}

fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::MIN, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{check_gradient, random};

    const DIMS: usize = 6;

    fn blocks() -> Blocks {
        let mut rows = random(9, DIMS, 1);
        rows.normalize_rows();
        Blocks { rows, starts: vec![0, 3, 4, 9] }
    }

    fn attention(hidden: usize, with_mean: bool) -> Attention {
        let mut numbers = random(1, 4096, 5).values.into_iter();
        let mut draw = || numbers.next().unwrap();
        Attention::new(DIMS, hidden, with_mean, &mut draw)
    }

    #[test]
    fn before_training_a_document_is_the_mean_of_its_blocks() {
        let blocks = blocks();
        for (hidden, with_mean) in [(0, false), (4, false), (0, true), (4, true)] {
            let passed = attention(hidden, with_mean).forward(&blocks);
            for (document, of_document) in blocks.documents().enumerate() {
                let mut mean = vec![0.0; DIMS];
                of_document.for_each(|block| add_scaled(&mut mean, blocks.rows.row(block), 1.0));
                let length = dot(&mean, &mean).sqrt();
                let vector = passed.vectors.row(document);
                let near = |(x, mean): (&f32, &f32)| (x - mean / length).abs() < 1e-6;
                assert!(vector.iter().zip(&mean).all(near), "{hidden} {with_mean}: {vector:?}");
            }
        }
    }

    #[test]
    fn gradients_of_every_tensor_are_those_of_finite_differences() {
        let (blocks, weights) = (blocks(), random(3, DIMS, 2));
        for (hidden, with_mean) in [(0, false), (4, false), (0, true), (4, true)] {
            let mut attention = attention(hidden, with_mean);
            let mut numbers = random(1, 99, 7).values.into_iter();
            for tensor in attention.tensors_mut() {
                tensor.iter_mut().for_each(|x| *x += numbers.next().unwrap());
            }
            // A loss whose gradient with respect to the vectors is `weights`.
            let loss = |attention: &Attention| -> f64 {
                let vectors = attention.forward(&blocks).vectors;
                let pairs = vectors.values.iter().zip(&weights.values);
                pairs.map(|(z, w)| f64::from(z * w)).sum()
            };
            let passed = attention.forward(&blocks);
            let stated = attention.backward(&blocks, &passed, weights.clone());
            for (tensor, stated) in stated.iter().enumerate() {
                let values = attention.tensors()[tensor].clone();
                check_gradient(&values, stated, |values| {
                    let mut moved = attention.clone();
                    values.clone_into(moved.tensors_mut()[tensor]);
                    loss(&moved)
                });
            }
        }
    }
}

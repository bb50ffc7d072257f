//! A residual MLP as it is trained: `P x + bias + out relu(norm(into x))`.
//!
//! `P` begins as the rotation (or its inverse) and `out` and `bias` as zero, so that training starts
//! from the training-free code. `norm` is batch normalisation; its running mean and variance are
//! folded into the hidden layer when the map is exported.

use bigrain_binarize::{HiddenLayer, ResidualMap};

use crate::matrix::{As, Matrix};

/// What is added to a variance before its root is taken.
const EPSILON: f32 = 1e-5;

/// How much of the running statistics each batch replaces.
const MOMENTUM: f32 = 0.1;

/// The trained map and its gradients.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    /// What the map was before training, to tell what was learned.
    base: Matrix,
    pub linear: Matrix,
    pub bias: Vec<f32>,
    pub hidden: Option<Hidden>,
}

/// The hidden layer: linear, batch normalisation, rectifier, linear.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    pub into: Matrix,
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    pub out: Matrix,
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
}

/// What the backward pass needs of the forward pass.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    input: Matrix,
    /// Normalised, before scale and shift; and behind the rectifier.
    normalized: Matrix,
    units: Matrix,
    inverse_deviation: Vec<f32>,
}

/// Gradients of a map, in the order of [`Map::tensors`].
#[derive(Clone, Debug)]
pub(crate) struct MapGradient(pub Vec<Vec<f32>>);

impl Map {
    /// Returns a map that is `base` (`outputs x inputs`) with `units` hidden ones, whose inputs are
    /// drawn by `draw`, or none.
    pub fn new(base: Matrix, units: usize, draw: &mut impl FnMut() -> f32) -> Self {
        let (outputs, inputs) = (base.rows, base.cols);
        let hidden = (units > 0).then(|| {
            // Xavier's variance.
            let deviation = (2.0 / (inputs + units) as f32).sqrt();
            let values = (0..units * inputs).map(|_| deviation * draw()).collect();
            Hidden {
                into: Matrix { rows: units, cols: inputs, values },
                scale: vec![1.0; units],
                shift: vec![0.0; units],
                out: Matrix::zeros(outputs, units),
                mean: vec![0.0; units],
                variance: vec![1.0; units],
            }
        });
        Self { linear: base.clone(), bias: vec![0.0; outputs], hidden, base }
    }

    /// Takes over what was learned, of a map without a hidden layer.
    pub fn learn(&mut self, learned: &ResidualMap) {
        let deltas = self.linear.values.iter_mut().zip(&learned.delta);
        deltas.for_each(|(weight, delta)| *weight += delta);
        self.bias.iter_mut().zip(&learned.bias).for_each(|(bias, learned)| *bias += learned);
    }

    /// Returns the numbers that are trained.
    pub fn tensors(&self) -> Vec<&[f32]> {
        let mut tensors = vec![&self.linear.values[..], &self.bias];
        if let Some(hidden) = &self.hidden {
            tensors.extend([&hidden.into.values[..], &hidden.scale, &hidden.shift]);
            tensors.push(&hidden.out.values);
        }
        tensors
    }

    /// As [`Map::tensors`], to be changed.
    pub fn tensors_mut(&mut self) -> Vec<&mut Vec<f32>> {
        let mut tensors = vec![&mut self.linear.values, &mut self.bias];
        if let Some(hidden) = &mut self.hidden {
            tensors.extend([&mut hidden.into.values, &mut hidden.scale, &mut hidden.shift]);
            tensors.push(&mut hidden.out.values);
        }
        tensors
    }

    /// Returns the running statistics of the batches, which are not trained but kept.
    pub fn statistics_mut(&mut self) -> Vec<&mut Vec<f32>> {
        let hidden = self.hidden.as_mut();
        hidden.map_or_else(Vec::new, |hidden| vec![&mut hidden.mean, &mut hidden.variance])
    }

    /// Returns all numbers that a step changes: what is trained, and the running statistics.
    pub fn kept_mut(&mut self) -> Vec<&mut Vec<f32>> {
        let mut kept = vec![&mut self.linear.values, &mut self.bias];
        if let Some(hidden) = &mut self.hidden {
            kept.extend([&mut hidden.into.values, &mut hidden.scale, &mut hidden.shift]);
            kept.extend([&mut hidden.out.values, &mut hidden.mean, &mut hidden.variance]);
        }
        kept
    }

    /// Returns the map of each row, and what the backward pass needs; updates running statistics.
    pub fn forward(&mut self, input: Matrix) -> (Matrix, Passed) {
        let mut output = Matrix::product(&input, As::Is, &self.linear, As::Transposed, 1.0);
        output.add_row(&self.bias);
        let Some(hidden) = &mut self.hidden else {
            return (output, Passed { input, ..Passed::default() });
        };
        let mut normalized = Matrix::product(&input, As::Is, &hidden.into, As::Transposed, 1.0);
        let inverse_deviation = hidden.normalize(&mut normalized);
        let mut units = normalized.clone();
        for row in units.values.chunks_exact_mut(hidden.scale.len()) {
            for ((x, scale), shift) in row.iter_mut().zip(&hidden.scale).zip(&hidden.shift) {
                *x = (*x * scale + shift).max(0.0);
            }
        }
        output.add_product(&units, As::Is, &hidden.out, As::Transposed);
        (output, Passed { input, normalized, units, inverse_deviation })
    }

    /// Adds the gradients of a pass to `gradient`; returns that of the input.
    pub fn backward(&self, passed: &Passed, output: &Matrix, gradient: &mut MapGradient) -> Matrix {
        let mut add = |tensor: usize, product: Matrix| {
            gradient.0[tensor].iter_mut().zip(product.values).for_each(|(g, x)| *g += x);
        };
        add(0, Matrix::product(output, As::Transposed, &passed.input, As::Is, 1.0));
        let mut input = Matrix::product(output, As::Is, &self.linear, As::Is, 1.0);
        if let Some(hidden) = &self.hidden {
            add(5, Matrix::product(output, As::Transposed, &passed.units, As::Is, 1.0));
            let mut units = Matrix::product(output, As::Is, &hidden.out, As::Is, 1.0);
            for (gradient, unit) in units.values.iter_mut().zip(&passed.units.values) {
                if *unit <= 0.0 {
                    *gradient = 0.0;
                }
            }
            let (scale, shift) = hidden.normalize_backward(passed, &mut units);
            add(2, Matrix::product(&units, As::Transposed, &passed.input, As::Is, 1.0));
            let row = |values: Vec<f32>| Matrix { rows: 1, cols: values.len(), values };
            add(3, row(scale));
            add(4, row(shift));
            input.add_product(&units, As::Is, &hidden.into, As::Is);
        }
        output.add_column_sums(&mut gradient.0[1]);
        input
    }

    /// Returns what was learned, with batch normalisation folded in.
    pub fn export(&self) -> ResidualMap {
        let pairs = self.linear.values.iter().zip(&self.base.values);
        let hidden = self.hidden.as_ref().map(|hidden| {
            let mut folded =
                HiddenLayer { into: Vec::new(), bias: Vec::new(), out: hidden.out.values.clone() };
            for (unit, row) in hidden.into.iter_rows().enumerate() {
                let scale = hidden.scale[unit] / (hidden.variance[unit] + EPSILON).sqrt();
                folded.into.extend(row.iter().map(|x| x * scale));
                folded.bias.push(hidden.shift[unit] - hidden.mean[unit] * scale);
            }
            folded
        });
        ResidualMap {
            delta: pairs.map(|(p, base)| p - base).collect(),
            bias: self.bias.clone(),
            hidden,
        }
    }
}

impl MapGradient {
    /// Returns gradients of zero.
    pub fn zeros(map: &Map) -> Self {
        Self(map.tensors().into_iter().map(|tensor| vec![0.0; tensor.len()]).collect())
    }
}

impl Hidden {
    /// Normalises each column over the batch; returns the inverse deviations.
    fn normalize(&mut self, values: &mut Matrix) -> Vec<f32> {
        let rows = values.rows as f32;
        let mut mean = vec![0.0; values.cols];
        values.add_column_sums(&mut mean);
        mean.iter_mut().for_each(|sum| *sum /= rows);
        let mut variance = vec![0.0; values.cols];
        for row in values.iter_rows() {
            for ((sum, x), mean) in variance.iter_mut().zip(row).zip(&mean) {
                *sum += (x - mean) * (x - mean);
            }
        }
        variance.iter_mut().for_each(|sum| *sum /= rows);
        let inverse: Vec<f32> = variance.iter().map(|v| (v + EPSILON).sqrt().recip()).collect();
        let cols = values.cols;
        for row in values.values.chunks_exact_mut(cols) {
            for ((x, mean), inverse) in row.iter_mut().zip(&mean).zip(&inverse) {
                *x = (*x - mean) * inverse;
            }
        }
        let keep = |running: &mut Vec<f32>, batch: &[f32]| {
            running.iter_mut().zip(batch).for_each(|(old, new)| *old += MOMENTUM * (new - *old));
        };
        keep(&mut self.mean, &mean);
        keep(&mut self.variance, &variance);
        inverse
    }

    /// Turns the gradient behind scale and shift into that before the normalisation; returns those
    /// of scale and shift.
    fn normalize_backward(&self, passed: &Passed, units: &mut Matrix) -> (Vec<f32>, Vec<f32>) {
        let (rows, cols) = (units.rows as f32, units.cols);
        let (mut scale, mut shift) = (vec![0.0; cols], vec![0.0; cols]);
        units.add_column_sums(&mut shift);
        for (row, normalized) in units.iter_rows().zip(passed.normalized.iter_rows()) {
            for ((sum, g), x) in scale.iter_mut().zip(row).zip(normalized) {
                *sum += g * x;
            }
        }
        let normalized = passed.normalized.values.chunks_exact(cols);
        for (row, normalized) in units.values.chunks_exact_mut(cols).zip(normalized) {
            for (unit, (g, x)) in row.iter_mut().zip(normalized).enumerate() {
                let centred = *g - (shift[unit] + x * scale[unit]) / rows;
                *g = self.scale[unit] * passed.inverse_deviation[unit] * centred;
            }
        }
        (scale, shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{check_gradient, random};

    fn map(units: usize) -> Map {
        let mut numbers = random(1, 4096, 5).values.into_iter();
        let mut map = Map::new(random(4, 6, 1), units, &mut || numbers.next().unwrap());
        for tensor in map.tensors_mut() {
            tensor.iter_mut().for_each(|x| *x += 0.3 * numbers.next().unwrap());
        }
        map
    }

    /// A loss whose gradient with respect to the output is `weights`.
    fn loss(map: &Map, input: &Matrix, weights: &Matrix) -> f64 {
        let output = map.clone().forward(input.clone()).0;
        output.values.iter().zip(&weights.values).map(|(y, w)| f64::from(y * w)).sum()
    }

    #[test]
    fn gradients_of_every_tensor_and_the_input_are_those_of_finite_differences() {
        for units in [0, 5] {
            let (mut map, input, weights) = (map(units), random(7, 6, 2), random(7, 4, 3));
            let passed = map.forward(input.clone()).1;
            let mut gradient = MapGradient::zeros(&map);
            let of_input = map.backward(&passed, &weights, &mut gradient);
            check_gradient(&input.values, &of_input.values, |values| {
                let moved = Matrix { values: values.to_vec(), ..input.clone() };
                loss(&map, &moved, &weights)
            });
            for (tensor, stated) in gradient.0.iter().enumerate() {
                let values = map.tensors()[tensor].to_vec();
                check_gradient(&values, stated, |values| {
                    let mut moved = map.clone();
                    values.clone_into(moved.tensors_mut()[tensor]);
                    loss(&moved, &input, &weights)
                });
            }
        }
    }

    #[test]
    fn an_exported_map_is_the_base_and_what_was_learned() {
        // With running statistics equal to those of the batch, both are the same function.
        let (mut map, input) = (map(5), random(7, 6, 2));
        let mut normalized = {
            let hidden = map.hidden.as_ref().unwrap();
            Matrix::product(&input, As::Is, &hidden.into, As::Transposed, 1.0)
        };
        for _ in 0..400 {
            map.hidden.as_mut().unwrap().normalize(&mut normalized.clone());
        }
        map.hidden.as_mut().unwrap().normalize(&mut normalized);
        let exported = map.export();
        let base = map.base.clone();
        let output = map.forward(input.clone()).0;
        let hidden = exported.hidden.unwrap();
        for (row, expected) in input.iter_rows().zip(output.iter_rows()) {
            let dot = |a: &[f32]| a.iter().zip(row).map(|(a, x)| a * x).sum::<f32>();
            let units: Vec<f32> = hidden
                .into
                .chunks(6)
                .zip(&hidden.bias)
                .map(|(a, b)| (dot(a) + b).max(0.0))
                .collect();
            for (out, expected) in expected.iter().enumerate() {
                let of_units: f32 =
                    hidden.out[out * 5..][..5].iter().zip(&units).map(|(a, b)| a * b).sum();
                let linear = dot(base.row(out)) + dot(&exported.delta[out * 6..][..6]);
                let value = linear + exported.bias[out] + of_units;
                assert!((value - expected).abs() < 1e-3, "{value} {expected}");
            }
        }
    }
}

//! One weight in int8.

use bigrain_kernels::{Int8Matrix, Int8Parts, Int8Rows, PANEL_COLUMNS, multiply_i8};

use crate::nn::dense;

/// An input is exact if its largest value is more than this many times the median over all inputs.
///
/// The scale of a row follows from the largest value in it, so an input four times the others' size
/// costs them two bits. On MiniLM this is one to five inputs of a layer; half the ratio would be twenty,
/// and each costs two operations where a step of depth costs one.
const EXACT_RATIO: f32 = 4.0;
/// One input in this many at most is exact.
const EXACT_ONE_IN: usize = 32;

/// Returns the inputs that stay in `f32`, ascending, given the largest absolute value of each.
pub(super) fn choose_exact_inputs(largest: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..largest.len()).collect();
    order.sort_by(|&a, &b| largest[b].total_cmp(&largest[a]).then(a.cmp(&b)));
    let Some(&median) = order.get(order.len() / 2) else { return Vec::new() };
    let limit = EXACT_RATIO * largest[median];
    let mut exact: Vec<usize> = order
        .into_iter()
        .take(largest.len() / EXACT_ONE_IN)
        .take_while(|&input| largest[input] > limit)
        .collect();
    exact.sort_unstable();
    exact
}

/// A weight `[outputs, inputs]` in int8.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct QuantizedWeight {
    /// `[outputs, inputs]`; zero at exact inputs.
    pub(super) values: Vec<i8>,
    /// The value of one unit, for each output.
    pub(super) scales: Vec<f32>,
    /// Ascending.
    pub(super) exact_inputs: Vec<usize>,
    /// `[outputs, exact inputs]`.
    pub(super) exact_weights: Vec<f32>,
    inputs: usize,
}

impl QuantizedWeight {
    /// Quantises `weight`, `[outputs, inputs]`.
    pub(super) fn new(weight: &[f32], inputs: usize, exact_inputs: &[usize]) -> Self {
        let mut quantized = Self {
            values: Vec::with_capacity(weight.len()),
            scales: Vec::new(),
            exact_inputs: exact_inputs.to_vec(),
            exact_weights: Vec::new(),
            inputs,
        };
        for row in weight.chunks_exact(inputs.max(1)) {
            let mut kept = row.to_vec();
            for &input in exact_inputs {
                quantized.exact_weights.push(kept[input]);
                kept[input] = 0.0;
            }
            let scale = kept.iter().fold(0.0_f32, |most, value| most.max(value.abs())) / 127.0;
            let unit = scale.max(f32::MIN_POSITIVE);
            // The largest value is at most 127 units and one rounding.
            quantized
                .values
                .extend(kept.iter().map(|value| (value / unit).round_ties_even() as i8));
            quantized.scales.push(scale);
        }
        quantized
    }

    /// Outputs.
    pub(super) fn outputs(&self) -> usize {
        self.scales.len()
    }

    /// Returns the squares of the error and of the result itself, summed over all outputs of the rows
    /// of `sample`; `weight` is what was quantised.
    pub(super) fn error(&self, weight: &[f32], sample: &[f32]) -> (f64, f64) {
        let bias = vec![0.0; self.outputs()];
        let matrix = Int8Matrix::new(
            self.inputs,
            Int8Parts {
                weights: &self.values,
                scales: &self.scales,
                bias: &bias,
                exact_inputs: &self.exact_inputs,
                exact_weights: &self.exact_weights,
            },
        );
        let mut rows = Int8Rows::default();
        rows.quantize(&matrix, sample);
        let mut result = vec![0.0; rows.count() * self.outputs()];
        let panels = self.outputs().div_ceil(PANEL_COLUMNS);
        multiply_i8(&rows, &matrix, 0..panels, &mut result, self.outputs());
        let expected = dense(sample, weight, &bias);
        let squares = |values: &mut dyn Iterator<Item = f32>| -> f64 {
            values.map(|value| f64::from(value) * f64::from(value)).sum()
        };
        let error = squares(&mut result.iter().zip(&expected).map(|(a, b)| a - b));
        (error, squares(&mut expected.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn inputs_far_above_the_median_are_exact_and_they_are_few() {
        let mut largest = vec![1.0; 64];
        (largest[40], largest[3], largest[9]) = (30.0, 5.0, 3.9);
        assert_eq!(choose_exact_inputs(&largest), [3, 40]);
        largest[11] = 6.0;
        assert_eq!(choose_exact_inputs(&largest), [11, 40]);
        assert!(choose_exact_inputs(&[0.0; 64]).is_empty());
        assert!(choose_exact_inputs(&[]).is_empty());
    }

    #[test]
    fn an_exact_input_takes_the_error_of_a_large_column_away() {
        let (inputs, outputs) = (64, 10);
        let weight = wave(inputs * outputs, 0.7);
        let mut sample = wave(20 * inputs, 0.31);
        sample.chunks_exact_mut(inputs).for_each(|row| row[5] *= 50.0);
        let relative = |exact: &[usize]| {
            let (error, power) =
                QuantizedWeight::new(&weight, inputs, exact).error(&weight, &sample);
            (error / power).sqrt()
        };
        assert!(relative(&[5]) < 0.002, "{}", relative(&[5]));
        assert!(relative(&[]) > 5.0 * relative(&[5]), "{}", relative(&[]));
    }

    #[test]
    fn rows_reach_127_and_a_row_of_zeros_is_zero() {
        let weight = [0.5, -2.0, 1.0, 0.0, 0.0, 0.0];
        let quantized = QuantizedWeight::new(&weight, 3, &[2]);
        assert_eq!(quantized.values, [32, -127, 0, 0, 0, 0]);
        assert_eq!(quantized.scales, [2.0 / 127.0, 0.0]);
        assert_eq!(quantized.exact_weights, [1.0, 0.0]);
    }
}

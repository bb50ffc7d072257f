//! The safe door of the multiplication.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::{Int8Matrix, Int8Rows, PANEL_COLUMNS, Panel, TILE_ROWS, Tile, portable};
use crate::Isa;

#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// Multiplies rows by the columns `panels * 64..` of a matrix, to `out`, which has `stride` values from
/// one row to the next and begins at the first of these columns.
///
/// ```
/// use bigrain_kernels::{Int8Matrix, Int8Parts, Int8Rows, multiply_i8};
///
/// let matrix = Int8Matrix::new(2, Int8Parts {
///     weights: &[127, 0, -127, 127],                // two outputs of two inputs
///     scales: &[1.0 / 127.0, 2.0 / 127.0],
///     bias: &[0.0, 1.0],
///     exact_inputs: &[],
///     exact_weights: &[],
/// });
/// let mut rows = Int8Rows::default();
/// rows.quantize(&matrix, &[127.0, -10.0]);
/// let mut out = [0.0; 2];
/// multiply_i8(&rows, &matrix, 0..1, &mut out, 2);
/// assert!((out[0] - 127.0).abs() < 1e-3 && (out[1] - (1.0 - 2.0 * 137.0)).abs() < 1e-3);
/// ```
///
/// # Panics
///
/// When the rows were quantised for a matrix of another depth or with other exact inputs, there are
/// not that many panels, or `out` is too short.
pub fn multiply_i8(
    rows: &Int8Rows,
    matrix: &Int8Matrix,
    panels: std::ops::Range<usize>,
    out: &mut [f32],
    stride: usize,
) {
    multiply_i8_with(Isa::best(), rows, matrix, panels, (out, stride));
}

/// [`multiply_i8`] on the instruction set `isa`, or on portable code when this CPU lacks it; `out`
/// comes with its stride.
///
/// # Panics
///
/// As [`multiply_i8`].
pub fn multiply_i8_with(
    isa: Isa,
    rows: &Int8Rows,
    matrix: &Int8Matrix,
    panels: std::ops::Range<usize>,
    (out, stride): (&mut [f32], usize),
) {
    assert!(rows.fit(matrix), "rows were quantised for another matrix");
    let isa = if isa.is_available() { isa } else { Isa::Portable };
    let first_col = panels.start * PANEL_COLUMNS;
    let mut spare = [0.0; TILE_ROWS * PANEL_COLUMNS];
    for index in panels {
        let panel = matrix.panel(index);
        let col = index * PANEL_COLUMNS - first_col;
        let cols = PANEL_COLUMNS.min(matrix.cols() - index * PANEL_COLUMNS);
        for first in (0..rows.count()).step_by(TILE_ROWS) {
            let count = TILE_ROWS.min(rows.count() - first);
            let tile = rows.tile(first, count);
            let out = &mut out[first * stride + col..];
            if cols == PANEL_COLUMNS {
                multiply_tile(isa, tile, panel, out, stride);
                continue;
            }
            multiply_tile(isa, tile, panel, &mut spare, PANEL_COLUMNS);
            for (row, result) in spare.chunks_exact(PANEL_COLUMNS).enumerate().take(count) {
                out[row * stride..][..cols].copy_from_slice(&result[..cols]);
            }
        }
    }
}

/// Writes the product of a tile and a panel; `isa` is available.
fn multiply_tile(isa: Isa, tile: Tile<'_>, panel: Panel<'_>, out: &mut [f32], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        if isa == Isa::Avx512 {
            // SAFETY: the caller has confirmed the CPU's features.
            return unsafe { avx512::multiply(tile, panel, out, stride) };
        }
        if isa == Isa::Avx2 {
            // SAFETY: the caller has confirmed the CPU's features.
            return unsafe { avx2::multiply(tile, panel, out, stride) };
        }
    }
    let _ = isa;
    portable::multiply(tile, panel, out, stride);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Int8Parts, cpu, reference};

    /// A layer and rows for it, all from one seed.
    struct Layer {
        depth: usize,
        weights: Vec<i8>,
        scales: Vec<f32>,
        bias: Vec<f32>,
        exact_inputs: Vec<usize>,
        exact_weights: Vec<f32>,
        values: Vec<f32>,
    }

    impl Layer {
        fn new(rows: usize, depth: usize, cols: usize, exact: usize, seed: u64) -> Self {
            let mut state = seed | 1;
            let mut next = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0
            };
            let mut numbers = |count: usize| (0..count).map(|_| next()).collect::<Vec<f32>>();
            Self {
                depth,
                // The largest bytes are the ones that overflow and saturate.
                weights: numbers(cols * depth).iter().map(|x| (x * 200.0) as i8).collect(),
                scales: numbers(cols),
                bias: numbers(cols),
                exact_inputs: (0..exact.min(depth))
                    .map(|e| (e * 7 + 3) % depth)
                    .collect::<Vec<_>>(),
                exact_weights: numbers(cols * exact.min(depth)),
                values: numbers(rows * depth),
            }
            .without_twins()
        }

        /// Drops exact inputs that occur twice.
        fn without_twins(mut self) -> Self {
            let before = self.exact_inputs.len();
            self.exact_inputs.sort_unstable();
            self.exact_inputs.dedup();
            self.exact_weights.truncate(self.scales.len() * self.exact_inputs.len());
            assert!(self.exact_inputs.len() <= before);
            self
        }

        fn parts(&self) -> Int8Parts<'_> {
            Int8Parts {
                weights: &self.weights,
                scales: &self.scales,
                bias: &self.bias,
                exact_inputs: &self.exact_inputs,
                exact_weights: &self.exact_weights,
            }
        }

        fn check(&self) {
            let rows = self.values.chunks_exact(self.depth);
            let expected: Vec<f32> =
                rows.flat_map(|row| reference::multiply_i8(row, self.parts())).collect();
            let matrix = Int8Matrix::new(self.depth, self.parts());
            let cols = matrix.cols();
            for isa in cpu::tested() {
                let mut rows = Int8Rows::default();
                rows.quantize_with(isa, &matrix, &self.values);
                let mut out = vec![f32::NAN; expected.len()];
                for panel in 0..cols.div_ceil(PANEL_COLUMNS) {
                    let out = out.get_mut(panel * PANEL_COLUMNS..).unwrap_or_default();
                    multiply_i8_with(isa, &rows, &matrix, panel..panel + 1, (out, cols));
                }
                let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&out), bits(&expected), "{isa}, {} by {cols}", self.depth);
            }
        }
    }

    #[test]
    fn sums_at_their_limits_are_exact() {
        for sign in [1, -1] {
            let depth = 516;
            let layer = Layer {
                depth,
                weights: vec![127 * sign; 2 * depth],
                scales: vec![1.0; 2],
                bias: vec![0.0; 2],
                exact_inputs: vec![],
                exact_weights: vec![],
                values: vec![127.0; 7 * depth],
            };
            layer.check();
            let sum = 127.0 * 127.0 * depth as f32 * f32::from(sign);
            assert_eq!(reference::multiply_i8(&layer.values[..depth], layer.parts()), [sum; 2]);
        }
    }

    #[test]
    fn a_row_of_zeros_gives_the_bias_and_a_bad_row_spoils_no_other() {
        let mut layer = Layer::new(3, 40, 5, 0, 9);
        layer.values[..40].fill(0.0);
        let expected = reference::multiply_i8(&layer.values[80..], layer.parts());
        layer.values[40] = f32::NAN;
        layer.values[41] = f32::INFINITY;
        let matrix = Int8Matrix::new(40, layer.parts());
        for isa in cpu::tested() {
            let mut rows = Int8Rows::default();
            rows.quantize_with(isa, &matrix, &layer.values);
            let mut out = vec![0.0; 15];
            multiply_i8_with(isa, &rows, &matrix, 0..1, (&mut out, 5));
            assert_eq!(out[..5], layer.bias, "{isa}");
            assert_eq!(out[10..], expected, "{isa}");
        }
    }

    #[test]
    fn the_largest_of_a_row_is_not_an_exact_input() {
        let mut layer = Layer::new(1, 8, 1, 1, 3);
        layer.values[layer.exact_inputs[0]] = 1e6;
        layer.check();
        let mut without = layer.values.clone();
        without[layer.exact_inputs[0]] = 0.0;
        let parts = layer.parts();
        let difference = reference::multiply_i8(&layer.values, parts)[0]
            - reference::multiply_i8(&without, parts)[0];
        assert!((difference / (1e6 * layer.exact_weights[0]) - 1.0).abs() < 1e-5);
    }

    #[test]
    #[should_panic(expected = "another matrix")]
    fn rows_of_another_matrix_are_refused() {
        let (narrow, wide) = (Layer::new(1, 8, 1, 0, 3), Layer::new(1, 12, 1, 0, 3));
        let mut rows = Int8Rows::default();
        rows.quantize(&Int8Matrix::new(8, narrow.parts()), &narrow.values);
        multiply_i8(&rows, &Int8Matrix::new(12, wide.parts()), 0..1, &mut [0.0], 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn every_isa_equals_the_reference_to_the_bit(
            rows in 0usize..20,
            depth in prop_oneof![1usize..70, Just(384), 500usize..520],
            cols in prop_oneof![1usize..70, 120usize..140],
            exact in 0usize..6,
            seed in any::<u64>(),
        ) {
            Layer::new(rows, depth, cols, exact, seed).check();
        }
    }
}

//! Rows of activations, quantised as they come.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::{Int8Matrix, STEP_DEPTH, Tile, portable};
use crate::Isa;

#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// Rows of activations in bytes, each with its scale. Memory is kept for the next rows.
#[derive(Clone, Debug, Default)]
pub struct Int8Rows {
    count: usize,
    steps: usize,
    exact_inputs: usize,
    codes: Vec<[u8; STEP_DEPTH]>,
    scales: Vec<f32>,
    exact: Vec<f32>,
}

impl Int8Rows {
    /// Quantises `values`, rows of the depth of `matrix`, for a multiplication with it or with another
    /// matrix of the same depth and exact inputs.
    ///
    /// A value becomes the nearest of 255, ties to even; the largest of a row, exact inputs aside,
    /// becomes 127. A value that is not finite makes its row meaningless and no other.
    ///
    /// # Panics
    ///
    /// When `values` is no whole number of rows.
    pub fn quantize(&mut self, matrix: &Int8Matrix, values: &[f32]) {
        self.quantize_with(Isa::best(), matrix, values);
    }

    /// [`Int8Rows::quantize`] on the instruction set `isa`, or on portable code when this CPU lacks it.
    ///
    /// # Panics
    ///
    /// As [`Int8Rows::quantize`].
    pub fn quantize_with(&mut self, isa: Isa, matrix: &Int8Matrix, values: &[f32]) {
        let depth = matrix.depth();
        assert!(values.len().is_multiple_of(depth), "values are no rows of {depth}");
        self.count = values.len() / depth;
        self.steps = matrix.depth_steps();
        self.exact_inputs = matrix.exact_inputs().len();
        // Only growth is written twice.
        self.codes.resize(self.count * self.steps, [0; STEP_DEPTH]);
        self.scales.clear();
        self.exact.clear();
        let rows = self.codes.chunks_exact_mut(self.steps);
        for (values, codes) in values.chunks_exact(depth).zip(rows) {
            let codes = codes.as_flattened_mut();
            self.scales.push(quantize_row(isa, values, matrix.keep(), codes));
            self.exact.extend(matrix.exact_inputs().iter().map(|&input| values[input]));
        }
    }

    /// How many rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the rows were quantised for a matrix like this one.
    pub(super) fn fit(&self, matrix: &Int8Matrix) -> bool {
        self.steps == matrix.depth_steps() && self.exact_inputs == matrix.exact_inputs().len()
    }

    /// The rows `first..first + count`.
    pub(super) fn tile(&self, first: usize, count: usize) -> Tile<'_> {
        Tile {
            codes: &self.codes[first * self.steps..][..count * self.steps],
            scales: &self.scales[first..][..count],
            exact: &self.exact[first * self.exact_inputs..][..count * self.exact_inputs],
        }
    }
}

fn quantize_row(isa: Isa, values: &[f32], keep: &[f32], codes: &mut [u8]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        if isa == Isa::Avx512 && isa.is_available() {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { avx512::quantize_row(values, keep, codes) };
        }
        if isa == Isa::Avx2 && isa.is_available() {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { avx2::quantize_row(values, keep, codes) };
        }
    }
    let _ = isa;
    portable::quantize_row(values, keep, codes)
}

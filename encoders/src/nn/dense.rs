//! One multiplication on weights as they are stored, through faer.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Returns `x Wᵀ + b` for the rows of `x`, `[rows, inputs]`; `weight` is `[outputs, inputs]`.
///
/// For layers that run once a text rather than once a token (poolers, heads): packing would not
/// pay, and faer reads the transpose in place.
pub(crate) fn dense(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let outputs = bias.len();
    let inputs = weight.len() / outputs.max(1);
    let rows = x.len() / inputs.max(1);
    let mut out: Vec<f32> = bias.iter().copied().cycle().take(rows * outputs).collect();
    matmul(
        MatMut::from_row_major_slice_mut(&mut out, rows, outputs),
        Accum::Add,
        MatRef::from_row_major_slice(x, rows, inputs),
        MatRef::from_column_major_slice(weight, inputs, outputs),
        1.0,
        Par::Seq,
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_multiplies_by_the_transpose_and_adds_the_bias() {
        let out = dense(&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 1.0, 1.0, 0.5, -1.0], &[0.0, 10.0, 0.0]);
        assert_eq!(out, [1.0, 13.0, -1.5, 3.0, 17.0, -2.5]);
    }
}

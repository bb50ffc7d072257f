//! One multiplication on weights as they are stored, through faer.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Returns `x Wᵀ + b` for the rows of `x`, `[rows, inputs]`; `weight` is `[outputs, inputs]`.
///
/// For layers that run once a text rather than once a token (poolers, heads): packing would not
/// pay, and faer reads the transpose in place. It sums in another order for other numbers of rows,
/// so it is given one at a time: a row's result does not depend on the others.
pub(crate) fn dense(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let outputs = bias.len();
    let inputs = weight.len() / outputs.max(1);
    let weight = MatRef::from_column_major_slice(weight, inputs, outputs);
    let mut out = Vec::with_capacity(x.len() / inputs.max(1) * outputs);
    for row in x.chunks_exact(inputs.max(1)) {
        let start = out.len();
        out.extend_from_slice(bias);
        matmul(
            MatMut::from_row_major_slice_mut(&mut out[start..], 1, outputs),
            Accum::Add,
            MatRef::from_row_major_slice(row, 1, inputs),
            weight,
            1.0,
            Par::Seq,
        );
    }
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

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let wave = |len: usize, step: f32| -> Vec<f32> {
            (0..len).map(|i| (i as f32 * step).sin()).collect()
        };
        for outputs in [1, 48] {
            let (weight, bias) = (wave(outputs * 48, 0.37), wave(outputs, 0.11));
            let x = wave(48 * 9, 0.71);
            let together = dense(&x, &weight, &bias);
            let alone: Vec<f32> = x.chunks(48).flat_map(|row| dense(row, &weight, &bias)).collect();
            assert_eq!(together, alone);
        }
    }
}

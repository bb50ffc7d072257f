//! The plainest code for a linear layer in int8: its definition.

use super::Int8Parts;

/// Returns what [`multiply_i8`](crate::multiply_i8) writes for one row of activations, all columns.
#[must_use]
pub fn multiply_i8(values: &[f32], parts: Int8Parts<'_>) -> Vec<f32> {
    let depth = values.len();
    let kept = |input: &usize| !parts.exact_inputs.contains(input);
    let largest = (0..depth).filter(kept).fold(0.0_f32, |most, k| most.max(values[k].abs()));
    let (scale, inverse) = match largest < 256.0 * f32::MIN_POSITIVE {
        true => (0.0, 0.0),
        false => (largest / 127.0, 127.0 / largest),
    };
    let column = |(col, weights): (usize, &[i8])| {
        let sum: i64 = (0..depth)
            .filter(kept)
            .map(|k| {
                (values[k] * inverse).round_ties_even() as i64 * i64::from(weights[k].max(-127))
            })
            .sum();
        let product = sum as f32 * (scale * parts.scales[col]) + parts.bias[col];
        let exact = &parts.exact_weights[col * parts.exact_inputs.len()..];
        let exact = parts.exact_inputs.iter().zip(exact);
        exact.fold(product, |sum, (&input, weight)| sum + values[input] * weight)
    };
    parts.weights.chunks_exact(depth).enumerate().map(column).collect()
}

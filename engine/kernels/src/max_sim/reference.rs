//! The scalar meaning of the kernel, in `f64`.

use crate::rows::reference::dot_f16;

/// Returns, for each token of a query, its largest dot product with any of `tokens`, all of `dims`
/// numbers; minus infinity where there are no tokens.
#[must_use]
pub fn max_sim_f16(query: &[f32], tokens: &[u16], dims: usize) -> Vec<f64> {
    let largest = |of_query: &[f32]| {
        let products = tokens.chunks_exact(dims).map(|token| dot_f16(of_query, token));
        products.fold(f64::NEG_INFINITY, f64::max)
    };
    query.chunks_exact(dims).map(largest).collect()
}

//! The portable kernel: one product at a time.

use crate::float::PRODUCT;
use crate::float::portable::sum_widened;
use crate::half_to_f32;

pub(super) fn max_sim(query: &[f32], tokens: &[u16], dims: usize, best: &mut [f32]) {
    for token in tokens.chunks_exact(dims) {
        for (best, of_query) in best.iter_mut().zip(query.chunks_exact(dims)) {
            let product = sum_widened::<PRODUCT, u16>(of_query, token, 1.0, half_to_f32);
            *best = best.max(product);
        }
    }
}

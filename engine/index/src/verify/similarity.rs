//! Exact similarity of two vectors.

use bigrain_kernels::{dot, l2_squared};
use bigrain_types::Metric;

/// The exact similarity of a query and a dense vector under `metric`, larger is better.
///
/// Cosine takes vectors of length one.
#[must_use]
pub fn similarity(metric: Metric, query: &[f32], row: &[f32]) -> f32 {
    if metric == Metric::L2 { -l2_squared(query, row) } else { dot(query, row) }
}

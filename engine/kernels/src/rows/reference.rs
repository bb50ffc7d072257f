//! The scalar meaning of the row kernels, in `f64`.

use crate::reference::half;

/// Returns the dot product of a query with a row of halves.
#[must_use]
pub fn dot_f16(query: &[f32], row: &[u16]) -> f64 {
    query.iter().zip(row).map(|(&q, &r)| f64::from(q) * f64::from(half(r))).sum()
}

/// Returns the squared Euclidean distance of a query from a row of halves.
#[must_use]
pub fn l2_squared_f16(query: &[f32], row: &[u16]) -> f64 {
    query.iter().zip(row).map(|(&q, &r)| (f64::from(q) - f64::from(half(r))).powi(2)).sum()
}

/// Returns the dot product of a query with a row of bytes times `scale`.
#[must_use]
pub fn dot_i8(query: &[f32], row: &[i8], scale: f32) -> f64 {
    let sum: f64 = query.iter().zip(row).map(|(&q, &r)| f64::from(q) * f64::from(r)).sum();
    sum * f64::from(scale)
}

/// Returns the squared Euclidean distance of a query from a row of bytes times `scale`.
#[must_use]
pub fn l2_squared_i8(query: &[f32], row: &[i8], scale: f32) -> f64 {
    let stored = |r: i8| f64::from(scale) * f64::from(r);
    query.iter().zip(row).map(|(&q, &r)| (f64::from(q) - stored(r)).powi(2)).sum()
}

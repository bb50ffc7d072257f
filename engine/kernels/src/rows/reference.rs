//! The scalar meaning of the row kernels, in `f64`.

/// Returns the number whose IEEE 754 binary16 bits these are.
#[must_use]
pub fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

/// Returns the dot product of a query with a row of halves.
#[must_use]
pub fn dot_f16(query: &[f32], row: &[u16]) -> f64 {
    query.iter().zip(row).map(|(&q, &r)| f64::from(q) * half(r)).sum()
}

/// Returns the squared Euclidean distance of a query from a row of halves.
#[must_use]
pub fn l2_squared_f16(query: &[f32], row: &[u16]) -> f64 {
    query.iter().zip(row).map(|(&q, &r)| (f64::from(q) - half(r)).powi(2)).sum()
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

//! The scalar meaning of every kernel.
//!
//! The plainest code that says what is computed. It is not fast and it is not called by the
//! engine: tests compare every implementation with it.

pub use crate::gemm_i8::reference::multiply_i8;
pub use crate::max_sim::reference::max_sim_f16;
pub use crate::rows::reference::{dot_f16, dot_i8, l2_squared_f16, l2_squared_i8};
use crate::{BLOCK_ROWS, Bounds, QuantizeSums, QueryPlanes, block_bytes};

/// Returns the integer score of one code: `planes` holds its levels, each of `query.words()` words.
///
/// ```text
/// S = sum over levels a and query planes b of
///     2^((B-1-a) + (Q-1-b)) * (D - 2 * popcnt(x_a ^ q_b))
/// ```
///
/// which is the dot product of the two vectors of odd integers that the planes spell
/// (see [`value`]).
#[must_use]
pub fn score(planes: &[&[u64]], query: QueryPlanes<'_>) -> i32 {
    let mut score = 0;
    for (a, plane) in planes.iter().enumerate() {
        for b in 0..query.width() {
            let differing: u32 =
                plane.iter().zip(query.plane(b)).map(|(x, q)| (x ^ q).count_ones()).sum();
            let agreement = query.dims() as i32 - 2 * differing as i32;
            let weight = (planes.len() - 1 - a) + (query.width() - 1 - b);
            score += agreement << weight;
        }
    }
    score
}

/// Returns the odd integer that the planes spell at dimension `dim`: `2k - (2^B - 1)`, where
/// plane 0 holds the most significant bit of `k`.
#[must_use]
pub fn value(planes: &[&[u64]], dim: usize) -> i32 {
    let bit = |plane: &[u64]| (plane[dim / 64] >> (dim % 64) & 1) as i32;
    let k = planes.iter().fold(0, |k, plane| 2 * k + bit(plane));
    2 * k - ((1 << planes.len()) - 1)
}

/// Returns the dot product, summed in `f64`.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

/// Returns the squared Euclidean distance, summed in `f64`.
#[must_use]
pub fn l2_squared(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum()
}

/// Returns the sum of `values`, signed by the bits of `plane`, in `f64`.
#[must_use]
pub fn signed_sum(plane: &[u64], values: &[f32]) -> f64 {
    let signed = |(dim, &value): (usize, &f32)| {
        let set = plane[dim / 64] >> (dim % 64) & 1 == 1;
        f64::from(if set { value } else { -value })
    };
    values.iter().enumerate().map(signed).sum()
}

/// Transforms `values` in place by the unnormalised Walsh-Hadamard matrix in natural order.
///
/// The length is a power of two; the stages run from distance 1 upwards, and each output is one
/// addition or subtraction of two inputs, so every implementation gives the same bits.
pub fn hadamard(values: &mut [f32]) {
    let mut distance = 1;
    while distance < values.len() {
        for start in (0..values.len()).step_by(2 * distance) {
            for i in start..start + distance {
                let (low, high) = (values[i], values[i + distance]);
                values[i] = low + high;
                values[i + distance] = low - high;
            }
        }
        distance *= 2;
    }
}

/// Writes the nearest odd integers of `values * inverse_scale` into `planes`, plane after plane,
/// and returns their sums; `planes.len()` decides the levels.
///
/// The odd integer of `y` is `2 ceil(y / 2) - 1`, which takes a tie down and zero as negative; a value
/// above the range takes the largest integer, one below it the smallest.
#[must_use]
pub fn quantize(
    values: &[f32],
    inverse_scale: f32,
    levels: usize,
    planes: &mut [u64],
) -> QuantizeSums {
    let words = values.len().div_ceil(64);
    let largest = ((1 << levels) - 1) as f32;
    planes.fill(0);
    let (mut dot, mut norm_squared) = (0.0, 0.0);
    for (dim, &value) in values.iter().enumerate() {
        let scaled = value * inverse_scale;
        let nearest = (2.0 * (0.5 * scaled).ceil() - 1.0).clamp(-largest, largest);
        let k = ((nearest + largest) / 2.0) as u64;
        for a in 0..levels {
            planes[a * words + dim / 64] |= (k >> (levels - 1 - a) & 1) << (dim % 64);
        }
        dot += f64::from(nearest) * f64::from(scaled);
        norm_squared += f64::from(nearest) * f64::from(nearest);
    }
    QuantizeSums { dot: dot as f32, norm_squared: norm_squared as f32 }
}

/// Returns the bit of dimension `dim` of row `row` in blocks of codes of `words` words.
///
/// A block of 32 rows holds byte 0 of each row, then byte 1 of each, and so on; dimension `dim` is
/// bit `dim % 8` of byte `dim / 8`.
#[must_use]
pub fn block_bit(blocks: &[u8], words: usize, row: usize, dim: usize) -> bool {
    let block = &blocks[row / BLOCK_ROWS * block_bytes(64 * words)..];
    let byte = block[dim / 8 * BLOCK_ROWS + row % BLOCK_ROWS];
    byte >> (dim % 8) & 1 == 1
}

/// Returns a row's similarity and its upper bound from its score and its factors: `add`, and the
/// bits of `rescale` and `error` in binary16.
#[must_use]
pub fn bound(score: i32, add: f32, rescale: u16, error: u16, bounds: Bounds) -> (f32, f32) {
    let part = (half(rescale) * bounds.scale) * score as f32;
    let similarity = (add + bounds.constant) + part;
    let slack = half(error) * bounds.error + part.abs() * bounds.bias;
    (similarity, similarity + slack)
}

/// Returns the number that the bits of an IEEE binary16 stand for.
#[must_use]
pub fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff) / 1024.0;
    match exponent {
        0 => sign * fraction * 2_f32.powi(-14),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction) * 2_f32.powi(exponent - 15),
    }
}

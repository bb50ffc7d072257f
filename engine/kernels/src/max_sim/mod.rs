//! The largest dot products of each token of a query with the tokens of a point, which are halves.
//!
//! MaxSim (ColBERT, arXiv 2004.12832, equation 3) compares every token of a query with every token of a
//! point. One product at a time would load two registers for each multiplication. Here a tile of
//! products is summed at once, so that what is loaded and widened serves a whole side of it:
//!
//! ```text
//!              token 0   token 1   ...            a register of sums for each product
//!   query 0    q0 . t0   q0 . t1
//!   query 1    q1 . t0   q1 . t1                  AVX-512, NEON: 4 x 4     AVX2: 4 x 2
//!   ...
//! ```
//!
//! The sums of a tile are added up into one register, a lane for each product, whose largest is kept
//! until the last token. Where a tile is not full its last row stands in for those that are missing: the
//! largest of numbers does not change when one is named twice.
//!
//! # Error
//!
//! A product is within `(n + 5) u * sum |q_i r_i|` of the true one, for `n` numbers and `u = 2^-24`, as
//! that of [`dot_f16`](crate::dot_f16); it is the same wherever in a tile it is computed. A product that
//! is not a number is passed over.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod door;
mod portable;
pub(crate) mod reference;

pub use door::{max_sim_f16, max_sim_f16_with};

/// Tokens of the query in a tile.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const TILE_QUERIES: usize = 4;

/// Returns the `N` rows of a tile; the last one stands in for those that are missing.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline]
fn rows<T, const N: usize>(values: &[T], dims: usize) -> [&[T]; N] {
    let last = values.len() / dims - 1;
    std::array::from_fn(|row| &values[row.min(last) * dims..][..dims])
}

/// Returns the numbers that do not fill a register, with zeros behind them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline]
fn padded<T: Copy + Default, const N: usize>(tail: &[T]) -> [T; N] {
    let mut register = [T::default(); N];
    register[..tail.len()].copy_from_slice(tail);
    register
}

/// Raises each of `best` to the largest of its lanes, `N` for each.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline]
fn raise<const N: usize>(best: &mut [f32], lanes: &[f32]) {
    for (best, lanes) in best.iter_mut().zip(lanes.as_chunks::<N>().0) {
        *best = lanes.iter().fold(*best, |best, &product| best.max(product));
    }
}

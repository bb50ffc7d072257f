//! Dot product and squared Euclidean distance of `f32` slices.
//!
//! Both are one loop: `acc += x * y`, where `x` and `y` are the inputs or their difference twice.
//! So each implementation is written once, for a constant [`Term`].
//!
//! # Error
//!
//! Sums run in `f32` over many partial sums, in an order that depends on the instruction set, so
//! results differ between instruction sets. With `n` numbers and `u = 2^-24` each is within
//!
//! ```text
//!   (n + 4) u * sum |a_i b_i|        of the true dot product,
//!   (n + 4) u * sum (a_i - b_i)^2    of the true squared distance,
//! ```
//!
//! plus `n` times the smallest normal number where terms underflow. The tests use this bound;
//! partial sums keep the real error near `n/32` of it.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod door;
pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;

pub use door::{dot, dot_with, l2_squared, l2_squared_with};

/// What is summed: a constant argument of every implementation.
pub(crate) type Term = u8;
/// `a_i * b_i`.
pub(crate) const PRODUCT: Term = 0;
/// `(a_i - b_i)^2`.
pub(crate) const SQUARED_DIFFERENCE: Term = 1;

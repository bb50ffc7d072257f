//! The sum of numbers whose signs are bits: the dot product of a sign plane and a vector.
//!
//! It is what relates a code to its centre when a vector is encoded; never called in a search.

mod door;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use door::{signed_sum, signed_sum_with};

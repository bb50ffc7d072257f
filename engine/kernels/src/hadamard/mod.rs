//! The fast Walsh-Hadamard transform, in place.
//!
//! `log2(n)` stages; stage `h` replaces each pair at distance `h` by its sum and difference:
//!
//! ```text
//!   x0 --+--> x0 + x1        matrix of order 2:   | 1  1 |
//!         \/                                      | 1 -1 |
//!         /\
//!   x1 --+--> x0 - x1        order 2n: its Kronecker product with itself
//! ```
//!
//! Unnormalised: applied twice it gives `n` times the input, and `1 / sqrt(n)` times it is
//! orthogonal. A caller who scales the input anyway folds that factor in. Stages run in the same
//! order everywhere and use no fused operations, so every instruction set gives the same bits.

mod door;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use door::{hadamard, hadamard_with};

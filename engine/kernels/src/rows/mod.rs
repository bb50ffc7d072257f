//! Dot product and squared distance of an `f32` query with a row stored in fewer bits.
//!
//! A dense row on disk may be halves (`f16`) or bytes with one scale (`i8`). Widening it first would
//! write the row to memory and read it again; here each register of the row is widened on its way
//! into the sum, so a row costs what its bytes cost to load:
//!
//! ```text
//!   f16:  r_i = the half whose bits are row[i]         16 bits a component
//!   i8:   r_i = scale * row[i]                          8 bits a component
//!
//!   dot        = sum q_i r_i                           i8: the scale is applied once, to the sum
//!   l2_squared = sum (q_i - r_i)^2
//! ```
//!
//! Both formats are one loop that differs in how a register is loaded, so each instruction set has
//! one macro that is expanded for both; what is summed is a constant [`Term`].
//!
//! # Error
//!
//! With `n` numbers and `u = 2^-24`, results are within
//!
//! ```text
//!   (n + 5) u * sum |q_i r_i|                          of the true dot product,
//!   (n + 6) u * sum d_i^2 + 4 u * sum |d_i r_i|        of the true squared distance, d = q - r,
//! ```
//!
//! plus `n` times the smallest normal number where terms underflow. The second part of the distance
//! comes from rounding `scale * row[i]`; it is zero for halves.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
mod door;
mod portable;
pub(crate) mod reference;

pub use door::{
    dot_f16, dot_f16_with, dot_i8, dot_i8_with, l2_squared_f16, l2_squared_f16_with, l2_squared_i8,
    l2_squared_i8_with,
};

// A product leaves the row's scale out, for the door to multiply with once; a difference is
// `q_i - scale * row[i]`.
use crate::float::{PRODUCT, SQUARED_DIFFERENCE, Term};

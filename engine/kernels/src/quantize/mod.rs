//! Numbers become the bit planes of odd integers.
//!
//! Plane 0 takes the sign of a number, plane 1 the sign of what is left after subtracting the
//! weight with that sign, and so on with half the weight each time. That is the recurrent code of
//! BEBR without the learned parts, and it gives the nearest point of the uniform grid of odd
//! integers:
//!
//! ```text
//!  levels = 2        -3      -1       1       3          value of the code
//!               ------|---.---|---.---|---.---|------
//!                        -2       0       2              where it changes
//!  plane 0            0       0       1       1          value > 0
//!  plane 1            0       1       0       1          value - (2 or -2) > 0
//! ```
//!
//! The same pass returns the two sums that the estimator needs: the dot product of the numbers with
//! their code, and the code's squared length.

mod door;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use door::{QuantizeSums, quantize, quantize_sums, quantize_with};

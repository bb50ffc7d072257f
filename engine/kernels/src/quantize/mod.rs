//! Numbers become the bit planes of odd integers.
//!
//! Plane 0 takes the sign of a number, plane 1 the sign of what is left after subtracting the
//! weight with that sign, and so on with half the weight each time: the recurrent code of BEBR
//! without the learned parts. That is the nearest point of the uniform grid of odd integers, found
//! in one step, and the planes are the bits of its number `k`:
//!
//! ```text
//!  u = 2k - (2^B - 1),     k = ceil(y / 2) + 2^(B-1) - 1  within  0..2^B
//! ```
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

pub use door::{QuantizeSums, quantize, quantize_sums, quantize_sums_with, quantize_with};

/// The odd integers that numbers become.
#[derive(Clone, Copy)]
struct Grid {
    inverse_scale: f32,
    levels: usize,
}

impl Grid {
    /// The largest `k`, which is also the largest integer.
    fn largest(self) -> f32 {
        ((1_u32 << self.levels) - 1) as f32
    }

    /// What `ceil(y / 2)` is short of `k`.
    fn middle(self) -> f32 {
        ((1_u32 << (self.levels - 1)) - 1) as f32
    }

    /// Takes zeros that filled up the last word of `len` numbers out of sums and planes: each stands
    /// for -1.
    #[cfg(target_arch = "x86_64")]
    fn without_pads(self, sums: QuantizeSums, planes: &mut [u64], len: usize) -> QuantizeSums {
        let pads = len.next_multiple_of(64) - len;
        if pads == 0 {
            return sums;
        }
        let words = len.div_ceil(64);
        for last in planes.iter_mut().skip(words - 1).step_by(words) {
            *last &= u64::MAX >> pads;
        }
        QuantizeSums { norm_squared: sums.norm_squared - pads as f32, ..sums }
    }
}

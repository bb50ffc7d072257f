//! The safe door of the signed sum.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::portable;
use crate::Isa;

#[cfg(target_arch = "x86_64")]
use super::x86_64;

/// Returns the sum of `values`, each added where its bit of `plane` is set and subtracted where it
/// is not. The same bits on every instruction set.
///
/// ```
/// let mut values = [0.0; 64];
/// (values[0], values[1]) = (1.0, 10.0);
/// assert_eq!(bigrain_kernels::signed_sum(&[0b01], &values), -9.0);
/// ```
///
/// # Panics
///
/// Unless there are 64 values for each word.
#[must_use]
pub fn signed_sum(plane: &[u64], values: &[f32]) -> f32 {
    signed_sum_with(Isa::best(), plane, values)
}

/// [`signed_sum`] on the instruction set `isa`, or on portable code when this CPU lacks it.
///
/// # Panics
///
/// As [`signed_sum`].
#[must_use]
pub fn signed_sum_with(isa: Isa, plane: &[u64], values: &[f32]) -> f32 {
    assert_eq!(plane.len() * 64, values.len(), "a plane's bits differ from the values");
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Avx2 | Isa::Avx512) && isa.is_available() {
        // SAFETY: both instruction sets have AVX2, and `is_available` has just confirmed it.
        return unsafe { x86_64::signed_sum(plane, values) };
    }
    let _ = isa;
    portable::signed_sum(plane, values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cpu, reference};

    proptest! {
        #[test]
        fn every_isa_gives_the_same_bits_close_to_the_reference(
            words in prop::collection::vec(any::<u64>(), 0..8),
            values in prop::collection::vec(-1e3f32..1e3, 512),
        ) {
            let values = &values[..64 * words.len()];
            let exact = reference::signed_sum(&words, values);
            let portable = signed_sum_with(Isa::Portable, &words, values);
            let magnitude: f64 = values.iter().map(|value| f64::from(value.abs())).sum();
            prop_assert!((f64::from(portable) - exact).abs() <= 1e-5 * magnitude);
            for isa in cpu::tested() {
                let sum = signed_sum_with(isa, &words, values);
                prop_assert_eq!(sum.to_bits(), portable.to_bits(), "{}", isa);
            }
        }
    }
}

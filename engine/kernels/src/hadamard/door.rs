//! The safe door of the transform.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::portable;
use crate::Isa;

#[cfg(target_arch = "x86_64")]
use super::x86_64;

/// Transforms `values` by the unnormalised Walsh-Hadamard matrix in natural order.
///
/// ```
/// let mut values = [1.0, 2.0, 3.0, 5.0];
/// bigrain_kernels::hadamard(&mut values);
/// assert_eq!(values, [11.0, -3.0, -5.0, 1.0]);
/// ```
///
/// # Panics
///
/// When the length is not a power of two.
pub fn hadamard(values: &mut [f32]) {
    hadamard_with(Isa::best(), values);
}

/// [`hadamard`] on the instruction set `isa`, or on portable code when it has none of its own.
///
/// The transform waits for memory more than for arithmetic, so [`Isa::Avx512`] runs the AVX2 code.
///
/// # Panics
///
/// When the length is not a power of two.
pub fn hadamard_with(isa: Isa, values: &mut [f32]) {
    assert!(values.len().is_power_of_two(), "length {} is not a power of two", values.len());
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Avx2 | Isa::Avx512) && isa.is_available() {
        // SAFETY: `is_available` has just confirmed AVX2, which `Isa::Avx512` includes.
        return unsafe { x86_64::hadamard(values) };
    }
    let _ = isa;
    portable::stages(values, 1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cpu, reference};

    proptest! {
        #[test]
        fn every_isa_gives_the_same_bits(order in 0u32..14, seed: u32) {
            let number = |i: u32| i.wrapping_mul(2_654_435_761).wrapping_add(seed) as i32 as f32;
            let values: Vec<f32> = (0..1 << order).map(number).collect();
            let mut expected = values.clone();
            reference::hadamard(&mut expected);
            for isa in cpu::tested() {
                let mut actual = values.clone();
                hadamard_with(isa, &mut actual);
                prop_assert_eq!(&actual, &expected, "{} at {}", isa, values.len());
            }
        }
    }

    #[test]
    fn twice_is_the_length_times_the_input() {
        let mut values: Vec<f32> = (0..256).map(|i| (i % 17) as f32).collect();
        let before = values.clone();
        hadamard(&mut values);
        hadamard(&mut values);
        assert!(values.iter().zip(before).all(|(&after, before)| after == 256.0 * before));
    }

    #[test]
    #[should_panic(expected = "power of two")]
    fn other_lengths_are_refused() {
        hadamard(&mut [0.0; 12]);
    }
}

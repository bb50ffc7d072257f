//! The safe door of quantisation.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::{Grid, portable};
use crate::{Isa, MAX_QUERY_WIDTH};

#[cfg(target_arch = "x86_64")]
use super::x86_64;

/// Sums over the numbers `y` after scaling and their odd integers `u`.
///
/// Both are sums of non-negative terms in `f32`, within `(n + 4) * 2^-24` of their value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuantizeSums {
    /// The dot product of `u` and `y`, never negative, because `u` has the sign of `y`.
    pub dot: f32,
    /// The dot product of `u` with itself.
    pub norm_squared: f32,
}

/// Quantises `values * inverse_scale` to odd integers of `levels` bits and writes their planes,
/// `ceil(values.len() / 64)` words each, plane 0 first; bits past the last number are zero.
///
/// ```
/// use bigrain_kernels::quantize;
///
/// let mut planes = [0; 2];
/// let sums = quantize(&[2.5, 0.5, -0.5, -9.0], 1.0, 2, &mut planes); // 3, 1, -1, -3
/// assert_eq!(planes, [0b0011, 0b0101]);
/// assert_eq!(sums.norm_squared, 20.0);
/// ```
///
/// # Panics
///
/// When `levels` is not 1 to 8 or `planes` has another length than `levels` planes.
pub fn quantize(
    values: &[f32],
    inverse_scale: f32,
    levels: usize,
    planes: &mut [u64],
) -> QuantizeSums {
    quantize_with(Isa::best(), values, inverse_scale, levels, planes)
}

/// [`quantize`] on the instruction set `isa`, or on portable code when it has none of its own.
///
/// # Panics
///
/// As [`quantize`].
pub fn quantize_with(
    isa: Isa,
    values: &[f32],
    inverse_scale: f32,
    levels: usize,
    planes: &mut [u64],
) -> QuantizeSums {
    let words = values.len().div_ceil(64);
    assert!((1..=MAX_QUERY_WIDTH).contains(&levels), "{levels} levels, expected 1 to 8");
    assert_eq!(planes.len(), levels * words, "planes have the wrong length");
    run::<true>(isa, values, Grid { inverse_scale, levels }, planes)
}

/// Returns the sums of [`quantize`] without writing planes, to compare scales.
///
/// # Panics
///
/// When `levels` is not 1 to 8.
#[must_use]
pub fn quantize_sums(values: &[f32], inverse_scale: f32, levels: usize) -> QuantizeSums {
    quantize_sums_with(Isa::best(), values, inverse_scale, levels)
}

/// [`quantize_sums`] on the instruction set `isa`, or on portable code when it has none of its own.
///
/// # Panics
///
/// As [`quantize_sums`].
#[must_use]
pub fn quantize_sums_with(
    isa: Isa,
    values: &[f32],
    inverse_scale: f32,
    levels: usize,
) -> QuantizeSums {
    assert!((1..=MAX_QUERY_WIDTH).contains(&levels), "{levels} levels, expected 1 to 8");
    run::<false>(isa, values, Grid { inverse_scale, levels }, &mut [])
}

/// `planes` is written if `WRITE`, else empty.
fn run<const WRITE: bool>(
    isa: Isa,
    values: &[f32],
    grid: Grid,
    planes: &mut [u64],
) -> QuantizeSums {
    #[cfg(target_arch = "x86_64")]
    {
        if isa == Isa::Avx512 && isa.is_available() {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { x86_64::quantize_avx512::<WRITE>(values, grid, planes) };
        }
        if isa == Isa::Avx2 && isa.is_available() {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { x86_64::quantize_avx2::<WRITE>(values, grid, planes) };
        }
    }
    let _ = isa;
    portable::quantize::<WRITE>(values, grid, planes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cpu, reference};

    fn check(values: &[f32], inverse_scale: f32, levels: usize) {
        let words = values.len().div_ceil(64);
        let mut expected = vec![0; levels * words];
        let sums = reference::quantize(values, inverse_scale, levels, &mut expected);
        let unit = (values.len() + 4) as f32 * 2f32.powi(-23);
        let near = |a: f32, b: f32| (a - b).abs() <= unit * b;
        for isa in cpu::tested() {
            let mut planes = vec![u64::MAX; levels * words];
            let actual = quantize_with(isa, values, inverse_scale, levels, &mut planes);
            assert_eq!(planes, expected, "{isa}, {} values, {levels} levels", values.len());
            let only_sums = quantize_sums_with(isa, values, inverse_scale, levels);
            assert_eq!(only_sums, actual, "{isa}");
            assert!(near(actual.dot, sums.dot), "{isa}: {actual:?}, expected {sums:?}");
            assert!(near(actual.norm_squared, sums.norm_squared), "{isa}: {actual:?} {sums:?}");
        }
    }

    #[test]
    fn zero_is_not_above_zero_and_ties_go_down() {
        let mut planes = [0];
        quantize(&[0.0, -0.0, f32::MIN_POSITIVE, -1.0], 1.0, 1, &mut planes);
        assert_eq!(planes, [0b0100]);
        let mut planes = [0; 2];
        quantize(&[2.0, -2.0, 2.0001], 1.0, 2, &mut planes);
        assert_eq!(planes, [0b101, 0b100]);
    }

    #[test]
    fn every_isa_equals_the_reference_at_every_length() {
        let values: Vec<f32> = (0..4096).map(|i| ((i * 37) % 211) as f32 / 13.0 - 8.0).collect();
        for length in (0..140).chain([255, 256, 384, 768, 1000, 4096]) {
            for levels in 1..=8 {
                check(&values[..length], 1.7, levels);
            }
        }
    }

    proptest! {
        #[test]
        fn every_isa_equals_the_reference(
            values in prop::collection::vec(
                prop_oneof![-4f32..4.0, Just(0.0), Just(2.0), -1e9f32..1e9], 0..300),
            inverse_scale in 0.1f32..100.0,
            levels in 1usize..=8,
        ) {
            check(&values, inverse_scale, levels);
        }

        #[test]
        fn planes_spell_the_nearest_odd_integer(value in -20f32..20.0, levels in 1usize..=4) {
            let mut planes = vec![0; levels];
            quantize(&[value], 1.0, levels, &mut planes);
            let planes: Vec<&[u64]> = planes.chunks(1).collect();
            let spelled = reference::value(&planes, 0) as f32;
            let largest = ((1 << levels) - 1) as f32;
            if value.abs() <= largest + 1.0 {
                prop_assert!((spelled - value).abs() <= 1.0);
            } else {
                prop_assert_eq!(spelled, largest.copysign(value));
            }
        }
    }
}

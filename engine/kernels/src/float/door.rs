//! The safe door of the floating-point sums.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::{PRODUCT, SQUARED_DIFFERENCE, Term, portable};
use crate::Isa;

#[cfg(target_arch = "aarch64")]
use super::aarch64;
#[cfg(target_arch = "x86_64")]
use super::x86_64;

/// Returns the dot product of two vectors.
///
/// ```
/// assert_eq!(bigrain_kernels::dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
/// ```
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum::<PRODUCT>(Isa::best(), a, b)
}

/// [`dot`] on the instruction set `isa`, or on portable code when this CPU lacks it.
///
/// [`Isa::Avx512`] runs the AVX2 code: two numbers are loaded for each multiplication, and wider
/// registers load no faster (docs/benchmarks/kernels.md).
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn dot_with(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    sum::<PRODUCT>(isa, a, b)
}

/// Returns the squared Euclidean distance of two vectors.
///
/// ```
/// assert_eq!(bigrain_kernels::l2_squared(&[1.0, 2.0], &[4.0, 6.0]), 25.0);
/// ```
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    sum::<SQUARED_DIFFERENCE>(Isa::best(), a, b)
}

/// [`l2_squared`] on the instruction set `isa`, or on portable code when this CPU lacks it.
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn l2_squared_with(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    sum::<SQUARED_DIFFERENCE>(isa, a, b)
}

fn sum<const TERM: Term>(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors differ in length");
    #[cfg(target_arch = "x86_64")]
    if matches!(isa, Isa::Avx2 | Isa::Avx512) && isa.is_available() {
        // SAFETY: `is_available` has just confirmed AVX2 and FMA, which `Isa::Avx512` includes.
        return unsafe { x86_64::sum_avx2::<TERM>(a, b) };
    }
    #[cfg(target_arch = "aarch64")]
    if isa == Isa::Neon && isa.is_available() {
        // SAFETY: `is_available` has just confirmed the CPU's features.
        return unsafe { aarch64::sum_neon::<TERM>(a, b) };
    }
    let _ = isa;
    portable::sum::<TERM>(a, b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cpu, reference};

    fn check(a: &[f32], b: &[f32]) {
        let magnitude: f64 =
            a.iter().zip(b).map(|(&x, &y)| (f64::from(x) * f64::from(y)).abs()).sum();
        let unit = (a.len() + 4) as f64 * 2f64.powi(-24);
        let underflow = a.len() as f64 * f64::from(f32::MIN_POSITIVE);
        let (dot, l2_squared) = (reference::dot(a, b), reference::l2_squared(a, b));
        for isa in cpu::tested() {
            let error = (f64::from(dot_with(isa, a, b)) - dot).abs();
            assert!(error <= unit * magnitude + underflow, "{isa}: dot is off by {error}");
            let error = (f64::from(l2_squared_with(isa, a, b)) - l2_squared).abs();
            assert!(error <= unit * l2_squared + underflow, "{isa}: l2 is off by {error}");
        }
    }

    #[test]
    fn every_isa_keeps_the_bound_at_every_length() {
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 503.0 - 1.0;
        let a: Vec<f32> = (0..4096).map(number).collect();
        let b: Vec<f32> = (0..4096).map(|i| number(i * 31 + 5)).collect();
        for length in (0..150).chain([384, 768, 1000, 1536, 4096]) {
            check(&a[..length], &b[..length]);
        }
    }

    #[test]
    fn equal_vectors_are_at_distance_zero() {
        let a: Vec<f32> = (0..77).map(|i| 1.0 / (i as f32 + 0.3)).collect();
        for isa in cpu::tested() {
            assert_eq!(l2_squared_with(isa, &a, &a), 0.0, "{isa}");
        }
    }

    #[test]
    #[should_panic(expected = "length")]
    fn different_lengths_are_refused() {
        let _ = dot(&[1.0], &[1.0, 2.0]);
    }

    proptest! {
        #[test]
        fn every_isa_keeps_the_bound(
            pairs in prop::collection::vec((-1e15f32..1e15, -1e15f32..1e15), 0..300),
            scale in prop_oneof![Just(1.0f32), Just(1e-30), Just(1e-15)],
        ) {
            let (a, b): (Vec<_>, Vec<_>) =
                pairs.into_iter().map(|(x, y)| (x * scale, y * scale)).unzip();
            check(&a, &b);
        }
    }
}

//! The safe doors of the row kernels.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::{PRODUCT, SQUARED_DIFFERENCE, Term, portable};
use crate::Isa;

#[cfg(target_arch = "aarch64")]
use super::aarch64;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// Shorter rows gain nothing from the wider registers of [`Isa::Avx512`], and run the AVX2 code.
#[cfg(target_arch = "x86_64")]
const WIDE: usize = 512;

/// Returns the dot product of a query with a row of halves, given by their bits.
///
/// ```
/// let halves = [0x3c00, 0x4200]; // 1, 3
/// assert_eq!(bigrain_kernels::dot_f16(&[2.0, 0.5], &halves), 3.5);
/// ```
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn dot_f16(query: &[f32], row: &[u16]) -> f32 {
    sum_f16::<PRODUCT>(Isa::best(), query, row)
}

/// [`dot_f16`] on the instruction set `isa`, or on portable code when this CPU lacks it.
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn dot_f16_with(isa: Isa, query: &[f32], row: &[u16]) -> f32 {
    sum_f16::<PRODUCT>(isa, query, row)
}

/// Returns the squared Euclidean distance of a query from a row of halves, given by their bits.
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn l2_squared_f16(query: &[f32], row: &[u16]) -> f32 {
    sum_f16::<SQUARED_DIFFERENCE>(Isa::best(), query, row)
}

/// [`l2_squared_f16`] on the instruction set `isa`, or on portable code when this CPU lacks it.
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn l2_squared_f16_with(isa: Isa, query: &[f32], row: &[u16]) -> f32 {
    sum_f16::<SQUARED_DIFFERENCE>(isa, query, row)
}

/// Returns the dot product of a query with the row `scale * row[i]`.
///
/// ```
/// assert_eq!(bigrain_kernels::dot_i8(&[2.0, 0.5], &[3, -4], 0.25), 1.0);
/// ```
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn dot_i8(query: &[f32], row: &[i8], scale: f32) -> f32 {
    dot_i8_with(Isa::best(), query, row, scale)
}

/// [`dot_i8`] on the instruction set `isa`, or on portable code when this CPU lacks it.
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn dot_i8_with(isa: Isa, query: &[f32], row: &[i8], scale: f32) -> f32 {
    sum_i8::<PRODUCT>(isa, query, row, scale) * scale
}

/// Returns the squared Euclidean distance of a query from the row `scale * row[i]`.
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn l2_squared_i8(query: &[f32], row: &[i8], scale: f32) -> f32 {
    l2_squared_i8_with(Isa::best(), query, row, scale)
}

/// [`l2_squared_i8`] on the instruction set `isa`, or on portable code when this CPU lacks it.
///
/// # Panics
///
/// When the lengths differ.
#[must_use]
pub fn l2_squared_i8_with(isa: Isa, query: &[f32], row: &[i8], scale: f32) -> f32 {
    sum_i8::<SQUARED_DIFFERENCE>(isa, query, row, scale)
}

fn sum_f16<const TERM: Term>(isa: Isa, query: &[f32], row: &[u16]) -> f32 {
    assert_eq!(query.len(), row.len(), "vectors differ in length");
    let scale = 1.0;
    #[cfg(target_arch = "x86_64")]
    {
        if isa == Isa::Avx512 && isa.is_available() && query.len() >= WIDE {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { avx512::sum_f16::<TERM>(query, row, scale) };
        }
        if matches!(isa, Isa::Avx2 | Isa::Avx512) && isa.is_available() {
            // SAFETY: `is_available` has just confirmed AVX2, FMA and F16C, which `Isa::Avx512`
            // includes.
            return unsafe { avx2::sum_f16::<TERM>(query, row, scale) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    if isa == Isa::Neon && isa.is_available() {
        // SAFETY: `is_available` has just confirmed the CPU's features.
        return unsafe { aarch64::sum_f16::<TERM>(query, row, scale) };
    }
    let _ = isa;
    portable::sum_f16::<TERM>(query, row, scale)
}

fn sum_i8<const TERM: Term>(isa: Isa, query: &[f32], row: &[i8], scale: f32) -> f32 {
    assert_eq!(query.len(), row.len(), "vectors differ in length");
    #[cfg(target_arch = "x86_64")]
    {
        if isa == Isa::Avx512 && isa.is_available() && query.len() >= WIDE {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { avx512::sum_i8::<TERM>(query, row, scale) };
        }
        if matches!(isa, Isa::Avx2 | Isa::Avx512) && isa.is_available() {
            // SAFETY: `is_available` has just confirmed AVX2, FMA and F16C, which `Isa::Avx512`
            // includes.
            return unsafe { avx2::sum_i8::<TERM>(query, row, scale) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    if isa == Isa::Neon && isa.is_available() {
        // SAFETY: `is_available` has just confirmed the CPU's features.
        return unsafe { aarch64::sum_i8::<TERM>(query, row, scale) };
    }
    let _ = isa;
    portable::sum_i8::<TERM>(query, row, scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cpu, reference};

    const UNIT: f64 = 1.0 / (1 << 24) as f64;

    /// The stated bounds, for a row as it reads in `f64`.
    fn bounds(query: &[f32], row: &[f64]) -> (f64, f64) {
        let n = query.len() as f64;
        let (mut products, mut squares, mut mixed) = (0.0, 0.0, 0.0);
        for (&q, &r) in query.iter().zip(row) {
            let difference = f64::from(q) - r;
            products += (f64::from(q) * r).abs();
            squares += difference * difference;
            mixed += (difference * r).abs();
        }
        let underflow = n * f64::from(f32::MIN_POSITIVE);
        let dot = (n + 5.0) * UNIT * products + underflow;
        (dot, (n + 6.0) * UNIT * squares + 4.0 * UNIT * mixed + underflow)
    }

    fn check_f16(query: &[f32], row: &[u16]) {
        let wide: Vec<f64> = row.iter().map(|&bits| f64::from(reference::half(bits))).collect();
        let (dot_bound, l2_bound) = bounds(query, &wide);
        let (dot, l2) = (reference::dot_f16(query, row), reference::l2_squared_f16(query, row));
        for isa in cpu::tested() {
            let error = (f64::from(dot_f16_with(isa, query, row)) - dot).abs();
            assert!(error <= dot_bound, "{isa}: dot is off by {error}");
            let error = (f64::from(l2_squared_f16_with(isa, query, row)) - l2).abs();
            assert!(error <= l2_bound, "{isa}: l2 is off by {error}");
        }
    }

    fn check_i8(query: &[f32], row: &[i8], scale: f32) {
        let wide: Vec<f64> = row.iter().map(|&r| f64::from(r) * f64::from(scale)).collect();
        let (dot_bound, l2_bound) = bounds(query, &wide);
        let dot = reference::dot_i8(query, row, scale);
        let l2 = reference::l2_squared_i8(query, row, scale);
        for isa in cpu::tested() {
            let error = (f64::from(dot_i8_with(isa, query, row, scale)) - dot).abs();
            assert!(error <= dot_bound, "{isa}: dot is off by {error}, {dot_bound} allowed");
            let error = (f64::from(l2_squared_i8_with(isa, query, row, scale)) - l2).abs();
            assert!(error <= l2_bound, "{isa}: l2 is off by {error}, {l2_bound} allowed");
        }
    }

    #[test]
    fn every_isa_keeps_the_bound_at_every_length() {
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 503.0 - 1.0;
        let query: Vec<f32> = (0..4096).map(number).collect();
        // Halves of every exponent but the last, which means infinite.
        let halves: Vec<u16> = (0..4096).map(|i| ((i * 31 + 5) * 2_654 % 0x7c00) as u16).collect();
        let bytes: Vec<i8> = (0..4096).map(|i| (i * 37 + 11) as u8 as i8).collect();
        for length in (0..150).chain([384, 768, 1000, 1536, 4096]) {
            check_f16(&query[..length], &halves[..length]);
            check_i8(&query[..length], &bytes[..length], 0.007);
        }
    }

    #[test]
    fn infinite_and_unknown_halves_are_not_hidden() {
        let mut row = vec![0x3c00_u16; 37];
        let query = vec![1.0; 37];
        for place in [0, 8, 31, 36] {
            for isa in cpu::tested() {
                row[place] = 0x7c00;
                assert_eq!(dot_f16_with(isa, &query, &row), f32::INFINITY, "{isa}");
                row[place] = 0x7e00;
                assert!(dot_f16_with(isa, &query, &row).is_nan(), "{isa}");
                row[place] = 0x3c00;
            }
        }
    }

    #[test]
    #[should_panic(expected = "length")]
    fn halves_of_another_length_are_refused() {
        let _ = dot_f16(&[1.0], &[1, 2]);
    }

    #[test]
    #[should_panic(expected = "length")]
    fn bytes_of_another_length_are_refused() {
        let _ = l2_squared_i8(&[1.0, 2.0], &[1], 1.0);
    }

    proptest! {
        #[test]
        fn every_isa_keeps_the_bound_on_halves(
            pairs in prop::collection::vec((-1e10_f32..1e10, 0_u16..0x7c00, any::<bool>()), 0..200),
            scale in prop_oneof![Just(1.0_f32), Just(1e-30), Just(1e-10)],
        ) {
            let (query, row): (Vec<f32>, Vec<u16>) = pairs
                .into_iter()
                .map(|(q, bits, negative)| (q * scale, bits | u16::from(negative) << 15))
                .unzip();
            check_f16(&query, &row);
        }

        #[test]
        fn every_isa_keeps_the_bound_on_bytes(
            pairs in prop::collection::vec((-1e10_f32..1e10, any::<i8>()), 0..200),
            scale in prop_oneof![Just(1.0_f32), 1e-9_f32..1e9],
        ) {
            let (query, row): (Vec<f32>, Vec<i8>) = pairs.into_iter().unzip();
            check_i8(&query, &row, scale);
        }
    }
}

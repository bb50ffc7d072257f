//! What a code keeps besides its bits: three numbers per vector, eight bytes packed.
//!
//! ```text
//!  byte   0        4          6        8
//!         | add    | rescale  | error  |
//!         | f32    | f16      | f16    |      little-endian; halves in multiples of `unit`
//! ```
//!
//! * `add`: what the similarity starts from. About the origin `-||x||^2` under L2, else 0; about a
//!   centre see the query's page, where `x` is the difference to it.
//! * `rescale`: `||x||^2 / <u, x'>`, twice that under L2. Times the query's `delta` and the integer
//!   score it gives the dot product.
//! * `error`: one standard deviation of the estimate for a query of length one,
//!   `||x|| sqrt((1 - rho^2) / rho^2) / sqrt(D - 1)`, twice that under L2.
//!
//! # Halves that keep their precision
//!
//! A half has 11 significant bits between `2^-14` and `2^16`. Vectors of any length must fit, so
//! halves count in multiples of `unit`, a power of two that the writer of a file picks once with
//! [`unit_for`]; dividing by it is exact.
//!
//! Encoding rounds `rescale` to 11 bits at once and adds what that can do to an estimate to `error`.
//! So packing changes no `rescale` unless the vector is `2^24` times shorter than the longest of the
//! file (then it is accounted for in the same way), only rounds `error` *up*, and a search gives the
//! same scores before and after codes are written to a file. Bounds stay bounds.

use bigrain_kernels::half_to_f32;
use half::f16;

use crate::CodeLayout;

/// The largest stored `rescale` lies between `2^10` and `2^11` units, which leaves room for an
/// `error` 15 times as large (the most that four levels can give) and `2^24` below.
const LARGEST_EXPONENT: i32 = 10;

/// The numbers that turn a code's integer score into a similarity and its error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Factors {
    /// What the similarity starts from.
    pub add: f32,
    /// What the integer score is multiplied with, beside the query's `delta`.
    pub rescale: f32,
    /// One standard deviation of the estimate, for a query of length one.
    pub error: f32,
}

/// [`Factors`] in eight bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PackedFactors {
    add: f32,
    rescale: u16,
    error: u16,
}

/// Returns the unit of a file in which `max_rescale` is the largest rescale factor: a power of two.
///
/// ```
/// assert_eq!(bigrain_binarize::unit_for(0.045), 2f32.powi(-15));
/// assert_eq!(bigrain_binarize::unit_for(0.0), 1.0);
/// ```
#[must_use]
pub fn unit_for(max_rescale: f32) -> f32 {
    if !max_rescale.is_normal() {
        return 1.0;
    }
    let exponent = (max_rescale.abs().to_bits() >> 23) as i32 - 127;
    let unit = (exponent - LARGEST_EXPONENT).max(-126);
    f32::from_bits(((unit + 127) as u32) << 23)
}

impl Factors {
    /// Packs the factors in multiples of `unit`, as [`unit_for`] returned it for a rescale factor at
    /// least as large as this one. A unit that is too small gives an infinite error, which is true
    /// but useless.
    #[must_use]
    pub fn pack(self, unit: f32, layout: &CodeLayout) -> PackedFactors {
        let rescale = f16::from_f32(self.rescale / unit).min(f16::MAX);
        let lost = (f64::from(rescale.to_f32()) - f64::from(self.rescale / unit)).abs();
        let error = f64::from(self.error / unit) + lost * f64::from(layout.max_code_norm());
        PackedFactors {
            add: self.add,
            rescale: rescale.to_bits(),
            error: round_up(error).to_bits(),
        }
    }
}

impl PackedFactors {
    /// The packed size.
    pub const BYTES: usize = 8;

    /// Returns what the similarity starts from.
    #[must_use]
    pub fn add(self) -> f32 {
        self.add
    }

    /// Returns the bits of the rescale factor, a half in units.
    #[must_use]
    pub fn rescale_bits(self) -> u16 {
        self.rescale
    }

    /// Returns the bits of the error factor, a half in units.
    #[must_use]
    pub fn error_bits(self) -> u16 {
        self.error
    }

    /// Returns the factors; `unit` is the one they were packed with.
    #[inline]
    #[must_use]
    pub fn unpack(self, unit: f32) -> Factors {
        Factors {
            add: self.add,
            rescale: from_half(self.rescale, unit),
            error: from_half(self.error, unit),
        }
    }

    /// Returns the bytes of the picture above.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.add.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.rescale.to_le_bytes());
        bytes[6..].copy_from_slice(&self.error.to_le_bytes());
        bytes
    }

    /// Reads the bytes of the picture above. Any bytes are factors, if only of nonsense.
    #[inline]
    #[must_use]
    pub fn from_bytes([a, b, c, d, e, f, g, h]: [u8; Self::BYTES]) -> Self {
        Self {
            add: f32::from_le_bytes([a, b, c, d]),
            rescale: u16::from_le_bytes([e, f]),
            error: u16::from_le_bytes([g, h]),
        }
    }
}

/// Rounds to the 11 significant bits of a half, at any exponent of `f32`.
pub(crate) fn round_to_half_precision(value: f32) -> f32 {
    const DROPPED: u32 = 13;
    let bits = value.to_bits();
    let half_way = (1 << (DROPPED - 1)) - 1 + (bits >> DROPPED & 1);
    f32::from_bits((bits + half_way) >> DROPPED << DROPPED)
}

/// Returns the smallest half that is not below `value >= 0`; infinity past the range.
fn round_up(value: f64) -> f16 {
    let nearest = f16::from_f64(value);
    if nearest.to_f64() >= value || nearest == f16::INFINITY {
        return nearest;
    }
    f16::from_bits(nearest.to_bits() + 1)
}

/// Returns the bits of the half nearest to `value / unit`.
#[must_use]
pub fn to_half(value: f32, unit: f32) -> u16 {
    f16::from_f32(value / unit).to_bits()
}

/// Returns the number that the bits of a half in multiples of `unit` stand for.
#[inline]
#[must_use]
pub fn from_half(half: u16, unit: f32) -> f32 {
    half_to_f32(half) * unit
}

#[cfg(test)]
mod tests {
    use bigrain_types::Levels;
    use proptest::prelude::*;

    use super::*;

    fn layout() -> CodeLayout {
        CodeLayout::new(768, Levels::TWO).unwrap()
    }

    #[test]
    fn every_half_converts_as_the_half_crate_does() {
        for bits in 0..0x7c01 {
            assert_eq!(half_to_f32(bits), f16::from_bits(bits).to_f32());
            assert_eq!(half_to_f32(bits | 0x8000), f16::from_bits(bits | 0x8000).to_f32());
        }
        assert!(half_to_f32(0x7c01).is_nan());
    }

    #[test]
    fn zero_factors_stay_zero() {
        let packed = Factors::default().pack(unit_for(0.0), &layout());
        assert_eq!(packed.to_bytes(), [0; 8]);
        assert_eq!(packed.unpack(1.0), Factors::default());
    }

    #[test]
    fn bytes_are_those_of_the_picture() {
        let factors = Factors { add: -1.0, rescale: 1.0, error: 0.5 };
        let bytes = factors.pack(1.0, &layout()).to_bytes();
        assert_eq!(bytes, [0, 0, 0x80, 0xbf, 0x00, 0x3c, 0x00, 0x38]);
    }

    #[test]
    fn a_unit_that_is_too_small_gives_an_infinite_error_not_a_wrong_one() {
        let unpacked =
            Factors { add: 0.0, rescale: 1e9, error: 1.0 }.pack(1.0, &layout()).unpack(1.0);
        assert!(unpacked.rescale.is_finite());
        assert_eq!(unpacked.error, f32::INFINITY);
    }

    proptest! {
        #[test]
        fn packing_keeps_rescale_and_never_lowers_the_error(
            rescale in prop_oneof![1e-9f32..1e-3, 1e-3f32..1e3, 1e3f32..1e9],
            ratio in 0f32..15.0,
            shorter in 0i32..23,
        ) {
            let unit = unit_for(rescale);
            prop_assert_eq!(unit.to_bits() & 0x7f_ffff, 0);
            let rescale = round_to_half_precision(rescale * 2f32.powi(-shorter));
            let factors = Factors { add: 3.25, rescale, error: ratio * rescale };
            let unpacked = factors.pack(unit, &layout()).unpack(unit);
            prop_assert_eq!(unpacked.add, factors.add);
            prop_assert_eq!(unpacked.rescale, factors.rescale);
            prop_assert!(unpacked.error >= factors.error);
            prop_assert!(unpacked.error <= factors.error * 1.001 + 2f32.powi(-23) * unit);
        }

        #[test]
        fn what_packing_takes_from_rescale_it_gives_to_the_error(
            rescale in 1e-12f32..1.0,
            error in 0f32..1.0,
        ) {
            let unpacked = Factors { add: 0.0, rescale, error }.pack(unit_for(1.0), &layout())
                .unpack(unit_for(1.0));
            let lost = (unpacked.rescale - rescale).abs() * layout().max_code_norm();
            prop_assert!(unpacked.error >= (error + lost) * (1.0 - 1e-6));
        }

        #[test]
        fn any_bytes_are_read(bytes: [u8; 8]) {
            let factors = PackedFactors::from_bytes(bytes);
            prop_assert_eq!(factors.to_bytes(), bytes);
            let _ = factors.unpack(1.0);
        }

        #[test]
        fn rounding_to_half_precision_is_to_the_nearest(value in 1e-30f32..1e30) {
            let rounded = round_to_half_precision(value);
            prop_assert_eq!(rounded.to_bits() & 0x1fff, 0);
            prop_assert!((rounded - value).abs() <= value * 2f32.powi(-11));
        }
    }
}

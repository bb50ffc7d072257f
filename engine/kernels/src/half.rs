//! 16-bit floating-point numbers, as bits.

/// Returns the number that the bits of an IEEE binary16 stand for; exact.
///
/// Without a branch on the bits, so that the compiler can do many at once.
///
/// ```
/// assert_eq!(bigrain_kernels::half_to_f32(0x3c00), 1.0);
/// ```
#[inline(always)]
#[must_use]
pub fn half_to_f32(bits: u16) -> f32 {
    /// Moves a binary16 exponent, which is biased by 15, to where binary32 has it.
    const REBIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);
    const INFINITY: u32 = 0x7c00 << 13;
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // As binary32 these bits are the number divided by 2^112, subnormals included.
    let finite = (f32::from_bits(magnitude) * REBIAS).to_bits();
    let special = if magnitude >= INFINITY { f32::INFINITY.to_bits() } else { 0 };
    f32::from_bits(u32::from(bits & 0x8000) << 16 | finite | special)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn every_half_is_the_number_that_the_standard_says() {
        for bits in 0..=u16::MAX {
            let (actual, expected) = (half_to_f32(bits), reference::half(bits));
            let same = actual.to_bits() == expected.to_bits();
            assert!(same || actual.is_nan() && expected.is_nan(), "{bits:#06x}: {actual}");
        }
    }
}

//! Sixteen partial sums in an array, which the compiler turns into whatever registers there are.

use super::{SQUARED_DIFFERENCE, Term};

const LANES: usize = 16;

/// `2^112`: what lies between the exponents of a half, moved to where an `f32` keeps its own, and
/// the exponents that they mean.
const REBIAS: f32 = f32::from_bits((127 + 112) << 23);

pub(super) fn sum_f16<const TERM: Term>(query: &[f32], row: &[u16], scale: f32) -> f32 {
    sum::<TERM, u16>(query, row, scale, widen_half)
}

pub(super) fn sum_i8<const TERM: Term>(query: &[f32], row: &[i8], scale: f32) -> f32 {
    sum::<TERM, i8>(query, row, scale, f32::from)
}

#[inline(always)]
fn sum<const TERM: Term, T: Copy>(
    query: &[f32],
    row: &[T],
    scale: f32,
    widen: impl Fn(T) -> f32,
) -> f32 {
    let (query, query_tail) = query.as_chunks::<LANES>();
    let (row, row_tail) = row.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (query, row) in query.iter().zip(row) {
        for (sum, (&q, &r)) in sums.iter_mut().zip(query.iter().zip(row)) {
            *sum += term::<TERM>(q, widen(r), scale);
        }
    }
    for (sum, (&q, &r)) in sums.iter_mut().zip(query_tail.iter().zip(row_tail)) {
        *sum += term::<TERM>(q, widen(r), scale);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] += sums[i + width];
        }
        width /= 2;
    }
    sums[0]
}

#[inline(always)]
fn term<const TERM: Term>(q: f32, r: f32, scale: f32) -> f32 {
    if TERM == SQUARED_DIFFERENCE {
        let difference = q - scale * r;
        return difference * difference;
    }
    q * r
}

/// Widens a half without a branch; the product brings subnormal halves to their value too.
#[inline(always)]
fn widen_half(bits: u16) -> f32 {
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * REBIAS;
    let sign = u32::from(bits & 0x8000) << 16;
    let infinite_or_nan = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude.to_bits() | infinite_or_nan | sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::half;

    #[test]
    fn every_half_widens_to_its_value() {
        for bits in 0..=u16::MAX {
            let (widened, expected) = (widen_half(bits), half(bits));
            let same = widened.to_bits() == expected.to_bits();
            assert!(same || widened.is_nan() && expected.is_nan(), "{bits:04x}");
        }
    }
}

//! The safe door of the kernel.

#![allow(unsafe_code, reason = "calls into code for one instruction set")]

use super::portable;
use crate::Isa;

#[cfg(target_arch = "aarch64")]
use super::aarch64;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// Raises `best[i]` to the largest dot product of the `i`th token of a query with any of `tokens`, halves
/// given by their bits. Both come token after token; `best` holds as many numbers as the query has tokens,
/// and so says how many dimensions they have.
///
/// ```
/// let query = [1.0, 0.0, 0.0, 2.0];
/// let tokens = [0x3c00, 0x3c00, 0x0000, 0x4200]; // (1, 1) and (0, 3)
/// let mut best = [f32::NEG_INFINITY; 2];
/// bigrain_kernels::max_sim_f16(&query, &tokens, &mut best);
/// assert_eq!(best, [1.0, 6.0]);
/// ```
///
/// # Panics
///
/// When the query is not as many tokens as `best` has numbers, of one dimension at least, or the last
/// of `tokens` has fewer dimensions.
pub fn max_sim_f16(query: &[f32], tokens: &[u16], best: &mut [f32]) {
    max_sim_f16_with(Isa::best(), query, tokens, best);
}

/// [`max_sim_f16`] on the instruction set `isa`, or on portable code when this CPU lacks it.
///
/// # Panics
///
/// As [`max_sim_f16`].
pub fn max_sim_f16_with(isa: Isa, query: &[f32], tokens: &[u16], best: &mut [f32]) {
    if best.is_empty() && query.is_empty() {
        return;
    }
    let dims = query.len().checked_div(best.len()).unwrap_or_default();
    assert!(
        dims > 0 && query.len() == dims * best.len(),
        "{} numbers are not {} tokens",
        query.len(),
        best.len()
    );
    assert!(tokens.len().is_multiple_of(dims), "tokens differ in dimensions");
    #[cfg(target_arch = "x86_64")]
    {
        if isa == Isa::Avx512 && isa.is_available() {
            // SAFETY: `is_available` has just confirmed the CPU's features.
            return unsafe { avx512::max_sim(query, tokens, dims, best) };
        }
        if isa == Isa::Avx2 && isa.is_available() {
            // SAFETY: `is_available` has just confirmed AVX2, FMA and F16C.
            return unsafe { avx2::max_sim(query, tokens, dims, best) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    if isa == Isa::Neon && isa.is_available() {
        // SAFETY: `is_available` has just confirmed the CPU's features.
        return unsafe { aarch64::max_sim(query, tokens, dims, best) };
    }
    let _ = isa;
    portable::max_sim(query, tokens, dims, best);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cpu, reference};

    /// Compares every instruction set with the reference. A largest product is as far from the true one
    /// as the farthest product at most.
    fn check(query: &[f32], tokens: &[u16], dims: usize) {
        let expected = reference::max_sim_f16(query, tokens, dims);
        let bounds: Vec<f64> = query
            .chunks(dims)
            .map(|of_query| {
                let bound = |token: &[u16]| {
                    let terms = of_query.iter().zip(token);
                    let size = |(&q, &t): (&f32, &u16)| {
                        (f64::from(q) * f64::from(reference::half(t))).abs()
                    };
                    let products: f64 = terms.map(size).sum();
                    (dims as f64 + 5.0) * 2_f64.powi(-24) * products
                        + dims as f64 * f64::from(f32::MIN_POSITIVE)
                };
                tokens.chunks(dims).map(bound).fold(0.0, f64::max)
            })
            .collect();
        for isa in cpu::tested() {
            let mut best = vec![f32::NEG_INFINITY; query.len() / dims];
            max_sim_f16_with(isa, query, tokens, &mut best);
            for ((&best, &expected), &bound) in best.iter().zip(&expected).zip(&bounds) {
                let error = (f64::from(best) - expected).abs();
                let same = f64::from(best) == expected;
                assert!(same || error <= bound, "{isa}: {best} is off by {error}");
            }
        }
    }

    fn halves(count: usize) -> Vec<u16> {
        // Of every exponent but the last, which means infinite, and of both signs.
        (0..count)
            .map(|i| (i * 31 + 5) * 2_654 % 0x7c00 | (i * 7 % 3 % 2) << 15)
            .map(|bits| bits as u16)
            .collect()
    }

    #[test]
    fn every_isa_keeps_the_bound_in_tiles_of_every_size() {
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 503.0 - 1.0;
        for dims in (1..37).chain([64, 100, 128, 256]) {
            for asked in 1..10 {
                let query: Vec<f32> = (0..asked * dims).map(number).collect();
                for tokens in 0..10 {
                    check(&query, &halves(tokens * dims), dims);
                }
            }
        }
    }

    #[test]
    fn a_larger_product_of_before_stays_and_no_number_is_passed_over() {
        // 1, infinity times 0, and 2, in each place of a tile.
        for places in 1..9 {
            for place in 0..places {
                let mut tokens = vec![0x3c00; 2 * places];
                tokens[2 * place] = 0x7c00;
                if places > 1 {
                    tokens[(2 * place + 2) % (2 * places)] = 0x4000;
                }
                for isa in cpu::tested() {
                    let mut best = [f32::NEG_INFINITY, 5.0];
                    max_sim_f16_with(isa, &[0.0, 1.0, 0.0, 1.0], &tokens, &mut best);
                    let expected = if places == 1 { f32::NEG_INFINITY } else { 1.0 };
                    assert_eq!(best, [expected, 5.0], "{isa}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "3 numbers are not 2 tokens")]
    fn a_query_of_another_length_is_refused() {
        max_sim_f16(&[1.0, 2.0, 3.0], &[], &mut [0.0; 2]);
    }

    #[test]
    #[should_panic(expected = "tokens differ in dimensions")]
    fn a_cut_token_is_refused() {
        max_sim_f16(&[1.0, 2.0], &[1, 2, 3], &mut [0.0]);
    }

    proptest! {
        #[test]
        fn a_product_is_the_same_wherever_it_is_computed(
            dims in 1usize..70,
            asked in 1usize..9,
            tokens in 1usize..9,
            seed in any::<u32>(),
        ) {
            let number = |i: usize| ((i as u32).wrapping_mul(seed | 1) >> 8) as f32 / 1e7 - 0.8;
            let query: Vec<f32> = (0..asked * dims).map(number).collect();
            let tokens = halves(tokens * dims);
            check(&query, &tokens, dims);
            for isa in cpu::tested() {
                let mut together = vec![f32::NEG_INFINITY; asked];
                max_sim_f16_with(isa, &query, &tokens, &mut together);
                for (of_query, &together) in query.chunks(dims).zip(&together) {
                    let mut alone = [f32::NEG_INFINITY];
                    for token in tokens.chunks(dims) {
                        max_sim_f16_with(isa, of_query, token, &mut alone);
                    }
                    prop_assert_eq!(alone[0].to_bits(), together.to_bits());
                }
            }
        }
    }
}

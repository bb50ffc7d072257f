//! AVX2: eight bits become eight sign masks.

#![allow(unsafe_code, reason = "code for one instruction set")]

use std::arch::x86_64::*;

/// Adds the values of set bits and subtracts the others, in eight sums, as the portable code does:
/// the same additions in the same order.
#[target_feature(enable = "avx2")]
pub(super) fn signed_sum(plane: &[u64], values: &[f32]) -> f32 {
    let lanes = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
    let sign = _mm256_set1_epi32(i32::MIN);
    let mut sums = _mm256_setzero_ps();
    for (&word, values) in plane.iter().zip(values.chunks_exact(64)) {
        let (eights, _) = values.as_chunks::<8>();
        for (byte, eight) in eights.iter().enumerate() {
            let bits = _mm256_set1_epi32((word >> (8 * byte)) as i32);
            // Bit `lane` moves to bit 31, where a clear bit becomes the sign.
            let set = _mm256_sllv_epi32(bits, lanes);
            let negative = _mm256_castsi256_ps(_mm256_andnot_si256(set, sign));
            // SAFETY: the array is 32 readable bytes; no alignment is asked for.
            let value = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
            sums = _mm256_add_ps(sums, _mm256_xor_ps(value, negative));
        }
    }
    // (a + e, b + f, c + g, d + h), then (a+e + c+g, b+f + d+h), then their sum.
    let fours = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums));
    let twos = _mm_add_ps(fours, _mm_movehl_ps(fours, fours));
    _mm_cvtss_f32(_mm_add_ss(twos, _mm_shuffle_ps::<1>(twos, twos)))
}

//! AVX2: eight numbers a register; the comparison's sign bits are eight bits of a plane.

#![allow(unsafe_code, reason = "loads of std::arch take pointers")]

use std::arch::x86_64::*;

use crate::QuantizeSums;

#[target_feature(enable = "avx2,fma")]
pub(super) fn quantize<const WRITE: bool>(
    values: &[f32],
    inverse_scale: f32,
    levels: usize,
    planes: &mut [u64],
) -> QuantizeSums {
    let words = values.len().div_ceil(64);
    let mut sums = Sums { dot: _mm256_setzero_ps(), norm_squared: _mm256_setzero_ps() };
    let mut write = |word: usize, bits: &[u64; 8]| {
        if WRITE {
            for a in 0..levels {
                planes[a * words + word] = bits[a];
            }
        }
    };
    let (whole, tail) = values.as_chunks::<64>();
    for (word, values) in whole.iter().enumerate() {
        write(word, &quantize_word(values, inverse_scale, levels, None, &mut sums));
    }
    if !tail.is_empty() {
        let mut values = [0.0; 64];
        values[..tail.len()].copy_from_slice(tail);
        let bits = quantize_word(&values, inverse_scale, levels, Some(tail.len()), &mut sums);
        write(whole.len(), &bits);
    }
    QuantizeSums { dot: add_lanes(sums.dot), norm_squared: add_lanes(sums.norm_squared) }
}

struct Sums {
    dot: __m256,
    norm_squared: __m256,
}

/// Returns one word of each plane and adds to the sums; of the last word only `used` numbers count.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn quantize_word(
    values: &[f32; 64],
    inverse_scale: f32,
    levels: usize,
    used: Option<usize>,
    sums: &mut Sums,
) -> [u64; 8] {
    let scale = _mm256_set1_ps(inverse_scale);
    let sign = _mm256_set1_ps(-0.0);
    let zero = _mm256_setzero_ps();
    let mut planes = [0; 8];
    let (rows, _) = values.as_chunks::<8>();
    for (row, values) in rows.iter().enumerate() {
        // SAFETY: the array is 32 readable bytes; no alignment is asked for.
        let scaled = _mm256_mul_ps(unsafe { _mm256_loadu_ps(values.as_ptr()) }, scale);
        let (mut rest, mut spelled) = (scaled, zero);
        for (a, plane) in planes.iter_mut().enumerate().take(levels) {
            let weight = _mm256_set1_ps((1_u32 << (levels - 1 - a)) as f32);
            let above = _mm256_cmp_ps::<_CMP_GT_OQ>(rest, zero);
            // The weight with its sign flipped where the rest is not above zero.
            let step = _mm256_xor_ps(weight, _mm256_andnot_ps(above, sign));
            rest = _mm256_sub_ps(rest, step);
            spelled = _mm256_add_ps(spelled, step);
            *plane |= (_mm256_movemask_ps(above) as u64) << (8 * row);
        }
        if let Some(used) = used {
            spelled = _mm256_and_ps(spelled, first_lanes(used.saturating_sub(8 * row)));
        }
        sums.dot = _mm256_fmadd_ps(spelled, scaled, sums.dot);
        sums.norm_squared = _mm256_fmadd_ps(spelled, spelled, sums.norm_squared);
    }
    if let Some(used) = used {
        // Numbers past the end are zero, whose lower planes are set.
        planes.iter_mut().for_each(|plane| *plane &= u64::MAX >> (64 - used));
    }
    planes
}

/// Returns a mask of the first `count` lanes, all of them when `count` is 8 or more.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn first_lanes(count: usize) -> __m256 {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(8) as i32), lanes))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_lanes(sum: __m256) -> f32 {
    let sum = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)))
}

//! x86-64: numbers become bytes `k`, 32 or 64 together, and a plane is one bit of each.

#![allow(unsafe_code, reason = "loads of std::arch take pointers")]

use std::arch::x86_64::*;

use super::Grid;
use crate::QuantizeSums;

#[target_feature(enable = "avx2,fma")]
pub(super) fn quantize_avx2<const WRITE: bool>(
    values: &[f32],
    grid: Grid,
    planes: &mut [u64],
) -> QuantizeSums {
    let words = values.len().div_ceil(64);
    let mut sums = [[_mm256_setzero_ps(); 4]; 2];
    for (word, values) in values.chunks(64).enumerate() {
        let mut padded = [0.0; 64];
        let values = values.first_chunk().unwrap_or_else(|| {
            padded[..values.len()].copy_from_slice(values);
            &padded
        });
        let (halves, _) = values.as_chunks::<32>();
        let mut bytes = [_mm256_setzero_si256(); 2];
        for (bytes, values) in bytes.iter_mut().zip(halves) {
            (*bytes, sums) = round_256::<WRITE>(values, grid, sums);
        }
        if WRITE {
            let bits = |bytes: __m256i| u64::from(_mm256_movemask_epi8(bytes) as u32);
            let first = _mm_cvtsi32_si128(8 - grid.levels as i32);
            // What a shift takes from the next byte stays below its highest bit.
            let mut bytes = bytes.map(|bytes| _mm256_sll_epi16(bytes, first));
            for plane in planes.chunks_exact_mut(words) {
                plane[word] = bits(bytes[0]) | bits(bytes[1]) << 32;
                bytes = bytes.map(|bytes| _mm256_add_epi8(bytes, bytes));
            }
        }
    }
    let [dot, norm_squared] = sums.map(|[a, b, c, d]| {
        let sum = _mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d));
        let sum = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
        let sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
        _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)))
    });
    grid.without_pads(QuantizeSums { dot, norm_squared }, planes, values.len())
}

/// Returns the `k` of 32 numbers, one a byte, and adds to the sums; without `BYTES` only the latter.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn round_256<const BYTES: bool>(
    values: &[f32; 32],
    grid: Grid,
    [mut dots, mut norms]: [[__m256; 4]; 2],
) -> (__m256i, [[__m256; 4]; 2]) {
    let scale = _mm256_set1_ps(grid.inverse_scale);
    let (middle, largest) = (_mm256_set1_ps(grid.middle()), _mm256_set1_ps(grid.largest()));
    let mut integers = [_mm256_setzero_si256(); 4];
    let (eights, _) = values.as_chunks::<8>();
    for i in 0..4 {
        // SAFETY: the array is 32 readable bytes; no alignment is asked for.
        let y = _mm256_mul_ps(unsafe { _mm256_loadu_ps(eights[i].as_ptr()) }, scale);
        let step = _mm256_ceil_ps(_mm256_mul_ps(y, _mm256_set1_ps(0.5)));
        let k = _mm256_max_ps(_mm256_add_ps(step, middle), _mm256_setzero_ps());
        let k = _mm256_min_ps(k, largest);
        let u = _mm256_fmsub_ps(k, _mm256_set1_ps(2.0), largest);
        dots[i] = _mm256_fmadd_ps(u, y, dots[i]);
        norms[i] = _mm256_fmadd_ps(u, u, norms[i]);
        if BYTES {
            integers[i] = _mm256_cvttps_epi32(k);
        }
    }
    // Both packs work inside lanes, which leaves fours of bytes: 0 8 16 24 | 4 12 20 28.
    let [a, b, c, d] = integers;
    let packed = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    let bytes = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    (bytes, [dots, norms])
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn quantize_avx512<const WRITE: bool>(
    values: &[f32],
    grid: Grid,
    planes: &mut [u64],
) -> QuantizeSums {
    let words = values.len().div_ceil(64);
    let mut sums = [[_mm512_setzero_ps(); 4]; 2];
    for (word, values) in values.chunks(64).enumerate() {
        let bytes;
        (bytes, sums) = round_512::<WRITE>(values, grid, sums);
        if WRITE {
            for (a, plane) in planes.chunks_exact_mut(words).enumerate() {
                let bit = _mm512_set1_epi8((1_u32 << (grid.levels - 1 - a)) as i8);
                plane[word] = _mm512_test_epi8_mask(bytes, bit);
            }
        }
    }
    let [dot, norm_squared] = sums.map(|[a, b, c, d]| {
        _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)))
    });
    grid.without_pads(QuantizeSums { dot, norm_squared }, planes, values.len())
}

/// As [`round_256`], for up to 64 numbers; those past the last count as zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn round_512<const BYTES: bool>(
    values: &[f32],
    grid: Grid,
    [mut dots, mut norms]: [[__m512; 4]; 2],
) -> (__m512i, [[__m512; 4]; 2]) {
    let scale = _mm512_set1_ps(grid.inverse_scale);
    let (middle, largest) = (_mm512_set1_ps(grid.middle()), _mm512_set1_ps(grid.largest()));
    let used = u64::MAX.checked_shr(64 - values.len() as u32).unwrap_or(0);
    let mut integers = [_mm512_setzero_si512(); 4];
    for i in 0..4 {
        let mask = (used >> (16 * i)) as __mmask16;
        // SAFETY: the mask selects numbers of `values` only, counted from its first.
        let y = unsafe { _mm512_maskz_loadu_ps(mask, values.as_ptr().wrapping_add(16 * i)) };
        let y = _mm512_mul_ps(y, scale);
        let half = _mm512_mul_ps(y, _mm512_set1_ps(0.5));
        let step = _mm512_roundscale_ps::<{ _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC }>(half);
        let k = _mm512_max_ps(_mm512_add_ps(step, middle), _mm512_setzero_ps());
        let k = _mm512_min_ps(k, largest);
        let u = _mm512_fmsub_ps(k, _mm512_set1_ps(2.0), largest);
        dots[i] = _mm512_fmadd_ps(u, y, dots[i]);
        norms[i] = _mm512_fmadd_ps(u, u, norms[i]);
        if BYTES {
            integers[i] = _mm512_cvttps_epi32(k);
        }
    }
    // Both packs work inside lanes: four `i` of lane `j` are to become four `j` of register `i`.
    let [a, b, c, d] = integers;
    let packed = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    (_mm512_permutexvar_epi32(order, packed), [dots, norms])
}

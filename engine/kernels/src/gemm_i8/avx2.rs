//! AVX2: bytes are widened to 16 bits, whose products cannot saturate.
//!
//! A quarter of a panel, 16 columns, at a time, and up to three rows: 12 sums. A register of sums
//! holds 4 columns, each as two halves that are added at the end:
//!
//! ```text
//!  weights, 16 bits:  k0 k1 k2 k3 | k0 k1 k2 k3 | k0 k1 k2 k3 | k0 k1 k2 k3     columns c .. c + 3
//!  codes, 16 bits:    x0 x1 x2 x3 | the same                                    one row
//!  vpmaddwd:          k0x0 + k1x1, k2x2 + k3x3 | ...
//! ```

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::x86_64::*;

use super::{Line, PANEL_COLUMNS, Panel, STEP_DEPTH, Tile, portable};

/// Rows whose sums fit the registers.
const ROWS_AT_A_TIME: usize = 3;
/// Columns of a quarter of a panel.
const QUARTER: usize = PANEL_COLUMNS / 4;
const LANES: usize = 8;

#[target_feature(enable = "avx2")]
pub(super) fn multiply(tile: Tile<'_>, panel: Panel<'_>, out: &mut [f32], stride: usize) {
    let rows = tile.scales.len();
    for first in (0..rows).step_by(ROWS_AT_A_TIME) {
        let part = Tile {
            codes: &tile.codes[first * panel.steps.len()..],
            scales: &tile.scales[first..],
            exact: &tile.exact[first * panel.exact.len()..],
        };
        let out = &mut out[first * stride..];
        for quarter in 0..4 {
            match rows - first {
                1 => multiply_rows::<1>(part, panel, quarter, out, stride),
                2 => multiply_rows::<2>(part, panel, quarter, out, stride),
                _ => multiply_rows::<3>(part, panel, quarter, out, stride),
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn multiply_rows<const ROWS: usize>(
    tile: Tile<'_>,
    panel: Panel<'_>,
    quarter: usize,
    out: &mut [f32],
    stride: usize,
) {
    let rows = tile.rows::<ROWS>(panel.steps.len());
    let mut sums = [[_mm256_setzero_si256(); ROWS]; 4];
    for (k, step) in panel.steps.iter().enumerate() {
        let mut codes = [_mm256_setzero_si256(); ROWS];
        for i in 0..ROWS {
            codes[i] = widen_codes(rows[i][k]);
        }
        for (part, sums) in sums.iter_mut().enumerate() {
            let weights = widen_weights(&step[quarter], part);
            for i in 0..ROWS {
                sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(codes[i], weights));
            }
        }
    }
    let columns = panel.columns;
    for i in 0..ROWS {
        let [a, b, c, d] = [sums[0][i], sums[1][i], sums[2][i], sums[3][i]];
        let row_scale = _mm256_set1_ps(tile.scales[i]);
        let exact = &tile.exact[i * panel.exact.len()..][..panel.exact.len()];
        let out = out[i * stride + quarter * QUARTER..][..QUARTER].as_chunks_mut::<LANES>().0;
        for ((half, sum), out) in
            [add_halves(a, b), add_halves(c, d)].into_iter().enumerate().zip(out)
        {
            let at = 2 * quarter + half;
            let sum =
                _mm256_add_epi32(sum, load_integers(&columns.starts.as_chunks::<LANES>().0[at]));
            let scale = _mm256_mul_ps(row_scale, load(&columns.scales.as_chunks::<LANES>().0[at]));
            let mut value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale);
            value = _mm256_add_ps(value, load(&columns.bias.as_chunks::<LANES>().0[at]));
            for (&x, weights) in exact.iter().zip(panel.exact) {
                let weights = load(&weights.as_chunks::<LANES>().0[at]);
                value = _mm256_add_ps(value, _mm256_mul_ps(_mm256_set1_ps(x), weights));
            }
            store(value, out);
        }
    }
}

/// As [`portable::quantize_row`], compiled for registers of 32 bytes.
#[target_feature(enable = "avx2")]
pub(super) fn quantize_row(values: &[f32], keep: &[f32], codes: &mut [u8]) -> f32 {
    portable::quantize_row(values, keep, codes)
}

/// Four times the four codes of a step.
#[inline]
#[target_feature(enable = "avx2")]
fn widen_codes(codes: [u8; STEP_DEPTH]) -> __m256i {
    _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(i32::from_le_bytes(codes))))
}

/// The weights of the four columns from `4 * part` on.
#[inline]
#[target_feature(enable = "avx2")]
fn widen_weights(line: &Line, part: usize) -> __m256i {
    let weights = &line.0.as_chunks::<16>().0[part];
    // SAFETY: the array is 16 readable bytes; no alignment is asked for.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(weights.as_ptr().cast()) })
}

/// The sums of eight columns, from the halves of four and of the next four.
#[inline]
#[target_feature(enable = "avx2")]
fn add_halves(a: __m256i, b: __m256i) -> __m256i {
    // In each half of the register: two columns of `a`, two of `b`.
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(a, b))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_integers(values: &[i32; LANES]) -> __m256i {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[f32; LANES]) -> __m256 {
    // SAFETY: the array is 32 readable bytes; no alignment is asked for.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(values: __m256, to: &mut [f32; LANES]) {
    // SAFETY: the array is 32 writable bytes; no alignment is asked for.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), values) }
}

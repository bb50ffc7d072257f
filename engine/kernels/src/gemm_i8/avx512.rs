//! AVX-512 with VNNI: 64 products of bytes an instruction.
//!
//! A tile is 6 rows by 4 registers of columns, 24 sums; a step of depth loads 4 registers of weights
//! and broadcasts 4 bytes of each row. Ten loads for 24 products leave the multiplier as the limit.

#![allow(unsafe_code, reason = "loads and stores of std::arch take pointers")]

use std::arch::x86_64::*;

use super::{Line, PANEL_COLUMNS, Panel, Tile, portable};

const LANES: usize = 16;

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn multiply(tile: Tile<'_>, panel: Panel<'_>, out: &mut [f32], stride: usize) {
    match tile.scales.len() {
        6 => multiply_rows::<6>(tile, panel, out, stride),
        5 => multiply_rows::<5>(tile, panel, out, stride),
        4 => multiply_rows::<4>(tile, panel, out, stride),
        3 => multiply_rows::<3>(tile, panel, out, stride),
        2 => multiply_rows::<2>(tile, panel, out, stride),
        _ => multiply_rows::<1>(tile, panel, out, stride),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply_rows<const ROWS: usize>(
    tile: Tile<'_>,
    panel: Panel<'_>,
    out: &mut [f32],
    stride: usize,
) {
    let rows = tile.rows::<ROWS>(panel.steps.len());
    let starts = panel.columns.starts.as_chunks::<LANES>().0;
    let mut sums = [[_mm512_setzero_si512(); 4]; ROWS];
    for sum in &mut sums {
        for c in 0..4 {
            sum[c] = load_integers(&starts[c]);
        }
    }
    for (k, step) in panel.steps.iter().enumerate() {
        let weights =
            [load_line(&step[0]), load_line(&step[1]), load_line(&step[2]), load_line(&step[3])];
        for i in 0..ROWS {
            let codes = _mm512_set1_epi32(i32::from_le_bytes(rows[i][k]));
            for c in 0..4 {
                sums[i][c] = _mm512_dpbusd_epi32(sums[i][c], codes, weights[c]);
            }
        }
    }
    let scales = panel.columns.scales.as_chunks::<LANES>().0;
    let bias = panel.columns.bias.as_chunks::<LANES>().0;
    for (i, sums) in sums.into_iter().enumerate() {
        let row_scale = _mm512_set1_ps(tile.scales[i]);
        let exact = &tile.exact[i * panel.exact.len()..][..panel.exact.len()];
        let out = out[i * stride..][..PANEL_COLUMNS].as_chunks_mut::<LANES>().0;
        for (c, out) in out.iter_mut().enumerate() {
            let scale = _mm512_mul_ps(row_scale, load(&scales[c]));
            let mut value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[c]), scale);
            value = _mm512_add_ps(value, load(&bias[c]));
            for (&x, weights) in exact.iter().zip(panel.exact) {
                let weights = load(&weights.as_chunks::<LANES>().0[c]);
                value = _mm512_add_ps(value, _mm512_mul_ps(_mm512_set1_ps(x), weights));
            }
            store(value, out);
        }
    }
}

/// As [`portable::quantize_row`], compiled for registers of 64 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn quantize_row(values: &[f32], keep: &[f32], codes: &mut [u8]) -> f32 {
    portable::quantize_row(values, keep, codes)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_line(line: &Line) -> __m512i {
    // SAFETY: a line is 64 readable bytes, aligned to 64.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_integers(values: &[i32; LANES]) -> __m512i {
    // SAFETY: the array is 64 readable bytes; no alignment is asked for.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32; LANES]) -> __m512 {
    // SAFETY: the array is 64 readable bytes; no alignment is asked for.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(values: __m512, to: &mut [f32; LANES]) {
    // SAFETY: the array is 64 writable bytes; no alignment is asked for.
    unsafe { _mm512_storeu_ps(to.as_mut_ptr(), values) }
}

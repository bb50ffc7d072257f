//! Plain Rust, one row at a time.

use super::{PANEL_COLUMNS, Panel, STEP_DEPTH, Tile};

/// Values that are compared or rounded at a time.
const LANES: usize = 16;

/// `3 * 2^22` and 128: adding it to a number of at most 127 rounds that to an integer, ties to even,
/// and leaves it plus 128 in the lowest byte.
const ROUND: f32 = 12_582_912.0 + 128.0;

pub(super) fn multiply(tile: Tile<'_>, panel: Panel<'_>, out: &mut [f32], stride: usize) {
    let rows = tile.codes.chunks_exact(panel.steps.len());
    for (row, (codes, &scale)) in rows.zip(tile.scales).enumerate() {
        let mut sums = panel.columns.starts;
        for (codes, step) in codes.iter().zip(panel.steps) {
            for (line, sums) in step.iter().zip(sums.as_chunks_mut::<16>().0) {
                for (weights, sum) in line.0.as_chunks::<STEP_DEPTH>().0.iter().zip(sums) {
                    for (&code, &weight) in codes.iter().zip(weights) {
                        *sum += i32::from(code) * i32::from(weight);
                    }
                }
            }
        }
        let exact = &tile.exact[row * panel.exact.len()..][..panel.exact.len()];
        let out = &mut out[row * stride..][..PANEL_COLUMNS];
        for (col, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
            *out = sum as f32 * (scale * panel.columns.scales[col]) + panel.columns.bias[col];
            for (value, weights) in exact.iter().zip(panel.exact) {
                *out += value * weights[col];
            }
        }
    }
}

/// Writes the codes of a row, and 128 (which is zero) past its end; returns its scale.
#[inline(always)]
pub(super) fn quantize_row(values: &[f32], keep: &[f32], codes: &mut [u8]) -> f32 {
    let mut largest = [0.0_f32; LANES];
    let (chunks, tail) = values.as_chunks::<LANES>();
    let (keep_chunks, keep_tail) = keep.as_chunks::<LANES>();
    for (values, keep) in chunks.iter().zip(keep_chunks) {
        for i in 0..LANES {
            largest[i] = max(largest[i], (values[i] * keep[i]).abs());
        }
    }
    let largest = largest.into_iter().fold(0.0, max);
    let largest =
        tail.iter().zip(keep_tail).fold(largest, |most, (x, keep)| max(most, (x * keep).abs()));
    // Below this 127 / largest overflows. Such a row is as good as zero, and so is one without numbers.
    if largest < 256.0 * f32::MIN_POSITIVE {
        codes.fill(128);
        return 0.0;
    }
    let inverse = 127.0 / largest;
    let (codes, padding) = codes.split_at_mut(values.len());
    for ((code, x), keep) in codes.iter_mut().zip(values).zip(keep) {
        *code = ((x * keep) * inverse + ROUND).to_bits() as u8;
    }
    padding.fill(128);
    largest / 127.0
}

/// Returns the larger number; if `b` is none, `a`.
#[inline(always)]
fn max(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

//! Pillow's resampling, bit for bit.
//!
//! Models were trained on what Pillow makes of a picture; another resampler differs by tens of
//! levels. Its arithmetic (`Resample.c`, up to Pillow 12): one pass along rows, rounded to bytes, then
//! one along columns. A pass computes each output from the inputs under a kernel that is widened by
//! the factor of reduction, with weights in fixed point of 22 bits:
//!
//! ```text
//! out = clip8((Σ weight[k] · in[first + k] + 2^21) >> 22)
//! ```
//!
//! Both passes run along columns here, the first one on the transposed picture: then every weight
//! meets a row of consecutive bytes. Only what a crop keeps is computed.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::pixels::CHANNELS;
use super::rgb::RgbImage;

/// Bits after the point of a weight.
const FRACTION_BITS: u32 = 22;
/// Bytes of a row that are summed up in registers.
const STRIP: usize = 64;

/// The kernel of a resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResampleFilter {
    /// A triangle of two pixels.
    Bilinear,
    /// The cubic with a = -1/2, of four pixels.
    Bicubic,
}

impl ResampleFilter {
    /// How far the kernel reaches to each side.
    fn reach(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic => {
                const A: f64 = -0.5;
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
        }
    }
}

/// A part of a picture: which columns, which rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) columns: Range<usize>,
    pub(crate) rows: Range<usize>,
}

/// Resizes a picture to `(width, height)` and returns what lies in the window, which lies within
/// the resized picture: `[rows, columns, 3]`.
pub(crate) fn resize(
    image: &RgbImage,
    (width, height): (usize, usize),
    filter: ResampleFilter,
    window: &Window,
) -> Vec<u8> {
    let across = Weights::new(image.width(), width, filter, window.columns.clone());
    let down = Weights::new(image.height(), height, filter, window.rows.clone());
    let kept = down.inputs();
    let (rows, stride) = (kept.len(), image.width() * CHANNELS);
    let source = &image.data()[kept.start * stride..kept.end * stride];
    let arch = Arch::new();
    let columns = transpose(source, rows, image.width());
    let narrow = across.apply(arch, &columns, rows * CHANNELS, 0);
    let narrow = transpose(&narrow, window.columns.len(), rows);
    down.apply(arch, &narrow, window.columns.len() * CHANNELS, kept.start)
}

/// Swaps rows and columns of `[rows, columns, 3]`, in blocks that stay in the cache.
fn transpose(pixels: &[u8], rows: usize, columns: usize) -> Vec<u8> {
    const BLOCK: usize = 32;
    let mut out = vec![0; pixels.len()];
    for first_row in (0..rows).step_by(BLOCK) {
        for first_column in (0..columns).step_by(BLOCK) {
            for row in first_row..rows.min(first_row + BLOCK) {
                let line = &pixels[row * columns * CHANNELS..][..columns * CHANNELS];
                let (line, _) = line.as_chunks::<CHANNELS>();
                let end = columns.min(first_column + BLOCK);
                for (column, pixel) in line[first_column..end].iter().enumerate() {
                    let at = ((first_column + column) * rows + row) * CHANNELS;
                    out[at..at + CHANNELS].copy_from_slice(pixel);
                }
            }
        }
    }
    out
}

/// The weights of a pass: for each output, which inputs it is the sum of.
struct Weights {
    /// First input, and where its weights lie.
    outputs: Vec<(usize, Range<usize>)>,
    values: Vec<i32>,
}

impl Weights {
    /// Of the outputs in `kept` when `from` pixels become `to`.
    fn new(from: usize, to: usize, filter: ResampleFilter, kept: Range<usize>) -> Self {
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let reach = filter.reach() * widening;
        let (mut outputs, mut values) = (Vec::with_capacity(kept.len()), Vec::new());
        for output in kept {
            let center = (output as f64 + 0.5) * scale;
            // Casts cut towards zero, and to zero from below, as the original's do.
            let first = (center - reach + 0.5) as usize;
            let end = ((center + reach + 0.5) as usize).min(from);
            let raw: Vec<f64> = (first..end)
                .map(|input| filter.weight((input as f64 - center + 0.5) * (1.0 / widening)))
                .collect();
            let sum: f64 = raw.iter().sum();
            let start = values.len();
            values.extend(raw.iter().map(|&weight| {
                let weight = if sum == 0.0 { weight } else { weight / sum };
                (weight * f64::from(1 << FRACTION_BITS) + 0.5f64.copysign(weight)) as i32
            }));
            outputs.push((first, start..values.len()));
        }
        Self { outputs, values }
    }

    /// The inputs that any output needs.
    fn inputs(&self) -> Range<usize> {
        let start = self.outputs.iter().map(|(first, _)| *first).min().unwrap_or_default();
        let end = self.outputs.iter().map(|(first, weights)| first + weights.len()).max();
        start..end.unwrap_or_default()
    }

    /// Sums up rows of `stride` bytes, of which the first is the input `first_row`.
    fn apply(&self, arch: Arch, rows: &[u8], stride: usize, first_row: usize) -> Vec<u8> {
        let mut out = vec![0; self.outputs.len() * stride];
        for ((first, weights), out) in self.outputs.iter().zip(out.chunks_exact_mut(stride)) {
            let rows = &rows[(first - first_row) * stride..];
            arch.dispatch(WeightedSum {
                rows,
                stride,
                weights: &self.values[weights.clone()],
                out,
            });
        }
        out
    }
}

/// One output row.
struct WeightedSum<'a> {
    rows: &'a [u8],
    stride: usize,
    weights: &'a [i32],
    out: &'a mut [u8],
}

impl WithSimd for WeightedSum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (strips, rest) = self.out.as_chunks_mut::<STRIP>();
        for (index, strip) in strips.iter_mut().enumerate() {
            let mut sums = [1i32 << (FRACTION_BITS - 1); STRIP];
            for (k, &weight) in self.weights.iter().enumerate() {
                let row = &self.rows[k * self.stride + index * STRIP..][..STRIP];
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += weight * i32::from(value);
                }
            }
            for (out, sum) in strip.iter_mut().zip(sums) {
                *out = (sum >> FRACTION_BITS).clamp(0, 255) as u8;
            }
        }
        let start = strips.len() * STRIP;
        for (at, out) in rest.iter_mut().enumerate() {
            let mut sum = 1i32 << (FRACTION_BITS - 1);
            for (k, &weight) in self.weights.iter().enumerate() {
                sum += weight * i32::from(self.rows[k * self.stride + start + at]);
            }
            *out = (sum >> FRACTION_BITS).clamp(0, 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_that_part_of_the_whole() {
        let data: Vec<u8> = (0..70 * 41 * 3u32).map(|i| (i * i % 251) as u8).collect();
        let image = RgbImage::new(70, 41, data).unwrap();
        for filter in [ResampleFilter::Bilinear, ResampleFilter::Bicubic] {
            for size in [(31, 20), (90, 77), (70, 41)] {
                let all = Window { columns: 0..size.0, rows: 0..size.1 };
                let whole = resize(&image, size, filter, &all);
                let window = Window { columns: 3..29, rows: 5..17 };
                let part = resize(&image, size, filter, &window);
                let expected: Vec<u8> = (5..17)
                    .flat_map(|row| whole[(row * size.0 + 3) * 3..(row * size.0 + 29) * 3].to_vec())
                    .collect();
                assert_eq!(part, expected, "{filter:?} {size:?}");
                if size == (70, 41) {
                    assert_eq!(whole, image.data());
                }
            }
        }
    }

    #[test]
    fn a_pixel_becomes_a_plain_of_its_colour() {
        let image = RgbImage::new(1, 1, vec![9, 200, 77]).unwrap();
        let window = Window { columns: 0..30, rows: 0..7 };
        let plain = resize(&image, (30, 7), ResampleFilter::Bicubic, &window);
        assert!(plain.chunks_exact(3).all(|pixel| pixel == [9, 200, 77]));
    }
}

//! A convolution of each channel by itself.
//!
//! Pictures are `[rows, columns, channels]` here, so that a register holds neighbouring channels of one
//! pixel, and a convolution of one pixel is a multiplication of rows. The input comes with its border of
//! zeros around it ([`Padding`]): no step asks whether it has left the picture. Four pixels of a row are
//! computed together, so that a weight is loaded once for four.

use pulp::{Arch, Simd, WithSimd};

use super::activation::Activation;

/// Pixels that share the loads of weights.
const TILE: usize = 4;

/// Rows and columns of zeros around a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Padding {
    /// Above and to the left.
    pub(crate) before: usize,
    /// Below and to the right.
    pub(crate) after: usize,
}

impl Padding {
    /// Length of a side with its border.
    pub(crate) fn padded(self, side: usize) -> usize {
        side + self.before + self.after
    }
}

/// A depthwise convolution with a bias and an activation.
#[derive(Debug)]
pub(crate) struct Depthwise {
    arch: Arch,
    channels: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
    /// `[kernel rows, kernel columns, channels]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

impl Depthwise {
    /// Takes `weight` as checkpoints store it, `[channels, kernel, kernel]`, and a bias a channel.
    pub(crate) fn new(
        arch: Arch,
        weight: &[f32],
        bias: Vec<f32>,
        (kernel, stride, padding): (usize, usize, Padding),
        activation: Activation,
    ) -> Self {
        let (channels, taps) = (bias.len(), kernel * kernel);
        assert_eq!(weight.len(), channels * taps, "weight is not [{channels}, {kernel}, {kernel}]");
        let mut by_tap = vec![0.0; weight.len()];
        for (channel, taps) in weight.chunks_exact(taps).enumerate() {
            for (tap, &value) in taps.iter().enumerate() {
                by_tap[tap * channels + channel] = value;
            }
        }
        // Channels that do not fill registers are rare: no published model has any.
        let arch = if channels.is_multiple_of(lanes(arch)) { arch } else { Arch::Scalar };
        Self { arch, channels, kernel, stride, padding, weight: by_tap, bias, activation }
    }

    /// The border that its input has.
    pub(crate) fn padding(&self) -> Padding {
        self.padding
    }

    /// Length of a side of the output; 0 if the kernel does not fit.
    pub(crate) fn output_side(&self, side: usize) -> usize {
        (self.padding.padded(side) + self.stride).saturating_sub(self.kernel) / self.stride
    }

    /// Writes row `row` of the output, `[columns, channels]`, of `padded`: the input with its border,
    /// whose rows have `padded_columns` pixels.
    pub(crate) fn row(&self, padded: &[f32], padded_columns: usize, row: usize, out: &mut [f32]) {
        self.arch.dispatch(Row { layer: self, padded, padded_columns, row, out });
    }
}

fn lanes(arch: Arch) -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    arch.dispatch(Lanes)
}

struct Row<'a> {
    layer: &'a Depthwise,
    padded: &'a [f32],
    padded_columns: usize,
    row: usize,
    out: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Depthwise { channels, kernel, stride, .. } = *self.layer;
        let vectors = channels / S::F32_LANES;
        let input = S::as_simd_f32s(self.padded).0;
        let weight = S::as_simd_f32s(&self.layer.weight).0;
        let bias = S::as_simd_f32s(&self.layer.bias).0;
        let out = S::as_mut_simd_f32s(self.out).0;
        let columns = out.len() / vectors;
        let line = self.padded_columns * vectors;
        for first in (0..columns).step_by(TILE) {
            let tile = TILE.min(columns - first);
            for (vector, &bias) in bias.iter().enumerate() {
                let mut sums = [bias; TILE];
                for ky in 0..kernel {
                    let top = (self.row * stride + ky) * line + vector;
                    for kx in 0..kernel {
                        let weight = weight[(ky * kernel + kx) * vectors + vector];
                        let start = top + (first * stride + kx) * vectors;
                        for (i, sum) in sums.iter_mut().enumerate() {
                            // Past the end of a row the last pixel is summed again, and not stored.
                            let at = start + i.min(tile - 1) * stride * vectors;
                            *sum = simd.mul_add_e_f32s(input[at], weight, *sum);
                        }
                    }
                }
                for (i, sum) in sums.into_iter().enumerate().take(tile) {
                    out[(first + i) * vectors + vector] = self.layer.activation.apply(simd, sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * step).sin()).collect()
    }

    proptest! {
        #[test]
        fn every_arch_agrees_with_the_definition(
            (height, width) in (1usize..9, 1usize..12),
            channels in prop_oneof![1usize..40, Just(16usize), Just(32)],
            kernel in prop_oneof![Just(3usize), Just(5)],
            stride in 1usize..3,
            (before, after) in (0usize..3, 0usize..3),
        ) {
            let padding = Padding { before, after };
            let (rows, columns) = (padding.padded(height), padding.padded(width));
            prop_assume!(rows >= kernel && columns >= kernel);
            let (weight, bias) = (values(channels * kernel * kernel, 0.7), values(channels, 0.3));
            let input = values(height * width * channels, 0.13);
            let mut padded = vec![0.0; rows * columns * channels];
            for y in 0..height {
                let line = &input[y * width * channels..][..width * channels];
                padded[((y + before) * columns + before) * channels..][..line.len()].copy_from_slice(line);
            }
            for arch in [Arch::new(), Arch::Scalar] {
                let shape = (kernel, stride, padding);
                let layer = Depthwise::new(arch, &weight, bias.clone(), shape, Activation::Relu);
                let (out_rows, out_columns) = (layer.output_side(height), layer.output_side(width));
                prop_assert_eq!(out_rows, (rows - kernel) / stride + 1);
                for row in 0..out_rows {
                    let mut out = vec![f32::NAN; out_columns * channels];
                    layer.row(&padded, columns, row, &mut out);
                    for (index, &actual) in out.iter().enumerate() {
                        let (column, channel) = (index / channels, index % channels);
                        let mut sum = f64::from(bias[channel]);
                        for (tap, weight) in weight[channel * kernel * kernel..][..kernel * kernel].iter().enumerate() {
                            let (y, x) = (row * stride + tap / kernel, column * stride + tap % kernel);
                            sum += f64::from(*weight) * f64::from(padded[(y * columns + x) * channels + channel]);
                        }
                        prop_assert!((f64::from(actual) - sum.max(0.0)).abs() < 1e-5, "{} {}", actual, sum);
                    }
                }
            }
        }
    }
}

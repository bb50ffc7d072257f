//! A depthwise causal convolution over three tokens.
//!
//! `out[t, c] = w[c, 0] x[t - 2, c] + w[c, 1] x[t - 1, c] + w[c, 2] x[t, c] + bias[c]`

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

/// Tokens before the first that the convolution reads.
const HALO: usize = 2;

/// One filter of three taps a channel.
#[derive(Debug)]
pub(crate) struct ShortConv {
    arch: Arch,
    /// `[tap][channel]`, the oldest token's first.
    taps: [Vec<f32>; HALO + 1],
    bias: Vec<f32>,
}

impl ShortConv {
    /// How many rows before the first [`ShortConv::forward`] needs.
    pub(crate) const HALO: usize = HALO;

    /// Takes `weight`, `[channels, 1, 3]` as checkpoints store it, and one bias value a channel.
    pub(crate) fn new(arch: Arch, weight: &[f32], bias: Vec<f32>) -> Self {
        debug_assert_eq!(weight.len(), bias.len() * (HALO + 1));
        let tap = |at: usize| weight.iter().skip(at).step_by(HALO + 1).copied().collect();
        Self { arch, taps: [tap(0), tap(1), tap(2)], bias }
    }

    /// Writes the rows of `channels` to `out`, `[rows, channels]`; `x` holds the same channels of
    /// two more rows, the ones before the first.
    pub(crate) fn forward(&self, channels: Range<usize>, x: &[f32], out: &mut [f32]) {
        debug_assert_eq!(x.len(), out.len() + HALO * channels.len());
        self.arch.dispatch(Pass { conv: self, channels, x, out });
    }
}

struct Pass<'a> {
    conv: &'a ShortConv,
    channels: Range<usize>,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.channels.len();
        let [oldest, older, now] = &self.conv.taps;
        let taps = [oldest, older, now].map(|tap| &tap[self.channels.clone()]);
        let bias = &self.conv.bias[self.channels.clone()];
        for (row, out) in self.out.chunks_exact_mut(width).enumerate() {
            let x = [0, 1, 2].map(|back| &self.x[(row + back) * width..][..width]);
            for c in 0..width {
                out[c] =
                    bias[c] + taps[0][c] * x[0][c] + taps[1][c] * x[1][c] + taps[2][c] * x[2][c];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_is_filtered_alone_and_looks_back_only() {
        let (channels, rows) = (37, 9);
        let wave = |len: usize, step: f32| -> Vec<f32> {
            (0..len).map(|i| (i as f32 * step).sin()).collect()
        };
        let (weight, bias) = (wave(channels * 3, 0.41), wave(channels, 0.9));
        let x = wave((rows + 2) * channels, 0.23);
        for arch in [Arch::new(), Arch::Scalar] {
            let conv = ShortConv::new(arch, &weight, bias.clone());
            for range in [0..channels, 3..4, 8..31] {
                let part: Vec<f32> =
                    x.chunks(channels).flat_map(|row| row[range.clone()].to_vec()).collect();
                let mut out = vec![f32::NAN; rows * range.len()];
                conv.forward(range.clone(), &part, &mut out);
                for row in 0..rows {
                    for (at, channel) in range.clone().enumerate() {
                        let expected = (0..3).fold(f64::from(bias[channel]), |sum, tap| {
                            let x = f64::from(x[(row + tap) * channels + channel]);
                            sum + f64::from(weight[channel * 3 + tap]) * x
                        });
                        let got = f64::from(out[row * range.len() + at]);
                        assert!((got - expected).abs() < 1e-6, "{row} {channel}");
                    }
                }
            }
        }
    }
}

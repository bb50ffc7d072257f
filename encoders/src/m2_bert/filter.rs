//! Filters as functions of the position.
//!
//! A checkpoint does not hold a filter's values, but a small network that gives them: from a few
//! numbers that describe the position through three layers with sines to one value a channel, which
//! then fades with the distance:
//!
//! ```text
//! u = sin(f (W₀ z[l] + b₀));  u = sin(f (W₂ u + b₂));  u = sin(f (W₄ u + b₄))
//! k[l, c] = (W₆ u)[c] · e^(-t[l] |δ[c]|)
//! ```
//!
//! Nothing here depends on a text. The frequencies `f` are folded into the weights they multiply.
//! Everything up to `u` is shared by all channels ([`FilterFeatures`]); the last multiplication is
//! done for a few channels at a time and gives rows as long as the text, so that a layer's filters
//! (800 MB as spectra of 32,768 positions) are never held whole.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::long_conv::Kernel;
use crate::nn::{Activation, PackedLinear, PackedMatrix, Rows, exp2};
use crate::weights::{Tensors, WeightsError};

/// Positions that go through the network together.
const TILE: usize = 256;

/// The filters of one long convolution of one layer.
#[derive(Debug)]
pub(crate) struct ImplicitFilter {
    arch: Arch,
    past: FilterNet,
    future: FilterNet,
    /// `[positions, inputs]`.
    positions: Vec<f32>,
    /// Where each position lies between the first, 0, and the last, 1.
    times: Vec<f32>,
    /// `|δ| log2(e)` of each channel: how fast its filters fade.
    rates: Vec<f32>,
    /// What a channel's signal is multiplied by and added.
    bias: Vec<f32>,
}

/// The network of one direction.
#[derive(Debug)]
struct FilterNet {
    hidden: [PackedLinear; 3],
    /// `[channels, order]`.
    output: Vec<f32>,
}

/// The last hidden layer of both networks for the first positions of a text.
#[derive(Debug)]
pub(crate) struct FilterFeatures {
    past: PackedMatrix,
    future: PackedMatrix,
}

/// Filters of some channels, row by row.
#[derive(Debug, Default)]
pub(crate) struct KernelRows {
    past: Vec<f32>,
    future: Vec<f32>,
}

impl ImplicitFilter {
    /// Reads the filter called `name`, whose tensors have been checked.
    pub(crate) fn read(
        arch: Arch,
        tensors: &Tensors<'_>,
        name: &str,
    ) -> Result<Self, WeightsError> {
        let read = |part: &str| tensors.read(&format!("{name}.{part}"));
        let deltas = read("modulation.deltas")?;
        Ok(Self {
            arch,
            past: FilterNet::read(arch, tensors, &format!("{name}.implicit_filter"))?,
            future: FilterNet::read(arch, tensors, &format!("{name}.implicit_filter_rev"))?,
            positions: read("pos_emb.z")?,
            times: read("pos_emb.t")?,
            rates: deltas.iter().map(|delta| delta.abs() * std::f32::consts::LOG2_E).collect(),
            bias: read("bias")?,
        })
    }

    /// Computes what all channels share, for texts of `length` tokens.
    pub(crate) fn features(&self, length: usize) -> FilterFeatures {
        let inputs = self.positions.len() / self.times.len();
        let positions = &self.positions[..length * inputs];
        let (past, future) = rayon::join(
            || self.past.features(self.arch, positions, inputs),
            || self.future.features(self.arch, positions, inputs),
        );
        FilterFeatures { past, future }
    }

    /// Computes what all channels share for the first token alone: of the filters that reach back,
    /// their first value.
    pub(crate) fn first_token_features(&self, length: usize) -> FilterFeatures {
        let inputs = self.positions.len() / self.times.len();
        FilterFeatures {
            past: self.past.features(self.arch, &self.positions[..inputs], inputs),
            future: self.future.features(self.arch, &self.positions[..length * inputs], inputs),
        }
    }

    /// Computes both filters of `channels`.
    pub(crate) fn kernels(
        &self,
        features: &FilterFeatures,
        channels: Range<usize>,
        out: &mut KernelRows,
    ) {
        self.rows(&self.past, &features.past, channels.clone(), &mut out.past);
        self.rows(&self.future, &features.future, channels, &mut out.future);
    }

    /// What the signal of a channel is multiplied by and added.
    pub(crate) fn bias(&self, channel: usize) -> f32 {
        self.bias[channel]
    }

    fn rows(
        &self,
        net: &FilterNet,
        features: &PackedMatrix,
        channels: Range<usize>,
        out: &mut Vec<f32>,
    ) {
        let (length, order) = (features.cols(), features.depth());
        // Sized once and used again; every value is written below.
        out.resize(channels.len() * length, 0.0);
        let output = &net.output[channels.start * order..channels.end * order];
        let output = Rows { data: output, stride: order, count: channels.len() };
        features.multiply(output, out, length);
        for (channel, row) in channels.zip(out.chunks_exact_mut(length)) {
            let rate = self.rates[channel];
            self.arch.dispatch(Fade { row, times: &self.times[..length], rate });
        }
    }
}

impl KernelRows {
    /// The filter of the channel that came `at`-th, of `length` values each way.
    pub(crate) fn kernel(&self, at: usize, length: usize, bias: f32) -> Kernel<'_> {
        Kernel {
            past: &self.past[at * length..][..length],
            future: &self.future[at * length..][..length],
            bias,
        }
    }

    /// What each token's value is multiplied by in the first token's result, for the channel that
    /// came `at`-th of those computed from [`ImplicitFilter::first_token_features`]: of itself, then
    /// of the ones after it.
    pub(crate) fn first_token(&self, at: usize, length: usize, bias: f32) -> (f32, &[f32]) {
        (bias + self.past[at], &self.future[at * length..][..length - 1])
    }
}

impl FilterNet {
    fn read(arch: Arch, tensors: &Tensors<'_>, name: &str) -> Result<Self, WeightsError> {
        let read = |part: String| tensors.read(&format!("{name}.{part}"));
        let layer = |at: usize| -> Result<PackedLinear, WeightsError> {
            let mut weight = read(format!("{at}.weight"))?;
            let mut bias = read(format!("{at}.bias"))?;
            let frequencies = read(format!("{}.freq", at + 1))?;
            let inputs = weight.len() / bias.len();
            for (row, frequency) in weight.chunks_exact_mut(inputs).zip(&frequencies) {
                row.iter_mut().for_each(|value| *value *= frequency);
            }
            for (value, frequency) in bias.iter_mut().zip(&frequencies) {
                *value *= frequency;
            }
            Ok(PackedLinear::new(arch, &weight, &bias, inputs))
        };
        Ok(Self { hidden: [layer(0)?, layer(2)?, layer(4)?], output: read("6.weight".to_owned())? })
    }

    /// Runs the hidden layers for all positions.
    fn features(&self, arch: Arch, positions: &[f32], inputs: usize) -> PackedMatrix {
        let order = self.hidden[0].outputs();
        let mut features = vec![0.0; positions.len() / inputs * order];
        let run = |linear: &PackedLinear, x: &[f32], out: &mut [f32]| {
            let stride = linear.inputs();
            let rows = Rows { data: x, stride, count: x.len() / stride };
            linear.forward_columns(rows, 0..order, Activation::Sine, out, order);
        };
        features
            .par_chunks_mut(TILE * order)
            .zip(positions.par_chunks(TILE * inputs))
            .for_each_init(
                || vec![0.0; TILE * order],
                |middle, (out, positions)| {
                    let middle = &mut middle[..out.len()];
                    run(&self.hidden[0], positions, out);
                    run(&self.hidden[1], out, middle);
                    run(&self.hidden[2], middle, out);
                },
            );
        let length = features.len() / order;
        PackedMatrix::from_transposed(arch, &features, length, order)
    }
}

/// `row[l] ← row[l] · 2^(-times[l] rate)`
struct Fade<'a> {
    row: &'a mut [f32],
    times: &'a [f32],
    rate: f32,
}

impl WithSimd for Fade<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rate = simd.splat_f32s(-self.rate);
        let (row, row_tail) = S::as_mut_simd_f32s(self.row);
        let (times, times_tail) = S::as_simd_f32s(self.times);
        for (value, &time) in row.iter_mut().zip(times) {
            *value = simd.mul_f32s(*value, exp2(simd, simd.mul_f32s(time, rate)));
        }
        for (value, time) in row_tail.iter_mut().zip(times_tail) {
            *value *= (-time * self.rate).exp2();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use super::*;

    const INPUTS: usize = 5;
    const ORDER: usize = 18;
    const CHANNELS: usize = 7;
    const LENGTH: usize = 300;

    fn wave(len: usize, step: f64, height: f64) -> Vec<f32> {
        (0..len).map(|i| ((i as f64 * step).sin() * height) as f32).collect()
    }

    /// The tensors of one filter, as a checkpoint names them.
    fn parts() -> HashMap<String, (Vec<usize>, Vec<f32>)> {
        let mut parts = HashMap::new();
        let mut put = |name: &str, shape: &[usize], values: Vec<f32>| {
            parts.insert(format!("f.{name}"), (shape.to_vec(), values));
        };
        put("bias", &[CHANNELS], wave(CHANNELS, 0.9, 1.0));
        put("pos_emb.z", &[1, LENGTH, INPUTS], wave(LENGTH * INPUTS, 0.013, 1.0));
        let times = (0..LENGTH).map(|l| l as f32 / (LENGTH - 1) as f32).collect();
        put("pos_emb.t", &[1, LENGTH, 1], times);
        put("modulation.deltas", &[1, 1, CHANNELS], wave(CHANNELS, 1.7, 15.0));
        for (at, net) in ["implicit_filter", "implicit_filter_rev"].into_iter().enumerate() {
            for (layer, inputs) in [(0, INPUTS), (2, ORDER), (4, ORDER)] {
                let step = 0.37 + 0.11 * f64::from(layer) + at as f64;
                let mut put = |part: &str, shape: &[usize], values| {
                    put(&format!("{net}.{part}"), shape, values);
                };
                let weight = wave(ORDER * inputs, step, 0.4);
                put(&format!("{layer}.weight"), &[ORDER, inputs], weight);
                put(&format!("{layer}.bias"), &[ORDER], wave(ORDER, step * 2.0, 1.0));
                let frequencies = wave(ORDER, step * 3.0, 2.0).iter().map(|f| f + 8.0).collect();
                put(&format!("{}.freq", layer + 1), &[1, ORDER], frequencies);
            }
            let weight = wave(CHANNELS * ORDER, 0.71 + at as f64, 0.3);
            put(&format!("{net}.6.weight"), &[CHANNELS, ORDER], weight);
        }
        parts
    }

    fn read(parts: &HashMap<String, (Vec<usize>, Vec<f32>)>) -> ImplicitFilter {
        let bytes: HashMap<&str, (Vec<usize>, Vec<u8>)> = parts
            .iter()
            .map(|(name, (shape, values))| {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (name.as_str(), (shape.clone(), bytes))
            })
            .collect();
        let views = bytes.iter().map(|(name, (shape, bytes))| {
            (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        let file = safetensors::serialize(views, None).unwrap();
        let tensors = Tensors::parse(Path::new("m"), &file).unwrap();
        ImplicitFilter::read(Arch::new(), &tensors, "f").unwrap()
    }

    /// The formula, for one value.
    fn formula(
        parts: &HashMap<String, (Vec<usize>, Vec<f32>)>,
        net: &str,
        position: usize,
        channel: usize,
    ) -> f64 {
        let get = |part: &str| -> Vec<f64> {
            parts[&format!("f.{part}")].1.iter().map(|&value| f64::from(value)).collect()
        };
        let mut u = get("pos_emb.z")[position * INPUTS..][..INPUTS].to_vec();
        for layer in [0, 2, 4] {
            let weight = get(&format!("{net}.{layer}.weight"));
            let bias = get(&format!("{net}.{layer}.bias"));
            let frequencies = get(&format!("{net}.{}.freq", layer + 1));
            u = (0..ORDER)
                .map(|row| {
                    let row_weights = &weight[row * u.len()..][..u.len()];
                    let sum: f64 = row_weights.iter().zip(&u).map(|(w, x)| w * x).sum();
                    (frequencies[row] * (sum + bias[row])).sin()
                })
                .collect();
        }
        let output = get(&format!("{net}.6.weight"));
        let value: f64 =
            output[channel * ORDER..][..ORDER].iter().zip(&u).map(|(w, x)| w * x).sum();
        let fade = get("pos_emb.t")[position] * get("modulation.deltas")[channel].abs();
        value * (-fade).exp()
    }

    #[test]
    fn filters_equal_the_formula_both_ways() {
        let parts = parts();
        let filter = read(&parts);
        for length in [LENGTH, 41, 1] {
            let features = filter.features(length);
            let mut rows = KernelRows::default();
            filter.kernels(&features, 2..CHANNELS, &mut rows);
            for channel in 2..CHANNELS {
                let kernel = rows.kernel(channel - 2, length, filter.bias(channel));
                assert_eq!(kernel.bias, parts["f.bias"].1[channel]);
                for position in (0..length).step_by(7) {
                    let past = formula(&parts, "implicit_filter", position, channel);
                    let future = formula(&parts, "implicit_filter_rev", position, channel);
                    assert!((f64::from(kernel.past[position]) - past).abs() < 1e-4);
                    assert!((f64::from(kernel.future[position]) - future).abs() < 1e-4);
                }
            }
        }
    }
}

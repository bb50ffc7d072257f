//! Two convolutions over a whole text by one pair of Fourier transforms.
//!
//! A filter reaches from the first token to the last, both ways:
//!
//! ```text
//! y[i] = bias s[i] + Σ_{j ≤ i} past[i - j] s[j] + Σ_{j > i} future[j - i - 1] s[j]
//! ```
//!
//! which is a circular convolution of twice the length:
//!
//! ```text
//! 0                                       size
//! | past (+ bias at 0) |     zeros     | future, reversed |
//! ```
//!
//! Both convolutions of a layer go through one complex transform, because their signals and filters
//! are real. With `Z = F(a + i b)` and `Z~[k] = conj(Z[size - k])`, the transforms of `a` and `b`
//! are `(Z + Z~)/2` and `(Z - Z~)/2i`, so that
//!
//! ```text
//! F⁻¹(Z P + Z~ M) = (a * k₁) + i (b * k₂)    with  P = (K₁ + K₂)/2,  M = (K₁ - K₂)/2.
//! ```
//!
//! `P` and `M` are spectra of real filters: their lower halves say all. Transforms are rustfft's;
//! `docs/decisions/0014-long-convolutions-by-radix-ffts.md` says why.

use std::fmt;
use std::sync::Arc;

use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

/// One filter of one channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel<'a> {
    /// What a value adds to itself and to those after it: `past[0]` to itself.
    pub(crate) past: &'a [f32],
    /// What a value adds to those before it: `future[0]` to the one just before.
    pub(crate) future: &'a [f32],
    /// Added to `past[0]`.
    pub(crate) bias: f32,
}

/// The transforms for texts of one length.
#[derive(Clone)]
pub(crate) struct LongConv {
    length: usize,
    size: usize,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
}

/// The signal that is being worked on.
#[derive(Debug, Default)]
pub(crate) struct LongConvScratch {
    values: Vec<Complex32>,
    fft: Vec<Complex32>,
}

/// Values the spectra of two filters for texts of `length` tokens take: the lower halves of `P` and
/// `M`.
pub(crate) fn spectra_len(length: usize) -> usize {
    transform_size(length) + 2
}

/// Values of a transform for texts of `length` tokens.
pub(crate) fn transform_size(length: usize) -> usize {
    (2 * length).next_power_of_two()
}

/// Writes two filters of a channel as circular ones, value beside value.
pub(crate) fn lay_out<T: Copy>(
    kernels: [Kernel<'_>; 2],
    out: &mut [T],
    pair: impl Fn(f32, f32) -> T,
) {
    let [first, second] = kernels;
    out.fill(pair(0.0, 0.0));
    for (value, (&a, &b)) in out.iter_mut().zip(first.past.iter().zip(second.past)) {
        *value = pair(a, b);
    }
    out[0] = pair(first.past[0] + first.bias, second.past[0] + second.bias);
    let future = first.future.iter().zip(second.future);
    for (value, (&a, &b)) in out.iter_mut().rev().zip(future) {
        *value = pair(a, b);
    }
}

impl LongConv {
    /// Prepares transforms of the first power of two from twice `length` on.
    pub(crate) fn new(length: usize) -> Self {
        let size = transform_size(length);
        let mut planner = FftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
        Self { length, size, forward, inverse }
    }

    /// Tokens of a text.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Writes the spectra of two filters of the same channel.
    pub(crate) fn spectra(
        &self,
        kernels: [Kernel<'_>; 2],
        out: &mut [Complex32],
        scratch: &mut LongConvScratch,
    ) {
        let LongConvScratch { values, fft } = self.prepare(scratch);
        lay_out(kernels, values, Complex32::new);
        self.forward.process_with_scratch(values, fft);

        let half = self.size / 2;
        let scale = 0.25 / self.size as f32;
        let (sums, differences) = out.split_at_mut(half + 1);
        for (k, (sum, difference)) in sums.iter_mut().zip(differences).enumerate() {
            let (value, mirrored) = (values[k], values[(self.size - k) % self.size].conj());
            // K₁ and K₂ by the same identity, each times two.
            let first = value + mirrored;
            let second = (value - mirrored) * Complex32::new(0.0, -1.0);
            *sum = (first + second) * scale;
            *difference = (first - second) * scale;
        }
    }

    /// Where the caller puts its two signals, one as real and one as imaginary parts, before
    /// [`LongConv::convolve`].
    pub(crate) fn signals<'s>(&self, scratch: &'s mut LongConvScratch) -> &'s mut [Complex32] {
        &mut self.prepare(scratch).values[..self.length]
    }

    /// Convolves the signals of `scratch` with the filters of `spectra`; returns both results, one
    /// as real and one as imaginary parts.
    pub(crate) fn convolve<'s>(
        &self,
        spectra: &[Complex32],
        scratch: &'s mut LongConvScratch,
    ) -> &'s [Complex32] {
        let LongConvScratch { values, fft } = scratch;
        values[self.length..].fill(Complex32::ZERO);
        self.forward.process_with_scratch(values, fft);
        let half = self.size / 2;
        let (sums, differences) = spectra.split_at(half + 1);
        for k in [0, half] {
            values[k] = values[k] * sums[k] + values[k].conj() * differences[k];
        }
        let (low, high) = values.split_at_mut(half);
        let filters = sums[1..half].iter().zip(&differences[1..half]);
        for ((low, high), (sum, difference)) in
            low[1..].iter_mut().zip(high[1..].iter_mut().rev()).zip(filters)
        {
            let (a, b) = (*low, *high);
            *low = a * sum + b.conj() * difference;
            *high = b * sum.conj() + a.conj() * difference.conj();
        }
        self.inverse.process_with_scratch(values, fft);
        &values[..self.length]
    }

    fn prepare<'s>(&self, scratch: &'s mut LongConvScratch) -> &'s mut LongConvScratch {
        let fft =
            self.forward.get_inplace_scratch_len().max(self.inverse.get_inplace_scratch_len());
        scratch.fft.resize(scratch.fft.len().max(fft), Complex32::ZERO);
        scratch.values.resize(self.size, Complex32::ZERO);
        scratch
    }
}

impl fmt::Debug for LongConv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongConv").field("length", &self.length).field("size", &self.size).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of numbers in -1..1, the same in every run.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// A filter that fades as the model's do.
    fn fading(count: usize, seed: u32) -> Vec<f32> {
        let rate = 6.0 / count as f32;
        let fade = |(i, x): (usize, f32)| x * (-rate * i as f32).exp();
        numbers(count, seed).into_iter().enumerate().map(fade).collect()
    }

    /// The definition, for one output.
    fn definition(signal: &[f32], kernel: Kernel<'_>, i: usize) -> f64 {
        let mut sum = f64::from(kernel.bias) * f64::from(signal[i]);
        for (j, &s) in signal.iter().enumerate() {
            let weight = if j <= i { kernel.past[i - j] } else { kernel.future[j - i - 1] };
            sum += f64::from(s) * f64::from(weight);
        }
        sum
    }

    fn largest_error(length: usize, outputs: impl Iterator<Item = usize>) -> f64 {
        let (a, b) = (numbers(length, 1), numbers(length, 2));
        let parts: Vec<Vec<f32>> = (3..7).map(|seed| fading(length, seed)).collect();
        let kernels = [
            Kernel { past: &parts[0], future: &parts[1], bias: 0.7 },
            Kernel { past: &parts[2], future: &parts[3], bias: -1.3 },
        ];
        let conv = LongConv::new(length);
        let mut scratch = LongConvScratch::default();
        let mut spectra = vec![Complex32::ZERO; spectra_len(length)];
        conv.spectra(kernels, &mut spectra, &mut scratch);
        let signals = conv.signals(&mut scratch);
        for (value, (&re, &im)) in signals.iter_mut().zip(a.iter().zip(&b)) {
            *value = Complex32::new(re, im);
        }
        let got = conv.convolve(&spectra, &mut scratch);
        outputs.fold(0.0, |most: f64, i| {
            let first = f64::from(got[i].re) - definition(&a, kernels[0], i);
            let second = f64::from(got[i].im) - definition(&b, kernels[1], i);
            most.max(first.abs()).max(second.abs())
        })
    }

    #[test]
    fn every_length_equals_the_definition() {
        for length in [1, 2, 3, 40, 64, 100, 257] {
            let error = largest_error(length, 0..length);
            assert!(error < 1e-5, "{length}: {error}");
        }
    }

    #[test]
    fn the_longest_text_equals_the_definition() {
        let length = 32_768;
        let outputs = (0..length).step_by(509).chain([1, length - 2, length - 1]);
        let error = largest_error(length, outputs);
        assert!(error <= 1e-4, "{error}");
    }

    #[test]
    fn a_scratch_serves_any_length_after_any_other() {
        let mut scratch = LongConvScratch::default();
        let once = |length: usize, scratch: &mut LongConvScratch| {
            let (past, future) = (fading(length, 8), fading(length, 9));
            let kernel = Kernel { past: &past, future: &future, bias: 0.0 };
            let conv = LongConv::new(length);
            let mut spectra = vec![Complex32::ZERO; spectra_len(length)];
            conv.spectra([kernel, kernel], &mut spectra, scratch);
            conv.signals(scratch).fill(Complex32::new(1.0, -1.0));
            conv.convolve(&spectra, scratch).to_vec()
        };
        let first = once(50, &mut scratch);
        once(700, &mut scratch);
        assert_eq!(once(50, &mut scratch), first);
    }
}

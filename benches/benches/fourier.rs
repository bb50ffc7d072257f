//! How should a long convolution be computed on a CPU?
//!
//! ```text
//! cargo bench -p bigrain-benches --bench fourier
//! cargo bench -p bigrain-benches --bench fourier -- 16384
//! ```
//!
//! A convolution of `N / 2` tokens is a transform of `N`, a product with the filter's spectrum, and
//! a transform back. Compared, on one thread and one channel:
//!
//! - `radix`: rustfft, in place, as the encoder does it. Two convolutions at once (one as real, one
//!   as imaginary parts).
//! - `monarch-p`: the four-step algorithm of the Monarch papers, order `p`: `N` as a product of `p`
//!   factors, each step a multiplication by a small dense Fourier matrix (through faer, real and
//!   imaginary parts apart) and a pointwise one by twiddles. The spectrum of the filter is kept in
//!   the order the steps leave it in, so nothing is ever reordered. Also two convolutions at once.
//! - `direct`: the definition, O(N²), vectorised; the same two convolutions.

use std::f64::consts::TAU;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Arch, Simd, WithSimd};
use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

/// Sizes of the transforms of models of 2,048, 8,192 and 32,768 tokens, with the factors of each
/// order (those of FlashFFTConv where there are three).
const SIZES: [(usize, &[&[usize]]); 3] = [
    (4_096, &[&[64, 64], &[16, 16, 16]]),
    (16_384, &[&[128, 128], &[16, 32, 32]]),
    (65_536, &[&[256, 256], &[32, 32, 64], &[16, 16, 16, 16]]),
];
/// Tokens of the direct convolution.
const DIRECT: usize = 2_048;

/// Numbers in -1..1.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Real and imaginary parts apart.
#[derive(Clone)]
struct Parts {
    re: Vec<f32>,
    im: Vec<f32>,
}

impl Parts {
    fn zeroed(len: usize) -> Self {
        Self { re: vec![0.0; len], im: vec![0.0; len] }
    }

    /// Multiplies by `other`, value by value.
    fn multiply(&mut self, other: &Self, start: usize, conjugate: bool) {
        let sign = if conjugate { -1.0 } else { 1.0 };
        let len = other.re.len();
        let (re, im) = (&mut self.re[start..start + len], &mut self.im[start..start + len]);
        for (((re, im), &a), &b) in re.iter_mut().zip(im).zip(&other.re).zip(&other.im) {
            let b = b * sign;
            (*re, *im) = (*re * a - *im * b, *re * b + *im * a);
        }
    }
}

/// One factor: a dense Fourier matrix, and the twiddles between it and the rest.
struct Step {
    factor: usize,
    rest: usize,
    matrix: Parts,
    twiddles: Parts,
}

/// The transform of `N = Π factors`.
struct Monarch {
    steps: Vec<Step>,
    spare: Parts,
}

fn root(power: usize, order: usize) -> (f32, f32) {
    let angle = -TAU * (power % order) as f64 / order as f64;
    (angle.cos() as f32, angle.sin() as f32)
}

impl Monarch {
    fn new(factors: &[usize]) -> Self {
        let mut rest: usize = factors.iter().product();
        let size = rest;
        let steps = factors
            .iter()
            .map(|&factor| {
                rest /= factor;
                let mut matrix = Parts::zeroed(factor * factor);
                let mut twiddles = Parts::zeroed(factor * rest);
                for row in 0..factor {
                    for column in 0..factor {
                        let at = row * factor + column;
                        (matrix.re[at], matrix.im[at]) = root(row * column, factor);
                    }
                    for column in 0..rest {
                        let at = row * rest + column;
                        (twiddles.re[at], twiddles.im[at]) = root(row * column, factor * rest);
                    }
                }
                Step { factor, rest, matrix, twiddles }
            })
            .collect();
        Self { steps, spare: Parts::zeroed(size) }
    }

    /// From values to their spectrum, in the order of the steps.
    fn forward(&mut self, values: &mut Parts) {
        let Self { steps, spare } = self;
        for step in steps.iter() {
            let block = step.factor * step.rest;
            for start in (0..values.re.len()).step_by(block) {
                step.matrix_product(values, spare, start, false);
            }
            std::mem::swap(values, spare);
            if step.rest > 1 {
                for start in (0..values.re.len()).step_by(block) {
                    values.multiply(&step.twiddles, start, false);
                }
            }
        }
    }

    /// Back again, times `N`.
    fn inverse(&mut self, values: &mut Parts) {
        let Self { steps, spare } = self;
        for step in steps.iter().rev() {
            let block = step.factor * step.rest;
            for start in (0..values.re.len()).step_by(block) {
                if step.rest > 1 {
                    values.multiply(&step.twiddles, start, true);
                }
                step.matrix_product(values, spare, start, true);
            }
            std::mem::swap(values, spare);
        }
    }
}

impl Step {
    /// `to = F · from` for the block at `start`, `[factor, rest]`. The last step's blocks are
    /// columns of one value, so all of them are one product with `F` on the right.
    fn matrix_product(&self, from: &Parts, to: &mut Parts, start: usize, conjugate: bool) {
        let sign = if conjugate { -1.0 } else { 1.0 };
        if self.rest == 1 {
            if start > 0 {
                return;
            }
            let rows = from.re.len() / self.factor;
            let product = |out: &mut [f32], left: &[f32], right: &[f32], accum, scale| {
                matmul(
                    MatMut::from_row_major_slice_mut(out, rows, self.factor),
                    accum,
                    MatRef::from_row_major_slice(left, rows, self.factor),
                    MatRef::from_row_major_slice(right, self.factor, self.factor),
                    scale,
                    Par::Seq,
                );
            };
            product(&mut to.re, &from.re, &self.matrix.re, Accum::Replace, 1.0);
            product(&mut to.re, &from.im, &self.matrix.im, Accum::Add, -sign);
            product(&mut to.im, &from.im, &self.matrix.re, Accum::Replace, 1.0);
            product(&mut to.im, &from.re, &self.matrix.im, Accum::Add, sign);
            return;
        }
        let range = start..start + self.factor * self.rest;
        let product = |out: &mut [f32], left: &[f32], right: &[f32], accum, scale| {
            matmul(
                MatMut::from_row_major_slice_mut(out, self.factor, self.rest),
                accum,
                MatRef::from_row_major_slice(left, self.factor, self.factor),
                MatRef::from_row_major_slice(right, self.factor, self.rest),
                scale,
                Par::Seq,
            );
        };
        let (re, im) = (&from.re[range.clone()], &from.im[range.clone()]);
        product(&mut to.re[range.clone()], &self.matrix.re, re, Accum::Replace, 1.0);
        product(&mut to.re[range.clone()], &self.matrix.im, im, Accum::Add, -sign);
        product(&mut to.im[range.clone()], &self.matrix.re, im, Accum::Replace, 1.0);
        product(&mut to.im[range], &self.matrix.im, re, Accum::Add, sign);
    }
}

fn radix(
    values: &mut [Complex32],
    spectrum: &[Complex32],
    transforms: [&dyn Fft<f32>; 2],
    scratch: &mut [Complex32],
) {
    transforms[0].process_with_scratch(values, scratch);
    for (value, filter) in values.iter_mut().zip(spectrum) {
        *value *= filter;
    }
    transforms[1].process_with_scratch(values, scratch);
}

/// Circular convolution of the same values both ways: they must agree before either is timed.
fn check(factors: &[usize]) {
    let size: usize = factors.iter().product();
    let (signal, filter) = (numbers(size, 1), numbers(size, 2));
    let mut planner = FftPlanner::new();
    let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
    let complex = |values: &[f32]| -> Vec<Complex32> {
        values.iter().map(|&value| Complex32::new(value, 0.0)).collect()
    };
    let (mut spectrum, mut values) = (complex(&filter), complex(&signal));
    let mut scratch = vec![Complex32::ZERO; size];
    forward.process(&mut spectrum);
    radix(&mut values, &spectrum, [&*forward, &*inverse], &mut scratch);

    let mut monarch = Monarch::new(factors);
    let parts = |values: &[f32]| Parts { re: values.to_vec(), im: vec![0.0; size] };
    let (mut spectrum, mut others) = (parts(&filter), parts(&signal));
    monarch.forward(&mut spectrum);
    monarch.forward(&mut others);
    others.multiply(&spectrum, 0, false);
    monarch.inverse(&mut others);
    let largest = values.iter().fold(0.0f32, |most, value| most.max(value.re.abs()));
    for (value, other) in values.iter().zip(&others.re) {
        assert!((value.re - other).abs() <= 1e-4 * largest, "{factors:?}: {value} {other}");
    }
}

fn transforms(criterion: &mut Criterion) {
    for (size, orders) in SIZES {
        let mut group = criterion.benchmark_group(format!("fourier/{size}"));
        group.throughput(Throughput::Elements(size as u64 / 2));
        let mut planner = FftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
        let complex = |seed| -> Vec<Complex32> {
            let parts = numbers(size, seed).into_iter().zip(numbers(size, seed + 1));
            parts.map(|(re, im)| Complex32::new(re, im)).collect()
        };
        // Kept small: the spectrum does not make values grow from one round to the next.
        let spectrum: Vec<Complex32> = complex(1).iter().map(|v| v / size as f32).collect();
        let mut values = complex(3);
        let mut scratch = vec![Complex32::ZERO; size];
        group.bench_function("radix", |bencher| {
            bencher.iter(|| {
                radix(black_box(&mut values), &spectrum, [&*forward, &*inverse], &mut scratch);
            });
        });
        for factors in orders {
            check(factors);
            let mut monarch = Monarch::new(factors);
            let small = |seed| numbers(size, seed).iter().map(|v| v / size as f32).collect();
            let spectrum = Parts { re: small(1), im: small(2) };
            let mut values = Parts { re: numbers(size, 3), im: numbers(size, 4) };
            let name = format!("monarch-{}", factors.len());
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    monarch.forward(black_box(&mut values));
                    values.multiply(&spectrum, 0, false);
                    monarch.inverse(&mut values);
                });
            });
        }
        group.finish();
    }
}

/// `out[i] += Σ_j kernel[N - 1 + i - j] signal[j]`: `kernel` holds the filter both ways.
struct Direct<'a> {
    signal: &'a [f32],
    kernel: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Direct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let len = self.signal.len();
        for (j, &value) in self.signal.iter().enumerate() {
            let value = simd.splat_f32s(value);
            let kernel = S::as_simd_f32s(&self.kernel[len - 1 - j..][..len]).0;
            for (out, &weight) in S::as_mut_simd_f32s(self.out).0.iter_mut().zip(kernel) {
                *out = simd.mul_add_e_f32s(value, weight, *out);
            }
        }
    }
}

fn direct(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("fourier/{}", 2 * DIRECT));
    group.throughput(Throughput::Elements(DIRECT as u64));
    let signals = [numbers(DIRECT, 1), numbers(DIRECT, 2)];
    let kernels = [numbers(2 * DIRECT, 3), numbers(2 * DIRECT, 4)];
    let mut out = vec![0.0; DIRECT];
    group.bench_function("direct", |bencher| {
        bencher.iter(|| {
            for (signal, kernel) in signals.iter().zip(&kernels) {
                out.fill(0.0);
                Arch::new().dispatch(Direct { signal, kernel, out: black_box(&mut out) });
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = transforms, direct
}
criterion_main!(benches);

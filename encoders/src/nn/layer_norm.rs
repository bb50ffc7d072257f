//! Layer normalisation, with the residual added on the way.

use pulp::{Arch, Simd, WithSimd};

/// `(x - mean) / sqrt(variance + eps) · weight + bias`, row by row.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    arch: Arch,
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl LayerNorm {
    /// Takes one weight and one bias a column.
    pub(crate) fn new(arch: Arch, weight: Vec<f32>, bias: Vec<f32>, eps: f32) -> Self {
        debug_assert_eq!(weight.len(), bias.len());
        Self { arch, weight, bias, eps }
    }

    /// Replaces each row of `x` by the norm of itself plus the row of `residual`.
    pub(crate) fn add_and_normalize(&self, x: &mut [f32], residual: &[f32]) {
        self.arch.dispatch(Pass { norm: self, x, residual: Some(residual) });
    }

    /// Replaces each row of `x` by its norm.
    pub(crate) fn normalize(&self, x: &mut [f32]) {
        self.arch.dispatch(Pass { norm: self, x, residual: None });
    }
}

struct Pass<'a> {
    norm: &'a LayerNorm,
    x: &'a mut [f32],
    residual: Option<&'a [f32]>,
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let dims = self.norm.weight.len();
        for (index, row) in self.x.chunks_exact_mut(dims).enumerate() {
            if let Some(residual) = self.residual {
                add(simd, row, &residual[index * dims..][..dims]);
            }
            let mean = sum(simd, row) / dims as f32;
            let variance = sum_of_squares(simd, row, mean) / dims as f32;
            let scale = 1.0 / (variance + self.norm.eps).sqrt();
            scale_and_shift(simd, row, self.norm, mean, scale);
        }
    }
}

#[inline(always)]
fn add<S: Simd>(simd: S, row: &mut [f32], other: &[f32]) {
    let (row, row_tail) = S::as_mut_simd_f32s(row);
    let (other, other_tail) = S::as_simd_f32s(other);
    for (x, &y) in row.iter_mut().zip(other) {
        *x = simd.add_f32s(*x, y);
    }
    for (x, y) in row_tail.iter_mut().zip(other_tail) {
        *x += y;
    }
}

/// Two running sums, so that an addition need not wait for the one before it.
#[inline(always)]
fn fold<S: Simd>(simd: S, row: &[f32], step: impl Fn(S::f32s, S::f32s) -> S::f32s) -> S::f32s {
    let mut sums = [simd.splat_f32s(0.0); 2];
    let (pairs, last) = S::as_simd_f32s(row).0.as_chunks::<2>();
    for &[x, y] in pairs {
        sums[0] = step(sums[0], x);
        sums[1] = step(sums[1], y);
    }
    for &x in last {
        sums[0] = step(sums[0], x);
    }
    simd.add_f32s(sums[0], sums[1])
}

#[inline(always)]
fn sum<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let vector = fold(simd, row, |sum, x| simd.add_f32s(sum, x));
    let tail: f32 = S::as_simd_f32s(row).1.iter().sum();
    simd.reduce_sum_f32s(vector) + tail
}

#[inline(always)]
fn sum_of_squares<S: Simd>(simd: S, row: &[f32], mean: f32) -> f32 {
    let means = simd.splat_f32s(mean);
    let vector = fold(simd, row, |sum, x| {
        let centred = simd.sub_f32s(x, means);
        simd.mul_add_e_f32s(centred, centred, sum)
    });
    let tail: f32 = S::as_simd_f32s(row).1.iter().map(|x| (x - mean) * (x - mean)).sum();
    simd.reduce_sum_f32s(vector) + tail
}

#[inline(always)]
fn scale_and_shift<S: Simd>(simd: S, row: &mut [f32], norm: &LayerNorm, mean: f32, scale: f32) {
    let (row, row_tail) = S::as_mut_simd_f32s(row);
    let (weight, weight_tail) = S::as_simd_f32s(&norm.weight);
    let (bias, bias_tail) = S::as_simd_f32s(&norm.bias);
    let (means, scales) = (simd.splat_f32s(mean), simd.splat_f32s(scale));
    for ((x, &w), &b) in row.iter_mut().zip(weight).zip(bias) {
        let centred = simd.mul_f32s(simd.sub_f32s(*x, means), scales);
        *x = simd.mul_add_e_f32s(centred, w, b);
    }
    for ((x, w), b) in row_tail.iter_mut().zip(weight_tail).zip(bias_tail) {
        *x = (*x - mean) * scale * w + b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_equal_the_formula() {
        for arch in [Arch::new(), Arch::Scalar] {
            for dims in [1, 7, 8, 9, 16, 48, 70] {
                let weight: Vec<f32> = (0..dims).map(|i| 1.0 + i as f32 * 0.01).collect();
                let bias: Vec<f32> = (0..dims).map(|i| i as f32 * 0.1 - 1.0).collect();
                let x: Vec<f32> = (0..2 * dims).map(|i| (i as f32 * 0.7).sin()).collect();
                let residual: Vec<f32> = (0..2 * dims).map(|i| (i as f32 * 0.3).cos()).collect();
                let norm = LayerNorm::new(arch, weight.clone(), bias.clone(), 1e-5);
                let mut out = x.clone();
                norm.add_and_normalize(&mut out, &residual);
                for row in 0..2 {
                    let sums: Vec<f64> = (0..dims)
                        .map(|i| f64::from(x[row * dims + i] + residual[row * dims + i]))
                        .collect();
                    let mean = sums.iter().sum::<f64>() / dims as f64;
                    let var = sums.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / dims as f64;
                    for i in 0..dims {
                        let normal = (sums[i] - mean) / (var + 1e-5).sqrt();
                        let expected = normal * f64::from(weight[i]) + f64::from(bias[i]);
                        assert!((f64::from(out[row * dims + i]) - expected).abs() < 5e-6);
                    }
                }
            }
        }
    }
}

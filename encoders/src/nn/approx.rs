//! Vectorised `2^x`, sine and GELU, to the precision of `f32`.
//!
//! All were fitted by iteratively reweighted least squares on Chebyshev nodes; the tests hold the
//! bounds stated here.

use pulp::{Arch, Simd, WithSimd};

/// Coefficients of `2^f` on `[-1/2, 1/2]`, lowest first; relative error below `2e-9`.
const EXP2: [f32; 7] = [
    1.0,
    std::f32::consts::LN_2,
    0.240_226_46,
    0.055_503_286,
    0.009_618_489,
    0.001_339_993,
    0.000_153_458_08,
];

/// `Φ(x) - 1/2 = x P(x²) / Q(x²)` on `[-5.6, 5.6]`, lowest first; error below `1e-8`.
const PHI_NUMERATOR: [f32; 6] =
    [0.398_942_26, 0.034_163_41, 0.004_693_015, 0.000_171_497_17, 6.323_431e-6, 2.221_126_4e-8];
const PHI_DENOMINATOR: [f32; 6] =
    [1.0, 0.252_301_04, 0.028_815_111, 0.001_899_880_2, 7.425_393_4e-5, 1.179_651_6e-6];
/// Beyond this `Φ` is 0 or 1 to the last bit that matters.
const PHI_END: f32 = 5.6;

/// `(sin r - r) / r³` in powers of `r²` on `[-π/2, π/2]`, lowest first; error of the sine below
/// `5e-9`.
const SINE: [f32; 4] = [-0.166_666_57, 0.008_333_005, -0.000_198_057_4, 2.598_118_7e-6];
/// `π` in three parts (Cody and Waite): the first two are so short that their products with whole
/// numbers up to `2^13` are exact.
const PI_PARTS: [f32; 3] = [3.140_625, 0.000_967_502_6, 1.509_958e-7];

/// `3 · 2^22`: adding it to a small number rounds that number to an integer, held in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Replaces each value by its GELU, one at a time: for layers that run once a text. Elsewhere it is
/// applied before a result is stored.
pub(crate) fn gelu_all(values: &mut [f32]) {
    struct Pass<'a>(&'a mut [f32]);
    impl WithSimd for Pass<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for value in S::as_mut_simd_f32s(self.0).0 {
                *value = gelu(simd, *value);
            }
        }
    }
    Arch::Scalar.dispatch(Pass(values));
}

/// Returns `Σ coefficients[i] x^i` (Horner).
#[inline(always)]
fn polynomial<S: Simd>(simd: S, x: S::f32s, coefficients: &[f32]) -> S::f32s {
    let mut sum = simd.splat_f32s(0.0);
    let mut rest = coefficients.iter().rev();
    if let Some(&last) = rest.next() {
        sum = simd.splat_f32s(last);
    }
    for &coefficient in rest {
        sum = simd.mul_add_e_f32s(sum, x, simd.splat_f32s(coefficient));
    }
    sum
}

/// Returns `2^x` for `x` in `[-126, 126]` and the ends of that range outside it; relative error
/// below `2e-7`.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let x = simd.max_f32s(simd.min_f32s(x, simd.splat_f32s(126.0)), simd.splat_f32s(-126.0));
    let shifted = simd.add_f32s(x, simd.splat_f32s(ROUND));
    let whole = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let fraction = polynomial(simd, simd.sub_f32s(x, whole), &EXP2);
    let exponent =
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(fraction), exponent))
}

/// Returns `sin x`; absolute error below `2e-7` for `|x| ≤ 8192`.
///
/// Beyond that a value of `f32` no longer says where in its period it lies to better than `2^-11`;
/// the result stays within -1 and 1.
#[inline(always)]
pub(super) fn sin<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let scaled = simd.mul_f32s(x, simd.splat_f32s(std::f32::consts::FRAC_1_PI));
    let shifted = simd.add_f32s(scaled, simd.splat_f32s(ROUND));
    let whole = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let mut rest = x;
    for part in PI_PARTS {
        rest = simd.sub_f32s(rest, simd.mul_f32s(whole, simd.splat_f32s(part)));
    }
    let end = simd.splat_f32s(std::f32::consts::FRAC_PI_2);
    let rest = simd.max_f32s(simd.min_f32s(rest, end), simd.neg_f32s(end));
    let square = simd.mul_f32s(rest, rest);
    let cube = simd.mul_f32s(square, rest);
    let sine = simd.mul_add_e_f32s(cube, polynomial(simd, square, &SINE), rest);
    // An odd number of half turns changes the sign: the lowest bit becomes the highest.
    let sign = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(31));
    simd.transmute_f32s_u32s(simd.xor_u32s(simd.transmute_u32s_f32s(sine), sign))
}

/// Returns `x Φ(x)`, the GELU with the error function; absolute error below `1.2e-6` for `|x| ≤ 8`.
#[inline(always)]
pub(super) fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let end = simd.splat_f32s(PHI_END);
    let inner = simd.max_f32s(simd.min_f32s(x, end), simd.neg_f32s(end));
    let square = simd.mul_f32s(inner, inner);
    let numerator = simd.mul_f32s(inner, polynomial(simd, square, &PHI_NUMERATOR));
    let phi = simd.div_f32s(numerator, polynomial(simd, square, &PHI_DENOMINATOR));
    simd.mul_f32s(x, simd.add_f32s(phi, simd.splat_f32s(0.5)))
}

/// Returns `x/2 (1 + tanh(√(2/π)(x + 0.044715 x³)))`, which is `x` times a logistic function.
#[inline(always)]
pub(super) fn gelu_tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // 1/2 (1 + tanh y) = 1 / (1 + e^-2y), and e^-2y = 2^(-2y log2 e).
    const SCALE: f32 = -2.0 * 0.797_884_6 * std::f32::consts::LOG2_E;
    let cube = simd.mul_f32s(simd.mul_f32s(x, x), x);
    let y = simd.mul_add_e_f32s(cube, simd.splat_f32s(0.044_715), x);
    let power = exp2(simd, simd.mul_f32s(y, simd.splat_f32s(SCALE)));
    simd.div_f32s(x, simd.add_f32s(power, simd.splat_f32s(1.0)))
}

/// Returns `x σ(1.702 x)`, as `x / (1 + 2^(-1.702 x log2 e))`.
#[inline(always)]
pub(super) fn quick_gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const SCALE: f32 = -1.702 * std::f32::consts::LOG2_E;
    let power = exp2(simd, simd.mul_f32s(x, simd.splat_f32s(SCALE)));
    simd.div_f32s(x, simd.add_f32s(power, simd.splat_f32s(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Map<'a> {
        values: &'a mut [f32],
        which: char,
    }

    impl WithSimd for Map<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for value in S::as_mut_simd_f32s(self.values).0 {
                *value = match self.which {
                    'e' => exp2(simd, *value),
                    's' => sin(simd, *value),
                    'g' => gelu(simd, *value),
                    _ => gelu_tanh(simd, *value),
                };
            }
        }
    }

    fn map(arch: Arch, which: char, xs: &[f32]) -> Vec<f32> {
        let mut values = xs.to_vec();
        arch.dispatch(Map { values: &mut values, which });
        values
    }

    fn grid(from: f32, to: f32) -> Vec<f32> {
        (0..32_000).map(|i| from + (to - from) * i as f32 / 31_999.0).collect()
    }

    /// `erf` by its Maclaurin series, or by its continued fraction where that converges faster.
    fn erf(x: f64) -> f64 {
        if x.abs() < 3.0 {
            let (mut term, mut sum) = (x, x);
            for n in 1..80 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            return sum * 2.0 / std::f64::consts::PI.sqrt();
        }
        let y = x.abs();
        let tail = (1..=60).rev().fold(0.0, |sum, n| f64::from(n) / 2.0 / (y + sum));
        let erfc = (-y * y).exp() / std::f64::consts::PI.sqrt() / (y + tail);
        (1.0 - erfc).copysign(x)
    }

    #[test]
    fn gelu_is_the_error_function_form() {
        let xs = grid(-8.0, 8.0);
        for arch in [Arch::new(), Arch::Scalar] {
            for (x, y) in xs.iter().zip(map(arch, 'g', &xs)) {
                let x = f64::from(*x);
                let expected = 0.5 * x * (1.0 + erf(x / 2f64.sqrt()));
                assert!((f64::from(y) - expected).abs() < 1.2e-6, "{x}: {y} {expected}");
            }
        }
        assert_eq!(map(Arch::Scalar, 'g', &[-1e30, 0.0, 1e30])[1..], [0.0, 1e30]);
    }

    #[test]
    fn gelu_tanh_is_the_tanh_form() {
        let xs = grid(-8.0, 8.0);
        for (x, y) in xs.iter().zip(map(Arch::new(), 't', &xs)) {
            let x = f64::from(*x);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            let expected = 0.5 * x * (1.0 + inner.tanh());
            assert!((f64::from(y) - expected).abs() < 1.2e-6, "{x}: {y} {expected}");
        }
    }

    #[test]
    fn exp2_holds_its_bound_and_its_ends() {
        let xs = grid(-126.0, 126.0);
        for arch in [Arch::new(), Arch::Scalar] {
            for (x, y) in xs.iter().zip(map(arch, 'e', &xs)) {
                let expected = f64::from(*x).exp2();
                assert!((f64::from(y) / expected - 1.0).abs() < 2e-7, "{x}: {y}");
            }
        }
        let ends = map(Arch::Scalar, 'e', &[f32::NEG_INFINITY, f32::INFINITY]);
        assert!(ends[0] > 0.0 && ends[0] < 2e-38 && ends[1].is_finite());
    }

    #[test]
    fn sine_holds_its_bound_and_stays_bounded() {
        let mut xs = grid(-8192.0, 8192.0);
        xs.extend(grid(-20.0, 20.0));
        for arch in [Arch::new(), Arch::Scalar] {
            for (x, y) in xs.iter().zip(map(arch, 's', &xs)) {
                let expected = f64::from(*x).sin();
                assert!((f64::from(y) - expected).abs() < 2e-7, "{x}: {y} {expected}");
            }
            let far = [1e5, -3e7, 1e20, f32::MAX, f32::MIN, 5e4, 1e9, -1e15].repeat(4);
            let far = map(arch, 's', &far);
            assert!(far.iter().all(|y| y.abs() <= 1.0), "{far:?}");
        }
    }
}

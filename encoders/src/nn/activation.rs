//! What happens between the two layers of a feed-forward block.

use pulp::{Arch, Simd, WithSimd};

use super::approx::{exp2, gelu, gelu_tanh, quick_gelu, sin};

/// A function of each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// The value itself.
    None,
    /// `x Φ(x)`.
    Gelu,
    /// The `tanh` form of GELU.
    GeluTanh,
    /// `x σ(1.702 x)`, as OpenAI's CLIP has it.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)`, at most 6.
    Relu6,
    /// `x σ(x)`, also called SiLU.
    Swish,
    /// `sin x`.
    Sine,
}

impl Activation {
    #[inline(always)]
    pub(super) fn apply<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        match self {
            Self::None => x,
            Self::Gelu => gelu(simd, x),
            Self::GeluTanh => gelu_tanh(simd, x),
            Self::QuickGelu => quick_gelu(simd, x),
            Self::Relu => simd.max_f32s(x, simd.splat_f32s(0.0)),
            Self::Relu6 => {
                simd.min_f32s(simd.max_f32s(x, simd.splat_f32s(0.0)), simd.splat_f32s(6.0))
            }
            Self::Swish => {
                let power =
                    exp2(simd, simd.mul_f32s(x, simd.splat_f32s(-std::f32::consts::LOG2_E)));
                simd.div_f32s(x, simd.add_f32s(power, simd.splat_f32s(1.0)))
            }
            Self::Sine => sin(simd, x),
        }
    }
}

/// Replaces each value by its activation.
pub(crate) fn activate(arch: Arch, activation: Activation, values: &mut [f32]) {
    arch.dispatch(Pass { activation, values });
}

struct Pass<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.activation == Activation::None {
            return;
        }
        // No closures here: they are not always inlined, and then run without the instruction set.
        let (whole, rest) = S::as_mut_simd_f32s(self.values);
        for value in whole {
            *value = self.activation.apply(simd, *value);
        }
        if !rest.is_empty() {
            let last = self.activation.apply(simd, simd.partial_load_f32s(rest));
            simd.partial_store_f32s(rest, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_are_activated_to_their_end() {
        for arch in [Arch::new(), Arch::Scalar] {
            for length in 0..70 {
                let values: Vec<f32> = (0..length).map(|i| i as f32 * 0.3 - 5.0).collect();
                for activation in [
                    Activation::Gelu,
                    Activation::GeluTanh,
                    Activation::QuickGelu,
                    Activation::Relu,
                ] {
                    let mut out = values.clone();
                    activate(arch, activation, &mut out);
                    for (y, &x) in out.iter().zip(&values) {
                        // All forms of GELU are within 0.03 of this one, which is one of them.
                        let expected = if activation == Activation::Relu {
                            x.max(0.0)
                        } else {
                            x / (1.0 + (-1.702 * x).exp())
                        };
                        let within = if activation == Activation::QuickGelu { 5e-6 } else { 0.03 };
                        assert!(
                            (y - expected).abs() < within,
                            "{activation:?} {x}: {y} {expected}"
                        );
                    }
                }
                let mut out = values.clone();
                activate(arch, Activation::None, &mut out);
                assert_eq!(out, values);
            }
        }
    }

    #[test]
    fn swish_and_the_clipped_line_are_what_they_say() {
        let values: Vec<f32> = (0..61).map(|i| i as f32 * 0.5 - 15.0).collect();
        for arch in [Arch::new(), Arch::Scalar] {
            let (mut swish, mut clipped) = (values.clone(), values.clone());
            activate(arch, Activation::Swish, &mut swish);
            activate(arch, Activation::Relu6, &mut clipped);
            for ((&x, swish), clipped) in values.iter().zip(swish).zip(clipped) {
                let expected = f64::from(x) / (1.0 + (-f64::from(x)).exp());
                assert!((f64::from(swish) - expected).abs() < 2e-6, "{x}: {swish} {expected}");
                assert_eq!(clipped, x.clamp(0.0, 6.0));
            }
        }
    }
}

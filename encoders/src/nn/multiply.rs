//! Row times row.

use pulp::{Arch, Simd, WithSimd};

/// Multiplies each of `values` by the factor in its place.
pub(crate) fn multiply(arch: Arch, values: &mut [f32], factors: &[f32]) {
    arch.dispatch(Pass { values, factors });
}

struct Pass<'a> {
    values: &'a mut [f32],
    factors: &'a [f32],
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (value, factor) in self.values.iter_mut().zip(self.factors) {
            *value *= factor;
        }
    }
}

//! Sixteen partial sums in an array, which the compiler turns into whatever registers there are.

use super::{SQUARED_DIFFERENCE, Term};

const LANES: usize = 16;

pub(super) fn sum<const TERM: Term>(a: &[f32], b: &[f32]) -> f32 {
    sum_widened::<TERM, f32>(a, b, 1.0, |y| y)
}

/// Sums over `a` and the numbers that `b` stands for, which differences take times `scale`.
#[inline(always)]
pub(crate) fn sum_widened<const TERM: Term, T: Copy>(
    a: &[f32],
    b: &[T],
    scale: f32,
    widen: impl Fn(T) -> f32,
) -> f32 {
    let (a, a_tail) = a.as_chunks::<LANES>();
    let (b, b_tail) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (&x, &y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += term::<TERM>(x, widen(y), scale);
        }
    }
    for (sum, (&x, &y)) in sums.iter_mut().zip(a_tail.iter().zip(b_tail)) {
        *sum += term::<TERM>(x, widen(y), scale);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] += sums[i + width];
        }
        width /= 2;
    }
    sums[0]
}

#[inline(always)]
fn term<const TERM: Term>(x: f32, y: f32, scale: f32) -> f32 {
    if TERM == SQUARED_DIFFERENCE {
        let difference = x - scale * y;
        return difference * difference;
    }
    x * y
}

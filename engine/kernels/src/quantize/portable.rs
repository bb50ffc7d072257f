//! Plain Rust, 64 numbers at a time: one word of every plane.

use super::Grid;
use crate::QuantizeSums;

const LANES: usize = 8;

pub(super) fn quantize<const WRITE: bool>(
    values: &[f32],
    grid: Grid,
    planes: &mut [u64],
) -> QuantizeSums {
    let words = values.len().div_ceil(64);
    let (mut dots, mut norms) = ([0.0; LANES], [0.0; LANES]);
    let mut integers = [0_u8; 64];
    for (word, values) in values.chunks(64).enumerate() {
        for (i, (integer, value)) in integers.iter_mut().zip(values).enumerate() {
            let scaled = value * grid.inverse_scale;
            let k = ((0.5 * scaled).ceil() + grid.middle()).clamp(0.0, grid.largest());
            let spelled = 2.0 * k - grid.largest();
            dots[i % LANES] += spelled * scaled;
            norms[i % LANES] += spelled * spelled;
            *integer = k as u8;
        }
        if WRITE {
            for (a, plane) in planes.chunks_exact_mut(words).enumerate() {
                let bit = |k: u8| u64::from(k >> (grid.levels - 1 - a) & 1);
                let integers = integers[..values.len()].iter().enumerate();
                plane[word] = integers.fold(0, |bits, (i, &k)| bits | bit(k) << i);
            }
        }
    }
    QuantizeSums { dot: dots.iter().sum(), norm_squared: norms.iter().sum() }
}

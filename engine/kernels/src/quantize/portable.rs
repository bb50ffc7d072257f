//! Plain Rust, 64 numbers at a time: one word of every plane.

use crate::QuantizeSums;

const LANES: usize = 8;

pub(super) fn quantize<const WRITE: bool>(
    values: &[f32],
    inverse_scale: f32,
    levels: usize,
    planes: &mut [u64],
) -> QuantizeSums {
    let words = values.len().div_ceil(64);
    let (mut dots, mut norms) = ([0.0; LANES], [0.0; LANES]);
    for (word, values) in values.chunks(64).enumerate() {
        let mut scaled = [0.0; 64];
        for (scaled, value) in scaled.iter_mut().zip(values) {
            *scaled = value * inverse_scale;
        }
        let (mut rests, mut spelled) = (scaled, [0.0; 64]);
        for a in 0..levels {
            let weight = (1 << (levels - 1 - a)) as f32;
            let mut bits = 0;
            for (i, (rest, spelled)) in rests.iter_mut().zip(&mut spelled).enumerate() {
                bits |= u64::from(*rest > 0.0) << i;
                let step = if *rest > 0.0 { weight } else { -weight };
                *rest -= step;
                *spelled += step;
            }
            if WRITE {
                // Numbers past the end are zero, whose lower planes are set.
                planes[a * words + word] = bits & (u64::MAX >> (64 - values.len()));
            }
        }
        for i in 0..values.len() {
            dots[i % LANES] += spelled[i] * scaled[i];
            norms[i % LANES] += spelled[i] * spelled[i];
        }
    }
    QuantizeSums { dot: dots.iter().sum(), norm_squared: norms.iter().sum() }
}

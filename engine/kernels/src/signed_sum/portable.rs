//! Plain Rust, left to the compiler.

/// Adds the values of set bits and subtracts the others, in eight sums.
pub(super) fn signed_sum(plane: &[u64], values: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (&word, values) in plane.iter().zip(values.chunks(64)) {
        for (byte, eight) in values.chunks(8).enumerate() {
            let bits = (word >> (8 * byte)) as u32;
            for (lane, (sum, &value)) in sums.iter_mut().zip(eight).enumerate() {
                let negative = !(bits >> lane) << 31;
                *sum += f32::from_bits(value.to_bits() ^ negative);
            }
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

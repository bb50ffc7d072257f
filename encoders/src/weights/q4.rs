//! Weights of 4 bits in groups of 32, as the `pocket-encoder` package publishes them.
//!
//! A matrix `w` becomes two tensors: `w.q4`, two values a byte, the first in the low half, each 8
//! more than an integer from -7 to 7; and `w.scales`, one `f16` for each 32 values in row order.
//! A weight is its integer times its group's scale.

use half::f16;

/// Values that share a scale.
const GROUP: usize = 32;
/// What is added to an integer to store it.
const ZERO: i8 = 8;

/// A tensor in this encoding; its shape is not stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Q4<'a> {
    pub(super) packed: &'a [u8],
    pub(super) scales: &'a [u8],
}

impl Q4<'_> {
    /// How many values there are, or `None` if values and scales do not fit.
    pub(super) fn len(&self) -> Option<usize> {
        let len = self.packed.len().checked_mul(2)?;
        (self.scales.len() == len.div_ceil(GROUP) * 2).then_some(len)
    }

    /// The values.
    pub(super) fn to_f32(self) -> Vec<f32> {
        let scales = self.scales.as_chunks::<2>().0;
        let groups = self.packed.chunks(GROUP / 2).zip(scales);
        groups
            .flat_map(|(group, &scale)| {
                let scale = f16::from_le_bytes(scale).to_f32();
                group.iter().flat_map(move |&byte| {
                    [byte & 15, byte >> 4].map(|half| f32::from(half as i8 - ZERO) * scale)
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_in_order_and_groups_have_their_own_scale() {
        let mut packed = vec![0x88; 17];
        packed[0] = 0xf1;
        packed[16] = 0x9a;
        let scales = [f16::from_f32(0.5), f16::from_f32(2.0)].map(f16::to_le_bytes).concat();
        let q4 = Q4 { packed: &packed, scales: &scales };
        assert_eq!(q4.len(), Some(34));
        let values = q4.to_f32();
        assert_eq!((values.len(), values[0], values[1], values[2]), (34, -3.5, 3.5, 0.0));
        assert_eq!(values[32..], [4.0, 2.0]);
        assert_eq!(Q4 { packed: &packed, scales: &scales[..2] }.len(), None);
    }
}

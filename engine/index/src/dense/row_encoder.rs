//! From a vector to the bytes of a row.

use bigrain_types::DenseFormat;
use half::f16;
use half::slice::HalfFloatSliceExt;

/// The largest integer of an `i8` row. -128 is not used, so that rows are symmetric.
const MAX_STEPS: f32 = 127.0;

/// Bits of a scale's significand that are zero: what remains, 17 bits, times the 7 of an integer
/// fits the 24 of an `f32`. So `scale * integer` is exact, and encoding it again finds the same
/// scale and integers.
const SCALE_ZERO_BITS: u32 = 7;

/// `1.5 * 2^23`: an `f32` of this size has no fraction, so adding it rounds to the nearest integer
/// (ties to even), which then stands in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// Encodes rows one after another, in one buffer.
#[derive(Debug)]
pub(super) struct RowEncoder {
    format: DenseFormat,
    halves: Vec<f16>,
    bytes: Vec<u8>,
}

impl RowEncoder {
    pub fn new(format: DenseFormat) -> Self {
        Self { format, halves: Vec::new(), bytes: Vec::new() }
    }

    /// Returns the bytes of a row, valid until the next one.
    pub fn encode<'a>(&'a mut self, row: &'a [f32]) -> &'a [u8] {
        match self.format {
            DenseFormat::F16 => self.encode_f16(row),
            DenseFormat::I8 => self.encode_i8(row),
            DenseFormat::F32 | _ => bytemuck::cast_slice(row),
        }
    }

    /// Rounds to the nearest half; what is beyond the largest becomes the largest.
    fn encode_f16(&mut self, row: &[f32]) -> &[u8] {
        let largest = f16::MAX.to_f32();
        self.halves.resize(row.len(), f16::ZERO);
        self.halves.convert_from_f32_slice(row);
        for (half, &value) in self.halves.iter_mut().zip(row) {
            if half.is_infinite() {
                *half = f16::from_f32(largest.copysign(value));
            }
        }
        self.bytes.clear();
        self.bytes.extend(self.halves.iter().flat_map(|half| half.to_bits().to_le_bytes()));
        &self.bytes
    }

    /// Rounds to the nearest multiple of the row's scale.
    fn encode_i8(&mut self, row: &[f32]) -> &[u8] {
        let scale = scale_for(row);
        self.bytes.clear();
        self.bytes.extend_from_slice(&scale.to_le_bytes());
        if scale == 0.0 {
            self.bytes.resize(self.bytes.len() + row.len(), 0);
        } else {
            let steps = |&value: &f32| (value / scale + ROUNDER).to_bits() as u8;
            self.bytes.extend(row.iter().map(steps));
        }
        &self.bytes
    }
}

/// Returns the smallest scale of few bits at which every component is within [`MAX_STEPS`].
fn scale_for(row: &[f32]) -> f32 {
    let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let zeros = (1 << SCALE_ZERO_BITS) - 1;
    f32::from_bits(((largest / MAX_STEPS).to_bits() + zeros) & !zeros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::DenseRow;
    use super::*;

    fn decode(format: DenseFormat, bytes: &[u8]) -> Vec<f32> {
        // Aligned, as rows are in files and buffers.
        let mut words = vec![0_u32; bytes.len().div_ceil(4)];
        bytemuck::cast_slice_mut::<u32, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
        DenseRow::from_bytes(format, &bytemuck::cast_slice(&words)[..bytes.len()]).unwrap().to_vec()
    }

    #[test]
    fn bytes_are_what_they_were() {
        let row = [1.0, -2.0, 0.0, 0.5];
        let bytes = |format| RowEncoder::new(format).encode(&row).to_vec();
        let halves = [0x00, 0x3c, 0x00, 0xc0, 0x00, 0x00, 0x00, 0x38];
        assert_eq!(bytes(DenseFormat::F16), halves);
        // 2 / 127 = 0x3c810204 up to seven zero bits; 1 / scale = 63.499, 0.5 / scale = 31.75.
        assert_eq!(bytes(DenseFormat::I8), [0x80, 0x02, 0x81, 0x3c, 63, 0x81, 0, 32]);
    }

    #[test]
    fn extremes_stay_finite() {
        let rows: [&[f32]; 5] =
            [&[1e30, -1e30], &[0.0, 0.0], &[1e38, 1.0], &[1e-45, 0.0], &[65_520.0, -7e4]];
        for row in rows {
            for format in [DenseFormat::F32, DenseFormat::F16, DenseFormat::I8] {
                let stored = decode(format, RowEncoder::new(format).encode(row));
                assert!(stored.iter().all(|value| value.is_finite()), "{format}: {stored:?}");
            }
        }
        let stored = decode(DenseFormat::F16, RowEncoder::new(DenseFormat::F16).encode(rows[4]));
        assert_eq!(stored, [65_504.0, -65_504.0]);
    }

    proptest! {
        #[test]
        fn rounding_is_within_its_bound(
            row in prop::collection::vec(-1.0_f32..1.0, 1..100),
            size in prop_oneof![Just(1.0_f32), Just(1e-3), Just(6e4)],
        ) {
            let row: Vec<f32> = row.iter().map(|value| value * size).collect();
            let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let f32s = decode(DenseFormat::F32, RowEncoder::new(DenseFormat::F32).encode(&row));
            prop_assert_eq!(&f32s, &row);
            let f16s = decode(DenseFormat::F16, RowEncoder::new(DenseFormat::F16).encode(&row));
            for (&stored, &value) in f16s.iter().zip(&row) {
                // Half a unit of the last of 11 bits, or of the smallest subnormal.
                let bound = (value.abs() / 2048.0).max(2f32.powi(-25));
                prop_assert!((stored - value).abs() <= bound, "{} for {}", stored, value);
            }
            let i8s = decode(DenseFormat::I8, RowEncoder::new(DenseFormat::I8).encode(&row));
            for (&stored, &value) in i8s.iter().zip(&row) {
                // Half a step, a step being larger by one part in 2^16 for its zero bits.
                let bound = largest / 254.0 * (1.0 + 1.0 / 32_768.0);
                prop_assert!((stored - value).abs() <= bound, "{} for {}", stored, value);
            }
        }

        #[test]
        fn encoding_a_stored_row_again_changes_nothing(
            row in prop::collection::vec(-1.0_f32..1.0, 1..100),
            size in prop_oneof![Just(1.0_f32), Just(1e-20), Just(1e20)],
        ) {
            let row: Vec<f32> = row.iter().map(|value| value * size).collect();
            for format in [DenseFormat::F32, DenseFormat::F16, DenseFormat::I8] {
                let first = RowEncoder::new(format).encode(&row).to_vec();
                let stored = decode(format, &first);
                prop_assert_eq!(RowEncoder::new(format).encode(&stored).to_vec(), first);
            }
        }
    }
}

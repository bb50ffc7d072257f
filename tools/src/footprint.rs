//! How much room a collection takes, beside its vectors as plain f32.

use bigrain_engine::CollectionInfo;
use serde::Serialize;

use crate::human;

/// How much room a collection takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Footprint {
    /// Points in the collection.
    pub points: u64,
    /// Codes and their factors, all in memory.
    pub code_bytes: u64,
    /// Everything the collection keeps in memory.
    pub memory_bytes: u64,
    /// Segment files.
    pub disk_bytes: u64,
    /// The same vectors as plain f32, of all dense fields.
    pub raw_bytes: u64,
}

impl Footprint {
    /// Reads off a collection's description.
    #[must_use]
    pub fn of(info: &CollectionInfo) -> Self {
        let fields = info.config.fields().iter().zip(&info.fields);
        let raw_bytes =
            fields.map(|(config, field)| field.vectors * (config.dims * size_of::<f32>()) as u64);
        Self {
            points: info.points,
            code_bytes: info.code_bytes,
            memory_bytes: info.memory_bytes,
            disk_bytes: info.disk_bytes,
            raw_bytes: raw_bytes.sum(),
        }
    }

    /// Returns the resident bytes of codes for each vector.
    #[must_use]
    pub fn code_bytes_per_vector(&self) -> f64 {
        human::ratio(self.code_bytes, self.points)
    }

    /// Writes `bytes` with its share of each vector and of raw f32:
    /// `1.2 MiB, 104 B a vector, 6.8 % of raw f32`.
    #[must_use]
    pub fn describe(&self, bytes: u64) -> String {
        let each = human::ratio(bytes, self.points);
        let text = format!("{}, {each:.0} B a vector", human::bytes(bytes));
        if self.raw_bytes == 0 {
            // Nothing to compare with: no vectors, or sparse ones only.
            return text;
        }
        let share = 100.0 * human::ratio(bytes, self.raw_bytes);
        format!("{text}, {share:.1} % of raw f32")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_each_vector_and_of_raw_floats() {
        let footprint = Footprint {
            points: 1000,
            code_bytes: 104_000,
            memory_bytes: 150_000,
            disk_bytes: 0,
            raw_bytes: 1_536_000,
        };
        assert_eq!(footprint.code_bytes_per_vector(), 104.0);
        assert_eq!(
            footprint.describe(footprint.code_bytes),
            "101.6 KiB, 104 B a vector, 6.8 % of raw f32"
        );
    }
}

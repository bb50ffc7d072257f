//! `order.<field>`: where the vectors of a field lie that do not lie in the segment's order.
//!
//! A segment's offsets are the list order of one of its fields. Every other field has a list order of
//! its own: its codes and dense rows stand at *positions*, and a point without a vector in the field
//! has no position. This file says both ways what belongs together.
//!
//! ```text
//! ┌──────────┬────────────┬─────────────────────┬─────────────────────────┐
//! │ rows u32 │ points u32 │ offsets: rows × u32 │ positions: points × u32 │
//! └──────────┴────────────┴─────────────────────┴─────────────────────────┘
//! ```
//!
//! `positions` doubles as the field's presence: `2^32 - 1` stands for a point without a vector. Both
//! arrays are read where they lie, in the map, whose blocks are checked when they are first touched.

use std::path::Path;

use bigrain_storage::{BlockFile, BlockFileWriter, Directory, FileKind};
use bigrain_types::Offset;

use crate::IndexError;

/// The position of a point that has no vector in the field. No position is so large: offsets are
/// `u32`, and so there are at most `u32::MAX` rows.
const ABSENT: u32 = u32::MAX;

const HEADER_BYTES: u64 = 8;
const ENTRY_BYTES: u64 = 4;

/// Writes where the vectors of a field lie: for each position the offset of its point, in a segment
/// of `points` points.
///
/// # Errors
///
/// [`IndexError::Write`] when the directory refuses.
pub fn write(
    directory: &dyn Directory,
    path: &Path,
    offsets: &[u32],
    points: usize,
) -> Result<(), IndexError> {
    let mut positions = vec![ABSENT; points];
    for (position, &offset) in offsets.iter().enumerate() {
        positions[offset as usize] = position as u32;
    }
    let mut file = BlockFileWriter::create(directory, path, FileKind::Order)?;
    file.append_slice(&[offsets.len() as u32, points as u32])?;
    file.append_slice(offsets)?;
    file.append_slice(&positions)?;
    file.finish()?;
    Ok(())
}

/// Reads an order where it lies.
#[derive(Debug)]
pub struct OrderReader {
    file: BlockFile,
    rows: u32,
    points: u32,
}

impl OrderReader {
    /// Opens a file; reads only its header.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the file is missing, fails a check or contradicts itself.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, IndexError> {
        let file = BlockFile::open(directory, path, FileKind::Order)?;
        let mut header = [0_u32; 2];
        file.read_into(0, bytemuck::cast_slice_mut(&mut header))?;
        let [rows, points] = header;
        let expected = HEADER_BYTES + ENTRY_BYTES * (u64::from(rows) + u64::from(points));
        if rows > points || file.body_bytes() != expected {
            let bytes = file.body_bytes();
            return Err(IndexError::Malformed {
                path: file.path(),
                reason: format!("{bytes} bytes for {rows} rows of {points} points"),
            });
        }
        Ok(Self { file, rows, points })
    }

    /// Returns how many vectors there are.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::from(self.rows)
    }

    /// Returns how many points the segment has.
    #[must_use]
    pub fn points(&self) -> u64 {
        u64::from(self.points)
    }

    /// Returns the file, for checks and sizes.
    #[must_use]
    pub fn file(&self) -> &BlockFile {
        &self.file
    }

    /// Returns the offset of each position.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block that is touched for the first time fails its check.
    pub fn offsets(&self) -> Result<&[u32], IndexError> {
        Ok(self.file.slice(HEADER_BYTES, self.rows as usize)?)
    }

    /// Returns the offset of the point at a position.
    ///
    /// # Errors
    ///
    /// [`IndexError`] past the last position, or when the bytes fail a check or contradict
    /// themselves.
    pub fn offset(&self, position: u32) -> Result<Offset, IndexError> {
        if position >= self.rows {
            return Err(self.malformed(format!("position {position} of {}", self.rows)));
        }
        let offset = Offset(self.entry(u64::from(position))?);
        if self.position(offset)? != Some(position) {
            return Err(self.malformed(format!("offset {} is not at {position}", offset.0)));
        }
        Ok(offset)
    }

    /// Returns the position of a point's vector; none for a point without one.
    ///
    /// # Errors
    ///
    /// [`IndexError`] past the last point, or when the bytes fail a check or contradict themselves.
    pub fn position(&self, offset: Offset) -> Result<Option<u32>, IndexError> {
        if offset.0 >= self.points {
            return Err(self.malformed(format!("offset {} of {}", offset.0, self.points)));
        }
        match self.entry(u64::from(self.rows) + u64::from(offset.0))? {
            ABSENT => Ok(None),
            position if position < self.rows => Ok(Some(position)),
            position => Err(self.malformed(format!("position {position} of {}", self.rows))),
        }
    }

    fn entry(&self, at: u64) -> Result<u32, IndexError> {
        let entry: &[u32] = self.file.slice(HEADER_BYTES + at * ENTRY_BYTES, 1)?;
        Ok(entry.first().copied().unwrap_or(ABSENT))
    }

    fn malformed(&self, reason: String) -> IndexError {
        IndexError::Malformed { path: self.file.path(), reason }
    }
}

#[cfg(test)]
mod tests {
    use bigrain_storage::RamDirectory;
    use proptest::prelude::*;

    use super::*;

    fn path() -> &'static Path {
        Path::new("order.v")
    }

    #[test]
    fn an_order_that_contradicts_itself_is_refused_where_it_is_read() {
        let directory = RamDirectory::new();
        let mut file = BlockFileWriter::create(&directory, path(), FileKind::Order).unwrap();
        // Two rows of three points: position 0 claims offset 2, which says it lies at 1; offset 0
        // says position 7.
        file.append_slice(&[2_u32, 3, 2, 1, 7, 1, 1]).unwrap();
        file.finish().unwrap();
        let order = OrderReader::open(&directory, path()).unwrap();
        assert!(order.offset(0).unwrap_err().is_corruption());
        assert_eq!(order.offset(1).unwrap(), Offset(1));
        assert!(order.position(Offset(0)).unwrap_err().is_corruption());
        assert!(order.position(Offset(3)).unwrap_err().is_corruption());
        assert!(order.offset(2).unwrap_err().is_corruption());
    }

    proptest! {
        #[test]
        fn both_ways_agree_and_absent_points_have_no_position(
            present in prop::collection::vec(any::<bool>(), 0..60),
            turn in 0..60_usize,
        ) {
            let mut offsets: Vec<u32> =
                (0..present.len() as u32).filter(|&at| present[at as usize]).collect();
            let rows = offsets.len();
            offsets.rotate_left(turn % rows.max(1));
            let directory = RamDirectory::new();
            write(&directory, path(), &offsets, present.len()).unwrap();
            let order = OrderReader::open(&directory, path()).unwrap();
            prop_assert_eq!((order.rows(), order.points()), (rows as u64, present.len() as u64));
            prop_assert_eq!(order.offsets().unwrap(), &*offsets);
            for (position, &offset) in offsets.iter().enumerate() {
                prop_assert_eq!(order.offset(position as u32).unwrap(), Offset(offset));
            }
            for (offset, &present) in present.iter().enumerate() {
                let position = order.position(Offset(offset as u32)).unwrap();
                prop_assert_eq!(position.is_some(), present);
            }
        }

        #[test]
        fn any_body_is_read_or_refused(words in prop::collection::vec(0..9_u32, 0..20)) {
            let directory = RamDirectory::new();
            let mut file = BlockFileWriter::create(&directory, path(), FileKind::Order).unwrap();
            file.append_slice(&words).unwrap();
            file.finish().unwrap();
            if let Ok(order) = OrderReader::open(&directory, path()) {
                for at in 0..10 {
                    if let Ok(Some(position)) = order.position(Offset(at)) {
                        prop_assert!(u64::from(position) < order.rows());
                    }
                    if let Ok(offset) = order.offset(at) {
                        prop_assert!(u64::from(offset.0) < order.points());
                    }
                }
            }
        }
    }
}

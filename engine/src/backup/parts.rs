//! Rows of one kind as entries of an archive.
//!
//! ```text
//! part: row | row | ...           at most about 4 MiB, unless one row is larger
//! row:  | key length u32 | value length u32 | key | value |
//! ```
//!
//! Rows are in key order, within a part and from part to part.

use bigrain_storage::{Archive, RawRow, RowKind};
use bigrain_types::Cancel;

use super::contents::part_name;
use crate::check::RowSource;
use crate::{Error, ErrorKind, Result};

/// A part is closed when it has this many bytes.
pub(super) const PART_BYTES: usize = 4 << 20;

/// The longest part: its last row may be a head with many long vectors.
const MAX_PART_BYTES: u64 = 64 << 20;

const HEADER_BYTES: usize = 8;

/// Appends a row to a part.
pub(super) fn push(part: &mut Vec<u8>, row: &RawRow) {
    // Keys and values of the store are far shorter than 4 GiB.
    part.extend_from_slice(&(row.key.len() as u32).to_le_bytes());
    part.extend_from_slice(&(row.value.len() as u32).to_le_bytes());
    part.extend_from_slice(&row.key);
    part.extend_from_slice(&row.value);
}

/// Reads the rows of a part.
pub(super) fn read(kind: RowKind, mut part: &[u8]) -> Result<Vec<RawRow>, String> {
    let mut rows: Vec<RawRow> = Vec::new();
    while !part.is_empty() {
        let row = split(kind, &mut part).ok_or_else(|| format!("row {} is cut off", rows.len()))?;
        if rows.last().is_some_and(|last| last.key >= row.key) {
            return Err(format!("row {} is out of order", rows.len()));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn split(kind: RowKind, part: &mut &[u8]) -> Option<RawRow> {
    let length = |at: usize| part.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let key_end = HEADER_BYTES.checked_add(length(0)? as usize)?;
    let end = key_end.checked_add(length(4)? as usize)?;
    let (key, value) = (part.get(HEADER_BYTES..key_end)?, part.get(key_end..end)?);
    let row = RawRow { kind, key: key.into(), value: value.into() };
    *part = &part[end..];
    Some(row)
}

/// The rows of one collection in an archive.
pub(super) struct ArchivedRows<'a> {
    pub archive: &'a Archive,
    pub collection: usize,
    /// How many parts there are of each of [`RowKind::ALL`].
    pub parts: [usize; RowKind::ALL.len()],
    pub cancel: Cancel,
}

impl ArchivedRows<'_> {
    /// Returns the names of all parts of one kind.
    pub fn names(&self, kind: RowKind) -> impl Iterator<Item = String> + use<> {
        let at = RowKind::ALL.iter().position(|&other| other == kind).unwrap_or_default();
        let collection = self.collection;
        (0..self.parts[at]).map(move |part| part_name(collection, kind, part))
    }

    /// Returns the rows of one part.
    pub fn part(&self, kind: RowKind, name: &str) -> Result<Vec<RawRow>> {
        let bytes = self.archive.read(self.archive.entry(name)?, MAX_PART_BYTES, &self.cancel)?;
        read(kind, &bytes).map_err(|reason| {
            let path = self.archive.path();
            Error::new(ErrorKind::Corruption, format!("{}: {name}: {reason}", path.display()))
        })
    }
}

impl RowSource for ArchivedRows<'_> {
    fn rows(&self, kind: RowKind) -> Result<Box<dyn Iterator<Item = Result<RawRow>> + '_>> {
        let part = move |name: String| match self.part(kind, &name) {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        let mut last: Box<[u8]> = Box::default();
        let rows = self.names(kind).flat_map(part).map(move |row| {
            let row = row?;
            if !last.is_empty() && last >= row.key {
                let reason = format!("{} are out of order from part to part", kind.name());
                return Err(Error::new(ErrorKind::Corruption, reason));
            }
            last.clone_from(&row.key);
            Ok(row)
        });
        Ok(Box::new(rows))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_round_trip(
            rows in prop::collection::btree_map(
                prop::collection::vec(any::<u8>(), 1..20),
                prop::collection::vec(any::<u8>(), 0..50),
                0..20,
            )
        ) {
            let kind = RowKind::Payload;
            let row = |(key, value): (&Vec<u8>, &Vec<u8>)| {
                RawRow { kind, key: key.as_slice().into(), value: value.as_slice().into() }
            };
            let rows: Vec<RawRow> = rows.iter().map(row).collect();
            let mut part = Vec::new();
            rows.iter().for_each(|row| push(&mut part, row));
            prop_assert_eq!(read(kind, &part).unwrap(), rows);
            if !part.is_empty() {
                prop_assert!(read(kind, &part[..part.len() - 1]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(RowKind::Head, &bytes);
        }
    }
}

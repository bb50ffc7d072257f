//! Rows of a collection as bytes: to copy them, and to check them one by one.

use bigrain_types::{Offset, Payload, PointId, SegmentId};

use super::keys::{CollectionKey, Family, Key, KeyRange};
use super::rows::{HeadRow, PointRow};
use super::scan::Scan;
use super::view::corrupt;
use super::{Batch, ReadView, StoreError};
use crate::codec;

/// A kind of rows of which a collection has many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowKind {
    /// Where each point is.
    Location,
    /// What each point carries.
    Payload,
    /// Vectors that are in no segment.
    Head,
    /// Rows of segments that are dead.
    Tombstone,
}

impl RowKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Location, Self::Payload, Self::Head, Self::Tombstone];

    /// Returns the kind's name in messages and archives.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Location => "locations",
            Self::Payload => "payloads",
            Self::Head => "head",
            Self::Tombstone => "tombstones",
        }
    }

    fn range(self, c: CollectionKey) -> KeyRange {
        match self {
            Self::Location => KeyRange::locations(c),
            Self::Payload => KeyRange::payloads(c),
            Self::Head => KeyRange::collection(Family::Head, c),
            Self::Tombstone => KeyRange::collection(Family::Tombstones, c),
        }
    }
}

/// One row, without the collection in its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRow {
    /// What kind of row it is.
    pub kind: RowKind,
    /// Its key behind the collection: a point id, or a segment and an offset.
    pub key: Box<[u8]>,
    /// Its value.
    pub value: Box<[u8]>,
}

impl RawRow {
    /// Reads the key as a point id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] for any other key.
    pub fn id(&self) -> Result<PointId, StoreError> {
        PointId::from_key(&self.key).map_err(|error| self.corrupt(&error))
    }

    /// Reads the value of [`RowKind::Location`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] for any other bytes.
    pub fn location(&self) -> Result<PointRow, StoreError> {
        codec::from_bytes(&self.value).map_err(|error| self.corrupt(&error))
    }

    /// Reads the value of [`RowKind::Payload`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] for any other bytes.
    pub fn payload(&self) -> Result<Payload, StoreError> {
        Payload::from_json(&self.value).map_err(|error| self.corrupt(&error))
    }

    /// Reads the value of [`RowKind::Head`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] for any other bytes.
    pub fn head(&self) -> Result<HeadRow, StoreError> {
        HeadRow::from_bytes(&self.value).map_err(|error| self.corrupt(&error))
    }

    /// Reads the key of [`RowKind::Tombstone`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] for any other key.
    pub fn tombstone(&self) -> Result<(SegmentId, Offset), StoreError> {
        let malformed = || self.corrupt(&format!("expected 12 bytes, found {}", self.key.len()));
        let (segment, offset) = self.key.split_first_chunk::<8>().ok_or_else(malformed)?;
        let offset: [u8; 4] = offset.try_into().map_err(|_| malformed())?;
        if !self.value.is_empty() {
            return Err(
                self.corrupt(&format!("expected no value, found {} bytes", self.value.len()))
            );
        }
        Ok((SegmentId(u64::from_be_bytes(*segment)), Offset(u32::from_be_bytes(offset))))
    }

    fn corrupt(&self, reason: &impl ToString) -> StoreError {
        let family = self.kind.range(CollectionKey(0)).family;
        corrupt(family, &self.key, reason)
    }
}

impl ReadView<'_> {
    /// Returns all rows of one kind, in key order: points in the order of their ids, tombstones by
    /// segment and offset.
    ///
    /// # Errors
    ///
    /// See [`ReadView`]; a row that cannot be read is an error in its place.
    pub fn raw_rows(&self, c: CollectionKey, kind: RowKind) -> Result<RawRows<'_>, StoreError> {
        Ok(RawRows { kind, scan: self.scan(&kind.range(c))? })
    }
}

/// Rows of one kind, in key order.
pub struct RawRows<'v> {
    kind: RowKind,
    scan: Scan<'v>,
}

impl Iterator for RawRows<'_> {
    type Item = Result<RawRow, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.kind;
        let raw =
            |row: super::scan::Row| RawRow { kind, key: row.suffix().into(), value: row.value };
        Some(self.scan.next()?.map(raw))
    }
}

impl Batch {
    /// Writes a row as it is, under the same key in another collection.
    pub fn put_raw(&mut self, c: CollectionKey, row: RawRow) -> &mut Self {
        let range = row.kind.range(c);
        let bytes = [&range.prefix[..], &row.key].concat();
        self.put(Key { family: range.family, bytes }, row.value.into())
    }
}

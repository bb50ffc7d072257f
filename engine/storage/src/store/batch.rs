//! What one commit changes.

use bigrain_types::{Offset, Payload, PointId, SegmentId};
use serde::Serialize;

use super::keys::{CollectionKey, Family, Key, KeyRange};
use super::rows::{CollectionRow, CountsRow, HeadRow, PointRow, SegmentRow};
use crate::codec;

/// What one commit changes: collected here, written by [`Store::commit`](super::Store::commit).
///
/// Operations apply in the order they were added. A value that cannot be stored is remembered and
/// refused by the commit, so that filling a batch cannot fail half way.
#[derive(Debug, Default)]
pub struct Batch {
    operations: Vec<Operation>,
    bytes: usize,
    refused: Option<String>,
}

#[derive(Debug)]
pub(super) enum Operation {
    Put(Key, Vec<u8>),
    Delete(Key),
    DeleteRange(KeyRange),
}

impl Batch {
    /// Returns an empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many rows and ranges the batch changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether the batch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Returns the bytes of keys and values it holds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// Adds everything another batch changes, after this one's changes: one commit for both.
    pub fn append(&mut self, other: Self) -> &mut Self {
        self.operations.extend(other.operations);
        self.bytes += other.bytes;
        self.refused = self.refused.take().or(other.refused);
        self
    }

    /// Why the commit will refuse the batch, if a value that cannot be stored was added. Lets a
    /// caller find out before its batch joins others.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Writes where a point is.
    pub fn put_point(&mut self, c: CollectionKey, id: &PointId, row: &PointRow) -> &mut Self {
        self.put_value(Key::location(c, id), row)
    }

    /// Writes the payload of a point.
    pub fn put_payload(&mut self, c: CollectionKey, id: &PointId, payload: &Payload) -> &mut Self {
        match payload.to_json() {
            Ok(json) => self.put(Key::payload(c, id), json),
            Err(error) => self.refuse(error.to_string()),
        }
    }

    /// Removes a point: its location and its payload. Its vectors are the caller's to remove, by
    /// [`Batch::delete_head`] or [`Batch::put_tombstone`].
    pub fn delete_point(&mut self, c: CollectionKey, id: &PointId) -> &mut Self {
        self.delete(Key::location(c, id)).delete(Key::payload(c, id))
    }

    /// Writes vectors that are in no segment.
    pub fn put_head(&mut self, c: CollectionKey, id: &PointId, row: &HeadRow) -> &mut Self {
        self.put(Key::head(c, id), row.to_bytes())
    }

    /// Removes vectors from the head.
    pub fn delete_head(&mut self, c: CollectionKey, id: &PointId) -> &mut Self {
        self.delete(Key::head(c, id))
    }

    /// Marks a row of a segment as dead.
    pub fn put_tombstone(&mut self, c: CollectionKey, id: SegmentId, at: Offset) -> &mut Self {
        self.put(Key::tombstone(c, id, at), Vec::new())
    }

    /// Makes a segment live.
    pub fn put_segment(&mut self, c: CollectionKey, row: &SegmentRow) -> &mut Self {
        self.put_value(Key::segment(c, row.id), row)
    }

    /// Removes a segment from the manifest, with its tombstones. Its files are then garbage.
    pub fn delete_segment(&mut self, c: CollectionKey, id: SegmentId) -> &mut Self {
        self.delete(Key::segment(c, id)).delete_range(KeyRange::tombstones(c, id))
    }

    /// Writes the counts of a collection.
    pub fn put_counts(&mut self, c: CollectionKey, row: &CountsRow) -> &mut Self {
        self.put_value(Key::counts(c), row)
    }

    /// Writes a collection's row, to change its configuration. The name must be the one it has;
    /// collections are created by [`Store::create_collection`](super::Store::create_collection).
    pub fn put_collection(&mut self, c: CollectionKey, row: &CollectionRow) -> &mut Self {
        self.put_value(Key::collection(c), row)
    }

    /// Removes every row of a collection but its name.
    pub(super) fn delete_collection(&mut self, c: CollectionKey) -> &mut Self {
        for family in Family::OF_COLLECTIONS {
            self.delete_range(KeyRange::collection(family, c));
        }
        self
    }

    pub(super) fn put_value<T: Serialize>(&mut self, key: Key, value: &T) -> &mut Self {
        match codec::to_bytes(value) {
            Ok(bytes) => self.put(key, bytes),
            Err(error) => self.refuse(error.to_string()),
        }
    }

    pub(super) fn delete(&mut self, key: Key) -> &mut Self {
        self.bytes += key.bytes.len();
        self.operations.push(Operation::Delete(key));
        self
    }

    /// Returns the operations, or why one of them cannot be stored.
    pub(super) fn into_operations(self) -> Result<Vec<Operation>, String> {
        self.refused.map_or(Ok(self.operations), Err)
    }

    pub(super) fn put(&mut self, key: Key, value: Vec<u8>) -> &mut Self {
        self.bytes += key.bytes.len() + value.len();
        self.operations.push(Operation::Put(key, value));
        self
    }

    fn delete_range(&mut self, range: KeyRange) -> &mut Self {
        self.bytes += range.prefix.len() + range.end.len();
        self.operations.push(Operation::DeleteRange(range));
        self
    }

    fn refuse(&mut self, reason: String) -> &mut Self {
        self.refused.get_or_insert(reason);
        self
    }
}

//! Reading rows, all of them as they were at one moment.

use std::collections::BTreeSet;

use bigrain_types::{Offset, Payload, PointId, SegmentId};
use rocksdb::{Direction, IteratorMode, Snapshot};
use serde::de::DeserializeOwned;

use super::keys::{CollectionKey, Family, Key, KeyRange};
use super::rows::{CollectionRow, CountsRow, HeadRow, PointRow, SegmentRow};
use super::scan::{HeadRows, Row, Scan};
use super::{Store, StoreError, settings};
use crate::codec;

/// Every row as it was at one moment, whatever is committed meanwhile.
///
/// All reads of the store go through a view, so that two reads of one request never see two
/// states. Every method fails with [`StoreError::Corrupt`] for a row that this program did not
/// write, and with [`StoreError::Damaged`] or [`StoreError::Backend`] when RocksDB cannot read.
pub struct ReadView<'s> {
    store: &'s Store,
    snapshot: Snapshot<'s>,
}

impl<'s> ReadView<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self { store, snapshot: store.db().snapshot() }
    }

    /// Returns where a point is.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn point(&self, c: CollectionKey, id: &PointId) -> Result<Option<PointRow>, StoreError> {
        self.value(&Key::location(c, id))
    }

    /// Returns where each of some points is.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn points(
        &self,
        c: CollectionKey,
        ids: &[PointId],
    ) -> Result<Vec<Option<PointRow>>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| Key::location(c, id)).collect();
        self.get_many(&keys, |key, bytes| decode(key.family, &key.bytes, bytes))
    }

    /// Returns the payload of each of some points.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn payloads(
        &self,
        c: CollectionKey,
        ids: &[PointId],
    ) -> Result<Vec<Option<Payload>>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| Key::payload(c, id)).collect();
        self.get_many(&keys, |key, bytes| {
            Payload::from_json(bytes).map_err(|error| corrupt(key.family, &key.bytes, &error))
        })
    }

    /// Returns the vectors of each of some points that are in the head.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn heads(
        &self,
        c: CollectionKey,
        ids: &[PointId],
    ) -> Result<Vec<Option<HeadRow>>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| Key::head(c, id)).collect();
        self.get_many(&keys, |key, bytes| {
            HeadRow::from_bytes(bytes).map_err(|error| corrupt(key.family, &key.bytes, &error))
        })
    }

    /// Returns up to `limit` points behind `after`, in the order of their ids: numbers, UUIDs,
    /// strings.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn scroll(
        &self,
        c: CollectionKey,
        after: Option<&PointId>,
        limit: usize,
    ) -> Result<Vec<(PointId, PointRow)>, StoreError> {
        let range = KeyRange::locations(c);
        let start = after.map_or_else(
            || range.prefix.clone(),
            // The smallest key above another is that key and a zero byte.
            |id| [&Key::location(c, id).bytes[..], &[0]].concat(),
        );
        let mut points = Vec::new();
        for row in self.scan_from(&range, &start)?.take(limit) {
            let row = row?;
            points.push((row.point_id()?, decode(row.family, &row.key, &row.value)?));
        }
        Ok(points)
    }

    /// Returns the head of a collection, in the order of its ids.
    ///
    /// # Errors
    ///
    /// See [`ReadView`]; a row that cannot be read is an error in its place.
    pub fn head_rows(&self, c: CollectionKey) -> Result<HeadRows<'_>, StoreError> {
        HeadRows::begin(|| self.scan(&KeyRange::collection(Family::Head, c)))
    }

    /// Returns the dead rows of a segment, in ascending order.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn tombstones(
        &self,
        c: CollectionKey,
        segment: SegmentId,
    ) -> Result<Vec<Offset>, StoreError> {
        let mut offsets = Vec::new();
        for row in self.scan(&KeyRange::tombstones(c, segment))? {
            offsets.push(offset_of(&row?)?);
        }
        Ok(offsets)
    }

    /// Returns every collection, in the order of their names.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn collections(&self) -> Result<Vec<(CollectionKey, CollectionRow)>, StoreError> {
        let mut collections = Vec::new();
        for row in self.scan(&KeyRange::names())? {
            let row = row?;
            let key = CollectionKey(decode(row.family, &row.key, &row.value)?);
            let collection = self.collection(key)?;
            let collection = collection
                .ok_or_else(|| row.corrupt(&format!("no collection has key {}", key.0)))?;
            collections.push((key, collection));
        }
        Ok(collections)
    }

    /// Returns the other names that collections have, sorted by name.
    ///
    /// # Errors
    ///
    /// See [`ReadView`]; a name that is not UTF-8 is damage.
    pub fn aliases(&self) -> Result<Vec<(String, CollectionKey)>, StoreError> {
        let mut aliases = Vec::new();
        for row in self.scan(&KeyRange::aliases())? {
            let row = row?;
            let key = CollectionKey(decode(row.family, &row.key, &row.value)?);
            let alias = std::str::from_utf8(row.suffix()).map_err(|error| row.corrupt(&error))?;
            aliases.push((alias.to_owned(), key));
        }
        Ok(aliases)
    }

    /// Returns how many collections were ever created: their keys, and only theirs, are below it.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn collections_created(&self) -> Result<u32, StoreError> {
        Ok(self.value(&Key::next_collection())?.unwrap_or(0))
    }

    /// Returns the key of the collection with a name.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn collection_key(&self, name: &str) -> Result<Option<CollectionKey>, StoreError> {
        Ok(self.value(&Key::name(name))?.map(CollectionKey))
    }

    /// Returns a collection's row.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn collection(&self, c: CollectionKey) -> Result<Option<CollectionRow>, StoreError> {
        self.value(&Key::collection(c))
    }

    /// Returns the counts of a collection; `None` when there is no such collection.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn counts(&self, c: CollectionKey) -> Result<Option<CountsRow>, StoreError> {
        self.value(&Key::counts(c))
    }

    /// Returns the live segments of a collection, oldest first.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn segments(&self, c: CollectionKey) -> Result<Vec<SegmentRow>, StoreError> {
        let mut segments = Vec::new();
        for row in self.scan(&KeyRange::segments(c))? {
            let row = row?;
            let segment: SegmentRow = decode(row.family, &row.key, &row.value)?;
            if row.suffix() != segment.id.0.to_be_bytes() {
                return Err(row.corrupt(&format!("it holds segment {}", segment.id)));
            }
            segments.push(segment);
        }
        Ok(segments)
    }

    /// Returns the keys of the collections that have rows, in any family. One that no name stands
    /// for is left over.
    ///
    /// # Errors
    ///
    /// See [`ReadView`].
    pub fn keys_with_rows(&self) -> Result<BTreeSet<CollectionKey>, StoreError> {
        let mut keys = BTreeSet::new();
        for family in Family::OF_COLLECTIONS {
            let mut start = Some(0);
            while let Some(first) = start {
                let all = KeyRange::all_collections(family);
                let row = self.scan_from(&all, &u32::to_be_bytes(first))?.next().transpose()?;
                let Some(row) = row else { break };
                let key = row.key.first_chunk().map(|key| u32::from_be_bytes(*key));
                let key = key.ok_or_else(|| row.corrupt(&"expected the key of a collection"))?;
                keys.insert(CollectionKey(key));
                start = key.checked_add(1);
            }
        }
        Ok(keys)
    }

    pub(super) fn value<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let family = self.store.family(key.family)?;
        let bytes = self.snapshot.get_cf_opt(family, &key.bytes, settings::checked());
        let bytes = bytes.map_err(|error| self.failed(&error))?;
        bytes.map(|bytes| decode(key.family, &key.bytes, &bytes)).transpose()
    }

    pub(super) fn is_family_empty(&self, family: Family) -> Result<bool, StoreError> {
        let handle = self.store.family(family)?;
        let rows = self.snapshot.iterator_cf_opt(handle, settings::checked(), IteratorMode::Start);
        match { rows }.next() {
            None => Ok(true),
            Some(row) => row.map(|_| false).map_err(|error| self.failed(&error)),
        }
    }

    /// Reads keys of one family together.
    fn get_many<T>(
        &self,
        keys: &[Key],
        read: impl Fn(&Key, &[u8]) -> Result<T, StoreError>,
    ) -> Result<Vec<Option<T>>, StoreError> {
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let family = self.store.family(first.family)?;
        let wanted = keys.iter().map(|key| (family, &key.bytes));
        let values = self.snapshot.multi_get_cf_opt(wanted, settings::checked());
        let mut rows = Vec::with_capacity(keys.len());
        for (key, value) in keys.iter().zip(values) {
            let value = value.map_err(|error| self.failed(&error))?;
            rows.push(value.map(|bytes| read(key, &bytes)).transpose()?);
        }
        Ok(rows)
    }

    pub(super) fn scan(&self, range: &KeyRange) -> Result<Scan<'_>, StoreError> {
        self.scan_from(range, &range.prefix)
    }

    fn scan_from(&self, range: &KeyRange, start: &[u8]) -> Result<Scan<'_>, StoreError> {
        let family = self.store.family(range.family)?;
        let mut options = settings::checked();
        options.set_iterate_upper_bound(range.end.clone());
        let mode = IteratorMode::From(start, Direction::Forward);
        let rows = self.snapshot.iterator_cf_opt(family, options, mode);
        Ok(Scan::new(self.store, range, rows))
    }

    fn failed(&self, error: &rocksdb::Error) -> StoreError {
        self.store.failed_reading("read", error)
    }
}

impl std::fmt::Debug for ReadView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.snapshot.sequence_number();
        f.debug_struct("ReadView").field("store", self.store).field("at", &at).finish()
    }
}

fn offset_of(row: &Row) -> Result<Offset, StoreError> {
    let bytes: [u8; 4] = row.suffix().try_into().map_err(|_| {
        row.corrupt(&format!("expected a key of 16 bytes, found {}", row.key.len()))
    })?;
    Ok(Offset(u32::from_be_bytes(bytes)))
}

fn decode<T: DeserializeOwned>(family: Family, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
    codec::from_bytes(bytes).map_err(|error| corrupt(family, key, &error))
}

pub(super) fn corrupt(family: Family, key: &[u8], reason: &impl ToString) -> StoreError {
    let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
    StoreError::Corrupt { family: family.name(), key, reason: reason.to_string() }
}

//! The bytes of every key. Nothing else in the store knows them.

use bigrain_types::{Offset, PointId, SegmentId};

/// Names a collection inside the store; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionKey(pub u32);

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Locations and payloads of points.
    Points,
    /// Vectors that are in no segment yet.
    Head,
    /// Rows of segments that are dead.
    Tombstones,
    /// Collections, their counts and their segments.
    Manifest,
    /// Names of collections and the format version.
    Meta,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 5] =
        [Self::Points, Self::Head, Self::Tombstones, Self::Manifest, Self::Meta];

    /// The families that are prefixed by collection.
    pub(super) const OF_COLLECTIONS: [Self; 4] =
        [Self::Points, Self::Head, Self::Tombstones, Self::Manifest];

    /// Returns the family's name in RocksDB and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Points => "points",
            Self::Head => "head",
            Self::Tombstones => "tombstones",
            Self::Manifest => "manifest",
            Self::Meta => "meta",
        }
    }
}

/// Where a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub family: Family,
    pub bytes: Vec<u8>,
}

/// All keys that start with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRange {
    pub family: Family,
    /// The common start, which is also the first key.
    pub prefix: Vec<u8>,
    /// The first key behind the range.
    pub end: Vec<u8>,
}

const LOCATION: u8 = 0;
const PAYLOAD: u8 = 1;
const COLLECTION: u8 = b'c';
const COUNTS: u8 = b'n';
const SEGMENT: u8 = b's';
const NAME: &[u8] = b"name/";
const ALIAS: &[u8] = b"alias/";

/// Longer than any key, and above all of them.
const ABOVE_ALL: [u8; 1024] = [0xff; 1024];

impl Key {
    pub fn location(collection: CollectionKey, id: &PointId) -> Self {
        Self::of(Family::Points, collection, &[&[LOCATION], &id.to_key()])
    }

    pub fn payload(collection: CollectionKey, id: &PointId) -> Self {
        Self::of(Family::Points, collection, &[&[PAYLOAD], &id.to_key()])
    }

    pub fn head(collection: CollectionKey, id: &PointId) -> Self {
        Self::of(Family::Head, collection, &[&id.to_key()])
    }

    pub fn tombstone(collection: CollectionKey, segment: SegmentId, offset: Offset) -> Self {
        let parts: [&[u8]; 2] = [&segment.0.to_be_bytes(), &offset.0.to_be_bytes()];
        Self::of(Family::Tombstones, collection, &parts)
    }

    pub fn collection(collection: CollectionKey) -> Self {
        Self::of(Family::Manifest, collection, &[&[COLLECTION]])
    }

    pub fn counts(collection: CollectionKey) -> Self {
        Self::of(Family::Manifest, collection, &[&[COUNTS]])
    }

    pub fn segment(collection: CollectionKey, segment: SegmentId) -> Self {
        Self::of(Family::Manifest, collection, &[&[SEGMENT], &segment.0.to_be_bytes()])
    }

    pub fn name(name: &str) -> Self {
        Self { family: Family::Meta, bytes: [NAME, name.as_bytes()].concat() }
    }

    pub fn alias(alias: &str) -> Self {
        Self { family: Family::Meta, bytes: [ALIAS, alias.as_bytes()].concat() }
    }

    pub fn next_collection() -> Self {
        Self { family: Family::Meta, bytes: b"next-collection".to_vec() }
    }

    pub fn format() -> Self {
        Self { family: Family::Meta, bytes: b"format".to_vec() }
    }

    fn of(family: Family, collection: CollectionKey, parts: &[&[u8]]) -> Self {
        let mut bytes = collection.0.to_be_bytes().to_vec();
        for part in parts {
            bytes.extend_from_slice(part);
        }
        Self { family, bytes }
    }
}

impl KeyRange {
    pub fn collection(family: Family, collection: CollectionKey) -> Self {
        Self::of(family, collection.0.to_be_bytes().to_vec())
    }

    pub fn all_collections(family: Family) -> Self {
        Self::of(family, Vec::new())
    }

    pub fn locations(collection: CollectionKey) -> Self {
        let mut prefix = collection.0.to_be_bytes().to_vec();
        prefix.push(LOCATION);
        Self::of(Family::Points, prefix)
    }

    pub fn payloads(collection: CollectionKey) -> Self {
        let mut prefix = collection.0.to_be_bytes().to_vec();
        prefix.push(PAYLOAD);
        Self::of(Family::Points, prefix)
    }

    pub fn segments(collection: CollectionKey) -> Self {
        let mut prefix = collection.0.to_be_bytes().to_vec();
        prefix.push(SEGMENT);
        Self::of(Family::Manifest, prefix)
    }

    pub fn tombstones(collection: CollectionKey, segment: SegmentId) -> Self {
        let mut prefix = collection.0.to_be_bytes().to_vec();
        prefix.extend_from_slice(&segment.0.to_be_bytes());
        Self::of(Family::Tombstones, prefix)
    }

    pub fn aliases() -> Self {
        Self::of(Family::Meta, ALIAS.to_vec())
    }

    pub fn names() -> Self {
        Self::of(Family::Meta, NAME.to_vec())
    }

    fn of(family: Family, prefix: Vec<u8>) -> Self {
        let end = successor(&prefix);
        Self { family, prefix, end }
    }
}

/// Returns the first key that is above every key starting with `prefix`.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    ABOVE_ALL.to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_what_they_were() {
        let (collection, id) = (CollectionKey(258), PointId::from(7));
        assert_eq!(Key::location(collection, &id).bytes, b"\0\0\x01\x02\0\x01\0\0\0\0\0\0\0\x07");
        assert_eq!(Key::payload(collection, &id).bytes, b"\0\0\x01\x02\x01\x01\0\0\0\0\0\0\0\x07");
        assert_eq!(Key::head(collection, &id).bytes, b"\0\0\x01\x02\x01\0\0\0\0\0\0\0\x07");
        assert_eq!(
            Key::tombstone(collection, SegmentId(3), Offset(4)).bytes,
            b"\0\0\x01\x02\0\0\0\0\0\0\0\x03\0\0\0\x04"
        );
        assert_eq!(Key::collection(collection).bytes, b"\0\0\x01\x02c");
        assert_eq!(Key::counts(collection).bytes, b"\0\0\x01\x02n");
        assert_eq!(
            Key::segment(collection, SegmentId(3)).bytes,
            b"\0\0\x01\x02s\0\0\0\0\0\0\0\x03"
        );
        assert_eq!(Key::name("docs").bytes, b"name/docs");
    }

    #[test]
    fn the_last_collection_has_a_range() {
        let range = KeyRange::collection(Family::Head, CollectionKey(u32::MAX));
        let id = PointId::parse(&"\u{10ffff}".repeat(128)).unwrap();
        let key = Key::head(CollectionKey(u32::MAX), &id);
        assert!(range.prefix <= key.bytes && key.bytes < range.end);
    }

    proptest! {
        #[test]
        fn a_range_holds_the_keys_with_its_prefix_and_no_others(
            prefix in prop::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 1..5),
            key in prop::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 0..8),
        ) {
            let range = KeyRange::of(Family::Meta, prefix.clone());
            let inside = range.prefix <= key && key < range.end;
            prop_assert_eq!(inside, key.starts_with(&prefix));
        }
    }
}

//! Rows copied as bytes, and stores that are only looked at.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bigrain_types::{FieldId, Offset, Payload, SegmentId};

use super::*;
use crate::{HeadRow, RawRow, RowKind};

fn rows(store: &Store, collection: CollectionKey) -> Vec<RawRow> {
    let view = store.view();
    let kinds = RowKind::ALL.into_iter();
    kinds
        .flat_map(|kind| view.raw_rows(collection, kind).unwrap())
        .map(|row| row.unwrap())
        .collect()
}

fn fill(db: &Db) {
    let mut batch = Batch::new();
    for id in [PointId::from(7), PointId::parse("seven").unwrap()] {
        let head = HeadRow {
            seq: SeqNo(3),
            vectors: vec![(FieldId(0), vec![1.0, 2.0])],
            ..HeadRow::default()
        };
        batch.put_point(db.docs, &id, &in_head(3)).put_head(db.docs, &id, &head);
        batch.put_payload(db.docs, &id, &Payload::new().with("n", 0.1));
    }
    batch.put_tombstone(db.docs, SegmentId(5), Offset(6));
    db.store().commit(batch).unwrap();
}

#[test]
fn rows_are_copied_to_another_collection_byte_for_byte() {
    let db = Db::temp();
    fill(&db);
    let copied = rows(db.store(), db.docs);
    assert_eq!(copied.len(), 7);
    assert_eq!(copied[0].id().unwrap(), PointId::from(7));
    assert_eq!(copied[0].location().unwrap(), in_head(3));
    assert_eq!(copied[2].payload().unwrap(), Payload::new().with("n", 0.1));
    assert_eq!(copied[4].head().unwrap().vectors[0].1, [1.0, 2.0]);
    assert_eq!(copied[6].tombstone().unwrap(), (SegmentId(5), Offset(6)));
    let other = db.store().create_collection("other", "{}", 1).unwrap();
    let mut batch = Batch::new();
    for row in &copied {
        batch.put_raw(other, row.clone());
    }
    db.store().commit(batch).unwrap();
    assert_eq!(rows(db.store(), other), copied);
    let view = db.store().view();
    assert_eq!(view.keys_with_rows().unwrap().into_iter().collect::<Vec<_>>(), [db.docs, other]);
}

#[test]
fn looking_at_a_store_changes_no_file_and_cannot_write() {
    let mut db = Db::temp();
    fill(&db);
    let expected = rows(db.store(), db.docs);
    db.store = None;
    let before = files(db.folder.path());
    let store = Store::open_read_only(db.folder.path(), &StoreConfig::default()).unwrap();
    assert_eq!(rows(&store, db.docs), expected);
    assert!(store.create_collection("more", "{}", 1).is_err());
    let second = open(db.folder.path());
    assert!(matches!(second, Err(StoreError::Locked { .. })));
    drop(store);
    assert_eq!(files(db.folder.path()), before);
    db.reopen();
    assert_eq!(rows(db.store(), db.docs), expected);
}

#[test]
fn a_folder_without_a_store_is_not_given_one() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Store::open_read_only(folder.path(), &StoreConfig::default()).is_err());
    fs::write(folder.path().join("LOCK"), "").unwrap();
    assert!(Store::open_read_only(folder.path(), &StoreConfig::default()).is_err());
    assert_eq!(files(folder.path()).len(), 1);
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

//! What was committed is read back, in order, by type, and after reopening.

use std::collections::BTreeMap;

use bigrain_types::{FieldId, Offset, Payload, PointId, SegmentId, SeqNo};
use proptest::prelude::*;

use super::{Db, in_head};
use crate::block_file::FileIdentity;
use crate::store::keys::{Family, Key, KeyRange};
use crate::store::settings;
use crate::store::{
    Batch, CollectionKey, CountsRow, FileRow, HeadRow, Location, PointRow, SegmentRow, Store,
    StoreError,
};

fn text(id: &str) -> PointId {
    PointId::parse(id).unwrap()
}

fn segment(id: u64) -> SegmentRow {
    let identity = FileIdentity { length: 4096, footer_crc: 7 };
    let files = vec![FileRow::new("ids", identity)];
    SegmentRow { id: SegmentId(id), rows: 10, files, seq: SeqNo(id), arrived: 10 }
}

#[test]
fn every_row_is_read_back_after_reopening() {
    let mut db = Db::temp();
    let (docs, id) = (db.docs, text("a"));
    let in_segment =
        PointRow { seq: SeqNo(3), location: Location::Segment(SegmentId(2), Offset(1)) };
    let head = HeadRow {
        seq: SeqNo(3),
        vectors: vec![(FieldId(7), vec![0.5, -0.0, f32::MIN_POSITIVE])],
        ..HeadRow::default()
    };
    let payload = Payload::new().with("title", "né");
    let counts = CountsRow { live: 1, last_seq: SeqNo(3), next_segment: SegmentId(3) };
    let mut batch = Batch::new();
    batch
        .put_point(docs, &id, &in_segment)
        .put_payload(docs, &id, &payload)
        .put_head(docs, &id, &head)
        .put_tombstone(docs, SegmentId(2), Offset(9))
        .put_tombstone(docs, SegmentId(2), Offset(3))
        .put_segment(docs, &segment(2))
        .put_counts(docs, &counts);
    assert_eq!(batch.len(), 7);
    db.store().commit(batch).unwrap();
    for _ in 0..2 {
        let view = db.store().view();
        let both = [text("b"), id.clone()];
        assert_eq!(view.point(docs, &id).unwrap(), Some(in_segment));
        assert_eq!(view.points(docs, &both).unwrap(), [None, Some(in_segment)]);
        assert_eq!(view.payloads(docs, &both).unwrap(), [None, Some(payload.clone())]);
        assert_eq!(view.heads(docs, &both).unwrap(), [None, Some(head.clone())]);
        assert_eq!(view.tombstones(docs, SegmentId(2)).unwrap(), [Offset(3), Offset(9)]);
        assert_eq!(view.segments(docs).unwrap(), [segment(2)]);
        assert_eq!(view.segments(docs).unwrap()[0].files[0].identity().length, 4096);
        assert_eq!(view.counts(docs).unwrap(), Some(counts));
        assert_eq!(view.collection_key("docs").unwrap(), Some(docs));
        assert_eq!(view.collection(docs).unwrap().unwrap().name, "docs");
        assert!(view.points(docs, &[]).unwrap().is_empty());
        drop(view);
        db.reopen();
    }
}

#[test]
fn points_scroll_in_pages_numbers_before_uuids_before_strings() {
    let db = Db::temp();
    let uuid = text("936da01f-9abd-4d9d-80c7-02af85c822a8");
    let expected =
        [PointId::from(2), PointId::from(300), uuid, text("a"), text("a\0"), text("ab"), text("b")];
    for (seq, id) in expected.iter().rev().enumerate() {
        db.put(id.clone(), seq as u64);
    }
    for limit in 1..=8 {
        let view = db.store().view();
        let mut scrolled: Vec<PointId> = Vec::new();
        loop {
            let page = view.scroll(db.docs, scrolled.last(), limit).unwrap();
            scrolled.extend(page.iter().map(|(id, _)| id.clone()));
            if page.len() < limit {
                break;
            }
        }
        assert_eq!(scrolled, expected, "limit {limit}");
    }
    let from_a_gap = db.store().view().scroll(db.docs, Some(&text("aa")), 1).unwrap();
    assert_eq!(from_a_gap[0].0, text("ab"));
}

#[test]
fn head_rows_come_in_the_order_of_their_ids() {
    let db = Db::temp();
    let mut batch = Batch::new();
    for number in [9u64, 1, 256] {
        let row = HeadRow {
            seq: SeqNo(number),
            vectors: vec![(FieldId(0), vec![number as f32])],
            ..HeadRow::default()
        };
        batch.put_head(db.docs, &PointId::from(number), &row);
    }
    batch.delete_head(db.docs, &PointId::from(9));
    db.store().commit(batch).unwrap();
    let view = db.store().view();
    let rows: Result<Vec<_>, _> = view.head_rows(db.docs).unwrap().collect();
    let seqs: Vec<u64> = rows.unwrap().iter().map(|(_, row)| row.seq.0).collect();
    assert_eq!(seqs, [1, 256]);
}

#[test]
fn a_scan_of_the_head_counts_the_deleted_rows_it_reads() {
    let db = Db::temp();
    let ids: Vec<PointId> = (0..500_u64).map(PointId::from).collect();
    let mut batch = Batch::new();
    ids.iter().for_each(|id| {
        batch.put_head(db.docs, id, &HeadRow::default());
    });
    db.store().commit(batch).unwrap();
    let mut batch = Batch::new();
    ids.iter().skip(100).for_each(|id| {
        batch.delete_head(db.docs, id);
    });
    db.store().commit(batch).unwrap();
    let looked_at = || {
        let view = db.store().view();
        let mut rows = view.head_rows(db.docs).unwrap();
        (rows.by_ref().count(), rows.dead_rows())
    };
    assert_eq!(looked_at(), (100, 400));
    db.store().compact(db.docs).unwrap();
    assert_eq!(looked_at(), (100, 0));
}

#[test]
fn a_view_does_not_see_later_commits() {
    let db = Db::temp();
    db.put(1, 1);
    let view = db.store().view();
    db.put(2, 2);
    assert_eq!(view.point(db.docs, &PointId::from(2)).unwrap(), None);
    assert_eq!(view.scroll(db.docs, None, 9).unwrap().len(), 1);
    assert_eq!(db.ids().len(), 2);
}

#[test]
fn a_dropped_segment_takes_its_tombstones_along_and_no_others() {
    let db = Db::temp();
    let mut batch = Batch::new();
    for id in [1, 2, 3] {
        batch.put_segment(db.docs, &segment(id));
        batch.put_tombstone(db.docs, SegmentId(id), Offset(u32::MAX));
    }
    let mut second = Batch::new();
    second.delete_segment(db.docs, SegmentId(2));
    batch.append(second);
    db.store().commit(batch).unwrap();
    let view = db.store().view();
    let left: Vec<u64> = view.segments(db.docs).unwrap().iter().map(|row| row.id.0).collect();
    assert_eq!(left, [1, 3]);
    for (id, tombstones) in [(1, 1), (2, 0), (3, 1)] {
        assert_eq!(view.tombstones(db.docs, SegmentId(id)).unwrap().len(), tombstones);
    }
}

#[test]
fn a_dropped_collection_leaves_no_row_and_its_neighbours_all_of_theirs() {
    let mut db = Db::temp();
    let store = db.store();
    let others = ["before", "after"].map(|name| store.create_collection(name, "{}", 1).unwrap());
    let fill = |c: CollectionKey| {
        let id = PointId::from(1);
        let mut batch = Batch::new();
        batch
            .put_point(c, &id, &in_head(1))
            .put_payload(c, &id, &Payload::new())
            .put_head(
                c,
                &id,
                &HeadRow {
                    seq: SeqNo(1),
                    vectors: vec![(FieldId(0), vec![1.0])],
                    ..HeadRow::default()
                },
            )
            .put_tombstone(c, SegmentId(1), Offset(1))
            .put_segment(c, &segment(1));
        store.commit(batch).unwrap();
    };
    for collection in [db.docs, others[0], others[1]] {
        fill(collection);
    }
    let full = rows_of(store, others[0]);
    assert_eq!(full, 7);
    store.drop_collection(others[0]).unwrap();
    assert_eq!(rows_of(store, others[0]), 0);
    assert_eq!(rows_of(store, others[1]), full);
    let again = store.create_collection("before", "{}", 1).unwrap();
    assert!(again > others[1], "a key is not used twice");
    db.reopen();
    assert_eq!(rows_of(db.store(), others[0]), 0);
    let view = db.store().view();
    let names: Vec<String> =
        view.collections().unwrap().into_iter().map(|(_, row)| row.name).collect();
    assert_eq!(names, ["after", "before", "docs"]);
}

/// Counts the rows of a collection in every family, without decoding them.
fn rows_of(store: &Store, collection: CollectionKey) -> usize {
    let count = |family: Family| {
        let range = KeyRange::collection(family, collection);
        let mut options = settings::checked();
        options.set_iterate_range(range.prefix..range.end);
        let handle = store.family(family).unwrap();
        store.db().iterator_cf_opt(handle, options, rocksdb::IteratorMode::Start).count()
    };
    Family::OF_COLLECTIONS.into_iter().map(count).sum()
}

#[test]
fn collections_are_named_once() {
    let db = Db::temp();
    let error = db.store().create_collection("docs", "{}", 1).unwrap_err();
    assert_eq!(error.to_string(), "collection \"docs\" exists already");
    let error = db.store().drop_collection(CollectionKey(77)).unwrap_err();
    assert!(matches!(error, StoreError::UnknownCollection { key: 77 }));
    assert_eq!(db.store().view().counts(CollectionKey(77)).unwrap(), None);
    assert_eq!(db.store().view().counts(db.docs).unwrap(), Some(CountsRow::default()));
}

#[test]
fn threads_that_commit_at_once_all_get_what_they_wrote() {
    let mut db = Db::temp();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let db = &db;
            scope.spawn(move || (0..25).for_each(|i| db.put(thread * 100 + i, i)));
        }
    });
    db.reopen();
    assert_eq!(db.ids().len(), 100);
}

#[test]
fn a_malformed_row_names_its_family_and_key() {
    let db = Db::temp();
    let id = PointId::from(1);
    let spoil = |key: Key, value: &[u8]| {
        let family = db.store().family(key.family).unwrap();
        db.store().db().put_cf(family, key.bytes, value).unwrap();
    };
    spoil(Key::location(db.docs, &id), b"short");
    spoil(Key::payload(db.docs, &id), b"[1]");
    spoil(Key::head(db.docs, &id), &[0; 11]);
    spoil(Key::segment(db.docs, SegmentId(1)), b"\xff\xff\xff");
    spoil(Key::counts(db.docs), &[0; 25]);
    let mut odd = Key::tombstone(db.docs, SegmentId(1), Offset(1));
    odd.bytes.pop();
    spoil(odd, b"");
    let (view, docs, ids) = (db.store().view(), db.docs, [id.clone()]);
    let errors = [
        ("points", view.point(docs, &id).unwrap_err()),
        ("points", view.points(docs, &ids).unwrap_err()),
        ("points", view.scroll(docs, None, 9).unwrap_err()),
        ("points", view.payloads(docs, &ids).unwrap_err()),
        ("head", view.heads(docs, &ids).unwrap_err()),
        ("head", view.head_rows(docs).unwrap().next().unwrap().unwrap_err()),
        ("manifest", view.segments(docs).unwrap_err()),
        ("manifest", view.counts(docs).unwrap_err()),
        ("tombstones", view.tombstones(docs, SegmentId(1)).unwrap_err()),
    ];
    for (expected, error) in errors {
        let StoreError::Corrupt { family, key, .. } = &error else { panic!("{error}") };
        assert_eq!(*family, expected, "{error}");
        assert!(key.starts_with("00000000"), "{error}");
    }
}

#[test]
fn disk_and_memory_are_measured() {
    let db = Db::temp();
    db.put(1, 1);
    assert!(db.store().disk_bytes().unwrap() > 0);
    let memory = db.store().memory().unwrap();
    assert!(memory.write_buffers > 0 && memory.total() < 8 << 20, "{memory:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Batches of puts (`Some`) and deletes (`None`), against a map.
    #[test]
    fn batches_do_what_a_map_does(
        batches in prop::collection::vec(
            prop::collection::vec((0u64..20, prop::option::of(0u64..1000)), 0..12),
            1..8,
        ),
    ) {
        let mut db = Db::temp();
        let mut model = BTreeMap::new();
        for changes in batches {
            let mut batch = Batch::new();
            for (id, seq) in changes {
                let id = PointId::from(id);
                if let Some(seq) = seq {
                    batch.put_point(db.docs, &id, &in_head(seq));
                    model.insert(id, in_head(seq));
                } else {
                    batch.delete_point(db.docs, &id);
                    model.remove(&id);
                }
            }
            db.store().commit(batch).unwrap();
        }
        db.reopen();
        let points = db.store().view().scroll(db.docs, None, usize::MAX).unwrap();
        prop_assert_eq!(points, model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn compaction_frees_what_was_deleted_and_nothing_else() {
    let db = Db::temp();
    let other = db.store().create_collection("other", "{}", 1).unwrap();
    // Digits that do not repeat, so that what is stored can be compressed but little.
    let payload = |id: u64| {
        let word = |word: u64| format!("{:x}", (id * word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Payload::new().with("text", (1..40).map(word).collect::<String>())
    };
    let ids: Vec<PointId> = (0..4000_u64).map(PointId::from).collect();
    let mut batch = Batch::new();
    for (number, id) in ids.iter().enumerate() {
        for collection in [db.docs, other] {
            batch.put_point(collection, id, &in_head(1));
            batch.put_payload(collection, id, &payload(number as u64));
        }
    }
    db.store().commit(batch).unwrap();
    db.store().compact(db.docs).unwrap();
    let full = db.store().disk_bytes().unwrap();
    let mut batch = Batch::new();
    ids.iter().skip(40).for_each(|id| {
        batch.delete_point(db.docs, id);
    });
    db.store().commit(batch).unwrap();
    db.store().compact(db.docs).unwrap();
    let half = db.store().disk_bytes().unwrap();
    assert!(half * 10 < full * 7, "{half} bytes of {full}");
    assert_eq!(db.ids(), ids[..40]);
    assert_eq!(super::ids(db.store(), other), ids);
}

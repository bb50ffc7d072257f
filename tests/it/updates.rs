//! Conditional writes, changes of a part of a point, and pages.

use std::collections::BTreeMap;

use bigrain_engine::{
    CollectionConfig, Condition, Conditions, Cursor, DenseFormat, ErrorKind, Metric, Payload,
    PayloadUpdate, Point, PointId, Query, ScrollParams, SearchParams, SeqNo, StoredPoint,
};
use bigrain_tests::{Db, Random};

fn point(id: u64, value: f32) -> Point {
    Point::new(id, vec![value, 1.0, 0.0]).with_payload(Payload::new().with("n", id))
}

fn vector(point: &StoredPoint) -> &[f32] {
    point.vector("vector").unwrap()
}

fn stored(db: &Db, id: u64) -> Option<StoredPoint> {
    db.collection().get(&[id.into()]).unwrap().remove(0)
}

#[test]
fn a_write_happens_only_if_its_condition_holds_wherever_the_point_lies() {
    let mut db = Db::tiny();
    let first = db.collection().upsert(vec![point(1, 1.0), point(2, 2.0)]).unwrap().seq;
    for round in 0..3 {
        match round {
            0 => {}
            1 => db.collection().flush().unwrap(),
            _ => db.reopen(),
        }
        let seq = stored(&db, 1).unwrap().seq;
        let wrong = Conditions::default().with(1, Condition::Version(SeqNo(seq.0 + 1)));
        let error = db.collection().upsert_if(vec![point(2, 9.0), point(1, 9.0)], wrong.clone());
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Aborted);
        let expected = format!("point 1: expected version {}, found version {}", seq.0 + 1, seq.0);
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert_eq!(
            vector(&stored(&db, 2).unwrap()),
            [2.0, 1.0, 0.0],
            "the batch is all or nothing"
        );
        let error = db.collection().delete_if(&[2.into(), 1.into()], wrong.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Aborted);
        let clear = PayloadUpdate::Clear;
        let error = db.collection().update_payload_if(&[2.into()], &clear, &wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Aborted);
        assert_eq!(db.collection().count(), 2);

        let right = Conditions::default().with(1, Condition::Version(seq));
        let output = db.collection().upsert_if(vec![point(1, 5.0 + round as f32)], right.clone());
        assert!(output.unwrap().seq > first);
        let again = db.collection().upsert_if(vec![point(1, 7.0)], right).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Aborted, "the version was used up");
        assert_eq!(vector(&stored(&db, 1).unwrap())[0], 5.0 + round as f32);
    }
}

#[test]
fn insert_only_and_update_only() {
    let db = Db::tiny();
    let (insert, update) =
        (Conditions::all(Condition::Absent), Conditions::all(Condition::Present));
    let error = db.collection().upsert_if(vec![point(1, 1.0)], update.clone()).unwrap_err();
    assert!(error.to_string().ends_with("point 1: expected a point, found none"), "{error}");
    db.collection().upsert_if(vec![point(1, 1.0)], insert.clone()).unwrap();
    let both = vec![point(2, 1.0), point(1, 2.0)];
    assert_eq!(db.collection().upsert_if(both, insert).unwrap_err().kind(), ErrorKind::Aborted);
    assert_eq!(db.collection().count(), 1);
    db.collection().upsert_if(vec![point(1, 3.0)], update).unwrap();
    assert_eq!(vector(&stored(&db, 1).unwrap())[0], 3.0);
}

#[test]
fn of_writers_that_read_the_same_version_one_wins() {
    let db = Db::temp(CollectionConfig::new(3, Metric::Dot), 20);
    db.collection().upsert(vec![point(1, 0.0)]).unwrap();
    let increments: u64 = 25;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut done = 0;
                while done < increments {
                    let read = stored(&db, 1).unwrap();
                    let next = point(1, vector(&read)[0] + 1.0);
                    let unchanged = Conditions::default().with(1, Condition::Version(read.seq));
                    match db.collection().upsert_if(vec![next], unchanged) {
                        Ok(_) => done += 1,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Aborted),
                    }
                }
            });
        }
    });
    assert_eq!(vector(&stored(&db, 1).unwrap())[0], 4.0 * increments as f32);
}

#[test]
fn a_payload_changes_and_the_vector_stays() {
    for format in [DenseFormat::F32, DenseFormat::F16, DenseFormat::I8] {
        let config = CollectionConfig::new(3, Metric::Cosine).with_dense(format);
        let mut db = Db::temp(config, 1000);
        let points = (0..20).map(|id| Point::new(id, vec![id as f32 + 1.0, 3.0, -7.0]));
        db.collection().upsert(points.collect()).unwrap();
        db.collection().flush().unwrap();
        let before = stored(&db, 3).unwrap();
        let set = |payload: Payload| PayloadUpdate::Merge(payload);
        let ids: Vec<PointId> = [3_u64, 99, 4, 3].map(PointId::from).into();
        let a = Payload::new().with("a", 1).with("b", "x");
        let output = db.collection().update_payload(&ids, &set(a)).unwrap();
        assert_eq!((output.updated, output.missing), (2, 1));
        assert!(output.seq > before.seq);
        db.collection().update_payload(&ids, &set(Payload::new().with("a", 2))).unwrap();
        for _ in 0..2 {
            let after = stored(&db, 3).unwrap();
            assert_eq!(after.payload, Payload::new().with("a", 2).with("b", "x"));
            assert_eq!(after.vectors, before.vectors, "{format}");
            assert!(stored(&db, 5).unwrap().payload.is_empty());
            assert_eq!(db.collection().count(), 20);
            assert_eq!(db.nearest(&[4.0, 3.0, -7.0], 30).len(), 20);
            db.collection().flush().unwrap();
            db.reopen();
        }
        db.collection().update_payload(&ids, &PayloadUpdate::Remove(vec!["b".into()])).unwrap();
        assert_eq!(stored(&db, 4).unwrap().payload, Payload::new().with("a", 2));
        let overwrite = PayloadUpdate::Overwrite(Payload::new().with("c", true));
        db.collection().update_payload(&ids, &overwrite).unwrap();
        assert_eq!(stored(&db, 3).unwrap().payload, Payload::new().with("c", true));
        db.collection().update_payload(&ids, &PayloadUpdate::Clear).unwrap();
        assert!(stored(&db, 3).unwrap().payload.is_empty());
        let nobody = db.collection().update_payload(&[99.into()], &PayloadUpdate::Clear).unwrap();
        assert_eq!((nobody.updated, nobody.missing), (0, 1));
    }
}

#[test]
fn a_vector_changes_and_the_payload_stays() {
    let db = Db::tiny();
    db.collection().upsert((0..5).map(|id| point(id, id as f32)).collect()).unwrap();
    db.collection().flush().unwrap();
    let vectors = [Point::new(2, vec![0.0, 0.0, 50.0]), Point::new(77, vec![0.0, 0.0, 9.0])];
    let output = db.collection().update_vectors(&vectors).unwrap();
    assert_eq!((output.updated, output.missing), (1, 1));
    assert_eq!(db.nearest(&[0.0, 0.0, 1.0], 1), [PointId::from(2)]);
    let after = stored(&db, 2).unwrap();
    assert_eq!(after.payload, Payload::new().with("n", 2));
    assert_eq!(vector(&after), [0.0, 0.0, 50.0]);
    let refused = [
        vec![point(2, 1.0)],
        vec![Point::new(2, vec![1.0; 3]), Point::new(2, vec![1.0; 3])],
        vec![Point::new(2, vec![f32::NAN; 3])],
    ];
    for points in refused {
        let error = db.collection().update_vectors(&points).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
}

#[test]
fn concurrent_payload_updates_all_take_effect() {
    let db = Db::temp(CollectionConfig::new(3, Metric::Dot), 30);
    db.collection().upsert((0..10).map(|id| point(id, id as f32)).collect()).unwrap();
    let ids: Vec<PointId> = (0..10_u64).map(PointId::from).collect();
    std::thread::scope(|scope| {
        for writer in 0..4_u64 {
            let (db, ids) = (&db, &ids);
            scope.spawn(move || {
                for round in 0..20_u64 {
                    let key = format!("w{writer}");
                    let update = PayloadUpdate::Merge(Payload::new().with(key, round));
                    db.collection().update_payload(ids, &update).unwrap();
                }
            });
        }
    });
    for point in db.collection().get(&ids).unwrap() {
        let point = point.unwrap();
        for writer in 0..4 {
            let round = point.payload.get(&format!("w{writer}")).unwrap().as_u64();
            assert_eq!(round, Some(19), "{:?}", point.payload);
        }
        assert_eq!(point.payload.get("n").unwrap().as_u64(), point.id.as_number());
    }
    assert_eq!(db.collection().count(), 10);
}

#[test]
fn pages_hold_what_was_asked_for_and_end() {
    let db = Db::tiny();
    db.collection().upsert((0..10).map(|id| point(id, id as f32)).collect()).unwrap();
    let page = db.collection().scroll_page(&ScrollParams::new(10).unwrap()).unwrap();
    assert_eq!((page.points.len(), page.next), (10, None));
    assert!(page.points[3].vectors.is_empty() && !page.points[3].payload.is_empty());
    let params = ScrollParams::new(7).unwrap().with_vectors(true).with_payload(false);
    let page = db.collection().scroll_page(&params).unwrap();
    assert_eq!(page.points.len(), 7);
    assert!(!page.points[3].vectors.is_empty() && page.points[3].payload.is_empty());
    let page = db.collection().scroll_page(&params.from_cursor(page.next.unwrap())).unwrap();
    assert_eq!((page.points.len(), page.next), (3, None));
    assert!(ScrollParams::new(0).is_err());
}

#[test]
fn every_point_that_stays_is_in_exactly_one_page_whatever_happens_meanwhile() {
    let mut db = Db::temp(CollectionConfig::new(3, Metric::Dot), 40);
    let mut random = Random::new(5);
    // Multiples of three stay; the others come and go while the pages are read.
    db.collection().upsert((0..300).map(|id| point(id, id as f32)).collect()).unwrap();
    let mut seen: BTreeMap<PointId, u32> = BTreeMap::new();
    let mut cursor: Option<String> = None;
    for pages in 0.. {
        let mut params = ScrollParams::new(7).unwrap();
        if let Some(text) = &cursor {
            params = params.from_cursor(text.parse::<Cursor>().unwrap());
        }
        let page = db.collection().scroll_page(&params).unwrap();
        page.points.iter().for_each(|point| *seen.entry(point.id.clone()).or_default() += 1);
        let Some(next) = page.next else { break };
        cursor = Some(next.to_string());
        for _ in 0..10 {
            let id = random.below(300);
            if id.is_multiple_of(3) {
                db.collection().upsert(vec![point(id, random.below(9) as f32)]).unwrap();
            } else if random.below(2) == 0 {
                db.delete(id);
            } else {
                db.collection().upsert(vec![point(id, 1.0)]).unwrap();
            }
        }
        if pages % 9 == 8 {
            db.reopen();
        }
    }
    assert!(seen.values().all(|&times| times == 1), "{seen:?}");
    for id in (0..300_u64).step_by(3) {
        assert!(seen.contains_key(&id.into()), "point {id} is in no page");
    }
    assert_eq!(db.scroll().len() as u64, db.collection().count());
    let params = SearchParams::new(1000).unwrap().with_exact(true);
    let found = db.collection().search(&Query::new(vec![1.0; 3]), &params).unwrap();
    assert_eq!(found.points.len() as u64, db.collection().count());
}

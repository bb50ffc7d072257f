//! What happens to points over their life: written, replaced, deleted, flushed, reopened.

use bigrain_engine::{
    CollectionConfig, CollectionState, Engine, EngineConfig, ErrorKind, Levels, Metric, Payload,
    Point, PointId, Query, SearchParams,
};
use bigrain_tests::Db;

#[test]
fn a_point_is_found_before_and_after_flush_and_reopen() {
    let mut db = Db::tiny();
    db.upsert(1, [1.0, 0.0, 0.0]);
    db.upsert(2, [0.0, 1.0, 0.0]);
    assert_eq!(db.nearest(&[0.0, 2.0, 0.0], 1), [PointId::from(2)]);
    db.collection().flush().unwrap();
    assert_eq!(db.nearest(&[0.0, 2.0, 0.0], 1), [PointId::from(2)]);
    db.upsert(3, [0.0, 3.0, 0.0]);
    db.reopen();
    assert_eq!(db.nearest(&[0.0, 2.0, 0.0], 2), [PointId::from(3), PointId::from(2)]);
    assert_eq!(db.collection().count(), 3);
}

#[test]
fn an_upsert_replaces_wherever_the_old_version_lies() {
    let mut db = Db::tiny();
    for in_segment in [false, true] {
        db.upsert(1, [1.0, 0.0, 0.0]);
        if in_segment {
            db.collection().flush().unwrap();
        }
        db.upsert(1, [0.0, 1.0, 0.0]);
        assert_eq!(db.collection().count(), 1);
        assert_eq!(db.scroll().len(), 1);
        let stored = db.collection().get(&[1.into()]).unwrap().remove(0).unwrap();
        assert_eq!(stored.vector("vector").unwrap(), [0.0, 1.0, 0.0]);
        assert_eq!(db.nearest(&[1.0, 1.0, 0.0], 10).len(), 1);
        db.reopen();
        assert_eq!(db.nearest(&[1.0, 1.0, 0.0], 10).len(), 1);
    }
}

#[test]
fn flush_keeps_deleted_points_deleted() {
    let mut db = Db::tiny();
    (0..10).for_each(|id| db.upsert(id, [id as f32 + 1.0, 0.0, 0.0]));
    assert!(db.delete(3));
    db.collection().flush().unwrap();
    assert!(db.delete(4));
    assert!(!db.delete(4));
    let expected: Vec<PointId> =
        [9_u64, 8, 7, 6, 5, 2, 1, 0].into_iter().map(PointId::from).collect();
    for _ in 0..2 {
        assert_eq!(db.nearest(&[1.0, 0.0, 0.0], 20), expected);
        assert_eq!(db.collection().count(), 8);
        db.reopen();
    }
}

#[test]
fn a_point_deleted_and_written_again_is_the_new_one() {
    let mut db = Db::tiny();
    db.upsert(7, [1.0, 0.0, 0.0]);
    db.collection().flush().unwrap();
    db.delete(7);
    db.upsert(7, [0.0, 0.0, 1.0]);
    db.collection().flush().unwrap();
    db.reopen();
    assert_eq!(db.scroll(), [PointId::from(7)]);
    assert_eq!(db.collection().inspect().len(), 2);
    let stored = db.collection().get(&[7.into()]).unwrap().remove(0).unwrap();
    assert_eq!(stored.vector("vector").unwrap(), [0.0, 0.0, 1.0]);
}

#[test]
fn a_memtable_whose_points_all_died_flushes_to_nothing() {
    let mut db = Db::tiny();
    db.upsert(1, [1.0, 0.0, 0.0]);
    db.delete(1);
    db.collection().flush().unwrap();
    assert!(db.collection().inspect().is_empty());
    db.reopen();
    assert_eq!(db.collection().count(), 0);
    assert!(db.nearest(&[1.0, 0.0, 0.0], 5).is_empty());
}

#[test]
fn a_full_memtable_becomes_a_segment_by_itself() {
    let db = Db::temp(CollectionConfig::new(4, Metric::L2), 100);
    for start in (0..1000_u64).step_by(50) {
        let point = |id: u64| Point::new(id, vec![id as f32, 1.0, 2.0, 3.0]);
        db.collection().upsert((start..start + 50).map(point).collect()).unwrap();
    }
    let info = db.collection().info();
    assert_eq!((info.points, info.segments, info.memtable_points), (1000, 10, 0));
    assert_eq!(db.nearest(&[499.6, 1.0, 2.0, 3.0], 1), [PointId::from(500)]);
}

#[test]
fn scores_are_the_metric_s() {
    for (metric, expected) in
        [(Metric::Cosine, 0.6), (Metric::Dot, 6.0), (Metric::L2, 65.0_f32.sqrt())]
    {
        let db = Db::temp(CollectionConfig::new(2, metric), 100);
        db.upsert(1, [6.0, 8.0]);
        for flushed in [false, true] {
            if flushed {
                db.collection().flush().unwrap();
            }
            for exact in [false, true] {
                let params = SearchParams::new(1).unwrap().with_exact(exact);
                let found = db.collection().search(&Query::new(vec![1.0, 0.0]), &params).unwrap();
                let score = found.points[0].score;
                let expected = if metric == Metric::L2 { 89.0_f32.sqrt() } else { expected };
                assert!((score - expected).abs() < 1e-4, "{metric} {exact}: {score}");
            }
        }
    }
}

#[test]
fn ids_of_every_kind_live_together() {
    let mut db = Db::tiny();
    let ids = ["42", "doc/a b.txt", "ключ", "936DA01F9ABD4D9D80C702AF85C822A8"];
    let mut points: Vec<Point> =
        ids.iter().map(|id| Point::new(PointId::parse(id).unwrap(), vec![1.0, 2.0, 3.0])).collect();
    points.push(Point::new(42, vec![3.0, 2.0, 1.0]));
    db.collection().upsert(points).unwrap();
    db.collection().flush().unwrap();
    db.reopen();
    assert_eq!(db.collection().count(), 5);
    let spelled = PointId::parse("936da01f-9abd-4d9d-80c7-02af85c822a8").unwrap();
    let wanted = [42.into(), PointId::parse("42").unwrap(), spelled, 43.into()];
    let found = db.collection().get(&wanted).unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(found[0].as_ref().unwrap().vector("vector").unwrap(), [3.0, 2.0, 1.0]);
}

#[test]
fn payloads_come_back_whole() {
    let mut db = Db::tiny();
    let payload = Payload::from_json(
        br#"{"big": 18446744073709551615, "text": "a\u0000b", "nested": {"list": [1, 2.5, null, true]}}"#,
    )
    .unwrap();
    let point = Point::new(1, vec![1.0, 0.0, 0.0]).with_payload(payload.clone());
    db.collection().upsert(vec![point]).unwrap();
    for _ in 0..2 {
        let params = SearchParams::new(1).unwrap();
        let found = db.collection().search(&Query::new(vec![1.0, 0.0, 0.0]), &params).unwrap();
        assert_eq!(found.points[0].payload, payload);
        db.collection().flush().unwrap();
        db.reopen();
    }
    db.collection().upsert(vec![Point::new(1, vec![1.0, 0.0, 0.0])]).unwrap();
    assert!(db.collection().get(&[1.into()]).unwrap()[0].as_ref().unwrap().payload.is_empty());
}

#[test]
fn collections_are_apart_and_dropping_one_leaves_the_other() {
    let mut db = Db::tiny();
    db.upsert(1, [1.0, 0.0, 0.0]);
    let config = CollectionConfig::new(2, Metric::Cosine).with_levels(Levels::ONE);
    let other = db.engine().create_collection("other", config.clone()).unwrap();
    other.upsert(vec![Point::new(1, vec![0.0, 1.0])]).unwrap();
    other.flush().unwrap();
    let exists = db.engine().create_collection("other", config).unwrap_err();
    assert_eq!(exists.kind(), ErrorKind::AlreadyExists);
    db.engine().drop_collection("other").unwrap();
    assert_eq!(other.upsert(vec![]).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(db.engine().collection("other").unwrap_err().kind(), ErrorKind::NotFound);
    drop(other);
    db.reopen();
    assert_eq!(db.engine().collections().len(), 1);
    assert_eq!(db.scroll().len(), 1);
    let folders = std::fs::read_dir(db.path().join("collections")).unwrap().count();
    assert!(folders <= 1, "{folders} folders");
}

#[test]
fn a_search_returns_as_many_as_there_are() {
    let db = Db::temp(CollectionConfig::new(8, Metric::Cosine), 64);
    for id in 0..300_u64 {
        let vector: Vec<f32> = (0..8).map(|d| ((id * 31 + d * 17) % 23) as f32 - 11.0).collect();
        db.upsert(id, vector);
    }
    (0..300).step_by(3).for_each(|id| assert!(db.delete(id)));
    for limit in [1, 10, 199, 200, 201, 1000] {
        for exact in [false, true] {
            let params = SearchParams::new(limit).unwrap().with_exact(exact);
            let found = db.collection().search(&Query::new(vec![1.0; 8]), &params).unwrap();
            assert_eq!(found.points.len(), limit.min(200), "limit {limit}, exact {exact}");
        }
    }
}

#[test]
fn explain_and_stats_tell_what_was_done() {
    let db = Db::temp(CollectionConfig::new(8, Metric::Dot), 100);
    (0..250).for_each(|id| db.upsert(id, vec![id as f32; 8]));
    let params = SearchParams::new(5).unwrap().with_explain(true);
    // The smallest are nearest to this, and they lie in segments.
    let found = db.collection().search(&Query::new(vec![-1.0; 8]), &params).unwrap();
    let plan = found.plan.unwrap();
    assert_eq!(plan.sources.iter().map(|source| source.rows).sum::<u64>(), 250);
    assert_eq!(found.stats.segments, 2);
    assert_eq!(found.stats.codes_scanned, 250);
    assert!(found.stats.rows_read >= 5 && found.stats.rows_read < 250, "{:?}", found.stats);
    assert!(found.stats.bytes_read > 0);
    let exact = params.with_exact(true);
    let found = db.collection().search(&Query::new(vec![1.0; 8]), &exact).unwrap();
    assert_eq!(found.stats.rows_read, 250);
    assert_eq!(found.stats.codes_scanned, 0);
}

#[test]
fn a_folder_in_use_is_refused() {
    let db = Db::tiny();
    let second = Engine::open(db.path(), EngineConfig::default()).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::FailedPrecondition);
    let text = second.to_string();
    assert!(text.contains("in use by another process"), "{text}");
    assert!(text.contains(db.path().to_str().unwrap()), "{text}");
}

#[test]
fn concurrent_writers_and_searches_agree_at_the_end() {
    let db = Db::temp(CollectionConfig::new(4, Metric::Dot), 150);
    std::thread::scope(|scope| {
        for writer in 0..4_u64 {
            let collection = db.collection().clone();
            scope.spawn(move || {
                for round in 0..60_u64 {
                    let id = writer * 1000 + round % 40;
                    let point = Point::new(id, vec![id as f32, round as f32, 1.0, 1.0]);
                    collection.upsert(vec![point]).unwrap();
                    if round % 7 == 0 {
                        collection.delete(&[(writer * 1000 + round % 5).into()]).unwrap();
                    }
                    let params = SearchParams::new(5).unwrap();
                    collection.search(&Query::new(vec![1.0; 4]), &params).unwrap();
                }
            });
        }
    });
    assert_eq!(db.scroll().len() as u64, db.collection().count());
    let CollectionState::Ready(info) = &db.engine().collections()[0].state else {
        panic!("quarantined");
    };
    assert_eq!(info.points, db.collection().count());
    let params = SearchParams::new(1000).unwrap();
    let found = db.collection().search(&Query::new(vec![1.0; 4]), &params).unwrap();
    assert_eq!(found.points.len() as u64, db.collection().count());
}

#[test]
fn writes_from_another_thread_pool_do_not_wait_for_themselves() {
    let db = Db::temp(CollectionConfig::new(4, Metric::Dot), 1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let collection = db.collection();
    pool.scope(|scope| {
        for id in 0..60_u64 {
            scope.spawn(move |_| {
                collection.upsert(vec![Point::new(id, vec![id as f32; 4])]).unwrap();
                collection.flush().unwrap();
                let params = SearchParams::new(3).unwrap().with_exact(true);
                collection.search(&Query::new(vec![1.0; 4]), &params).unwrap();
            });
        }
    });
    assert_eq!(collection.count(), 60);
    assert_eq!(db.scroll().len(), 60);
}

#[test]
fn a_result_never_mixes_two_versions_of_a_point() {
    let db = Db::temp(CollectionConfig::new(2, Metric::Dot), 50);
    let upsert = |value: u64| {
        let payload = Payload::new().with("value", value);
        let point = Point::new(1, vec![value as f32, 0.0]).with_payload(payload);
        db.collection().upsert(vec![point]).unwrap();
    };
    upsert(1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (2..200).for_each(upsert));
        let params = SearchParams::new(1).unwrap();
        while !writer.is_finished() {
            let found = db.collection().search(&Query::new(vec![1.0, 0.0]), &params).unwrap();
            let point = &found.points[0];
            let value = point.payload.get("value").unwrap().as_u64().unwrap();
            assert_eq!(point.score, value as f32);
        }
    });
}

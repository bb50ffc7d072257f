//! A collection goes over to the next version of its learned binarizer while it is searched and written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bigrain_binarize::{Parent, Recurrent, RecurrentParts};
use bigrain_engine::{
    Cancel, CollectionConfig, ErrorKind, FieldConfig, LearnedBinarizer, Levels, Metric, Point,
    PointId, Query, SearchParams, UpgradeInfo,
};
use bigrain_tests::{Db, Random};

use crate::learned::{DIMS, answers, both, recurrent, upsert};

/// A version whose weights differ a little, and that declares its parent.
fn next_version(parent: &Recurrent, levels: Levels, seed: u64) -> Recurrent {
    let mut random = Random::new(seed);
    let RecurrentParts { mut first, provenance, scoring, .. } = recurrent(levels).parts().clone();
    first.delta.iter_mut().zip(&parent.parts().first.delta).for_each(|(new, old)| *new = *old);
    let moved = random.vector(first.delta.len());
    first.delta.iter_mut().zip(moved).for_each(|(weight, x)| *weight += 0.004 * x);
    let mut parts = RecurrentParts { first, provenance, ..parent.parts().clone() };
    parts.provenance.parent = Some(Parent { space: parent.id(), scoring, translation: None });
    Recurrent::new(parts).unwrap()
}

fn learned(recurrent: &Recurrent) -> LearnedBinarizer {
    recurrent.clone().into()
}

/// A collection of two segments and a memtable, 1,300 points in all.
fn filled(levels: Levels) -> (Db, Recurrent) {
    let old = recurrent(levels);
    let field = FieldConfig::new("v", DIMS, Metric::Cosine).with_binarizer(learned(&old));
    let db = Db::temp(CollectionConfig::of(field), 10_000);
    upsert(&db, 0..600);
    db.collection().flush().unwrap();
    upsert(&db, 600..1200);
    db.collection().flush().unwrap();
    upsert(&db, 1200..1300);
    (db, old)
}

fn upgrade(db: &Db) -> Option<UpgradeInfo> {
    db.collection().info().fields[0].upgrade
}

/// The versions that a search met, memtables included.
fn versions(db: &Db) -> Vec<String> {
    let query = Query::new(Random::new(7).vector(DIMS));
    let params = SearchParams::new(3).unwrap().with_explain(true);
    let plan = db.collection().search(&query, &params).unwrap().plan.unwrap();
    plan.sources.into_iter().filter(|source| source.rows > 0).filter_map(|s| s.version).collect()
}

#[test]
fn one_query_finds_points_of_both_versions_while_segments_are_coded_anew() {
    let params = SearchParams::new(10).unwrap();
    for levels in [Levels::ONE, Levels::TWO] {
        let (mut db, old) = filled(levels);
        let new = next_version(&old, levels, 21);
        db.collection().upgrade_binarizer(None, learned(&new)).unwrap();
        upsert(&db, 1300..1400);
        assert!(db.delete(3) && db.delete(1250));
        let info = upgrade(&db).unwrap();
        assert_eq!((info.from, info.to), (old.id(), new.id()));
        assert_eq!((info.vectors_left, info.paused), (1300, false));

        let exact = answers(&db, params.with_exact(true));
        let (old, new) = (old.id().to_string(), new.id().to_string());
        let mut mixed = 0;
        loop {
            let found = (answers(&db, params), answers(&db, params.with_verify(false)));
            let (near, codes) = (both(&found.0, &exact), both(&found.1, &exact));
            assert!(near >= 215, "{near} of 250 verified, {:?}", versions(&db));
            assert!(codes >= 80, "{codes} of 250 by codes alone, {:?}", versions(&db));
            let versions = versions(&db);
            mixed += usize::from(versions.contains(&old) && versions.contains(&new));
            if !db.collection().upgrade_next(&Cancel::new()).unwrap() {
                break;
            }
            db.reopen();
        }
        assert!(mixed >= 3, "{mixed} times of both versions");
        assert_eq!(upgrade(&db), None);
        assert!(!versions(&db).contains(&old));
        // One segment of the new version probes other lists, and has the same codes.
        let codes = answers(&db, params.with_verify(false));
        db.collection().compact().unwrap();
        assert!(both(&answers(&db, params.with_verify(false)), &codes) >= 200);
        assert_eq!(answers(&db, params.with_exact(true)), exact);
    }
}

#[test]
fn searches_and_writes_go_on_during_an_upgrade() {
    let (db, old) = filled(Levels::TWO);
    let new = next_version(&old, Levels::TWO, 21);
    let (ended, params) = (AtomicBool::new(false), SearchParams::new(10).unwrap());
    thread::scope(|scope| {
        let search = |seed: u64| {
            let mut ids = Random::new(seed);
            loop {
                let last = ended.load(Ordering::Acquire);
                for _ in 0..20 {
                    let id = ids.below(1200);
                    let query = Query::new(Random::new(1000 + id).vector(DIMS));
                    let found = db.collection().search(&query, &params).unwrap().points;
                    assert_eq!((found.len(), &found[0].id), (10, &PointId::from(id)));
                }
                if last {
                    break;
                }
            }
        };
        let readers = [1, 2].map(|seed| scope.spawn(move || search(seed)));
        let writer = scope.spawn(|| {
            for start in (2000..2400).step_by(50) {
                upsert(&db, start..start + 50);
            }
        });
        db.collection().upgrade_binarizer(None, learned(&new)).unwrap();
        while db.collection().upgrade_next(&Cancel::new()).unwrap() {}
        writer.join().unwrap();
        db.collection().flush().unwrap();
        while db.collection().upgrade_next(&Cancel::new()).unwrap() {}
        ended.store(true, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert_eq!(upgrade(&db), None);
    assert_eq!(db.collection().info().points, 1700);
    for id in [0, 1299, 2000, 2399] {
        assert_eq!(db.nearest(&Random::new(1000 + id).vector(DIMS), 1), [id.into()]);
    }
}

#[test]
fn an_upgrade_is_paused_cancelled_and_goes_on_and_backups_hold_both_versions() {
    let (mut db, old) = filled(Levels::TWO);
    let new = next_version(&old, Levels::TWO, 21);
    db.collection().upgrade_binarizer(None, learned(&new)).unwrap();
    db.collection().pause_upgrade(None, true).unwrap();
    assert!(!db.collection().upgrade_next(&Cancel::new()).unwrap());
    db.reopen();
    db.collection().settle().unwrap();
    let info = upgrade(&db).unwrap();
    assert_eq!((info.vectors_left, info.paused), (1300, true));

    db.collection().pause_upgrade(None, false).unwrap();
    let cancelled = Cancel::new();
    cancelled.cancel();
    let error = db.collection().upgrade_next(&cancelled).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(upgrade(&db).unwrap().vectors_left, 1300);

    assert!(db.collection().upgrade_next(&Cancel::new()).unwrap());
    let params = SearchParams::new(10).unwrap().with_verify(false);
    let found = answers(&db, params);
    let db = db.restored();
    assert_eq!(answers(&db, params), found);
    assert_eq!(upgrade(&db).unwrap().vectors_left, 1200);
    db.collection().settle().unwrap();
    assert_eq!(upgrade(&db), None);
    assert_eq!(db.collection().config().first().unwrap().binarizer, Some(learned(&new)));
}

#[test]
fn only_the_version_that_training_declared_follows_and_one_at_a_time() {
    let (db, old) = filled(Levels::TWO);
    let new = next_version(&old, Levels::TWO, 21);
    let newest = next_version(&new, Levels::TWO, 22);
    let refused = |binarizer: &Recurrent| {
        let error = db.collection().upgrade_binarizer(None, learned(binarizer)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
        error.to_string()
    };
    let error = refused(&newest);
    assert!(error.contains(&format!("follow {}", new.id())), "{error}");
    let error = refused(&old);
    assert!(error.contains("follow no version"), "{error}");
    db.collection().upgrade_binarizer(None, learned(&new)).unwrap();
    let error = refused(&newest);
    assert!(error.contains("has not ended: 1300 vectors"), "{error}");
    while db.collection().upgrade_next(&Cancel::new()).unwrap() {}
    db.collection().upgrade_binarizer(None, learned(&newest)).unwrap();
    db.collection().settle().unwrap();
    assert_eq!(upgrade(&db), None);
    for id in [0, 700, 1299] {
        assert_eq!(db.nearest(&Random::new(1000 + id).vector(DIMS), 1), [id.into()]);
    }

    let rotated = Db::temp(CollectionConfig::new(DIMS, Metric::Cosine), 1000);
    let error = rotated.collection().upgrade_binarizer(None, learned(&new)).unwrap_err();
    assert!(error.to_string().contains("no learned binarizer"), "{error}");
    rotated.collection().upsert(vec![Point::new(1, Random::new(1).vector(DIMS))]).unwrap();
    let error = rotated.collection().upgrade_binarizer(Some("w"), learned(&new)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

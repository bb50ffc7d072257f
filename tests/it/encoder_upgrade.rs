//! A collection goes over to another encoder while it is searched and written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bigrain_binarize::{
    Fit, Parent, Recurrent, RecurrentLoop, RecurrentParts, ResidualMap, Rotation, Translation,
};
use bigrain_engine::{
    CollectionConfig, Diversity, ErrorKind, FieldConfig, Filter, LearnedBinarizer, Levels, Metric,
    Payload, PayloadUpdate, Point, PointId, Query, SearchParams, UpgradeInfo,
};
use bigrain_tests::{Db, Random};
use serde_json::json;

use crate::learned::{DIMS as FORMER, both, recurrent, upsert};

/// Components of the later encoder's vectors.
const LATER: usize = 112;

/// Where a component of the former encoder lies in the later one's vectors, and by which sign.
fn place(component: usize) -> (usize, f32) {
    ((component * 5) % LATER, if component.is_multiple_of(3) { -1.0 } else { 1.0 })
}

/// What the later encoder makes of what the former one makes `vector` of: the same in other places.
fn later(vector: &[f32]) -> Vec<f32> {
    let mut to = vec![0.0; LATER];
    for (component, value) in vector.iter().enumerate() {
        let (at, sign) = place(component);
        to[at] = sign * value;
    }
    to
}

/// The rotation as a matrix, `code x dims`, row after row.
fn matrix_of(dims: usize, code: usize, seed: u64) -> Vec<f32> {
    let rotation = Rotation::new(dims, seed).unwrap();
    let mut matrix = vec![0.0; code * dims];
    for column in 0..dims {
        let mut axis = vec![0.0; dims];
        axis[column] = 1.0;
        let mut rotated = vec![0.0; rotation.rotated_dims()];
        rotation.rotate(&axis, &mut rotated);
        (0..code).for_each(|row| matrix[row * dims + column] = rotated[row]);
    }
    matrix
}

/// The version for the later encoder whose codes are those of the former one.
fn next_version(parent: &Recurrent) -> Recurrent {
    let RecurrentParts { code_dims: code, seed, ref first, ref loops, .. } = *parent.parts();
    let (old, new) = (matrix_of(FORMER, code, seed), matrix_of(LATER, code, seed));
    let narrow = |map: &ResidualMap| {
        let mut delta: Vec<f32> = new.iter().map(|value| -value).collect();
        for row in 0..code {
            for column in 0..FORMER {
                let (at, sign) = place(column);
                let value = old[row * FORMER + column] + map.delta[row * FORMER + column];
                delta[row * LATER + at] += sign * value;
            }
        }
        ResidualMap { delta, ..ResidualMap::default() }
    };
    let widen = |map: &ResidualMap| {
        let mut delta = vec![0.0; LATER * code];
        for row in 0..code {
            (0..LATER).for_each(|at| delta[at * code + row] = -new[row * LATER + at]);
            for column in 0..FORMER {
                let (at, sign) = place(column);
                let value = old[row * FORMER + column] + map.delta[column * code + row];
                delta[at * code + row] += sign * value;
            }
        }
        ResidualMap { delta, ..ResidualMap::default() }
    };
    let each = |each: &RecurrentLoop| RecurrentLoop {
        rebuild: widen(&each.rebuild),
        residual: narrow(&each.residual),
    };
    let mut map = vec![0.0; FORMER * LATER];
    for component in 0..FORMER {
        let (at, sign) = place(component);
        map[component * LATER + at] = sign;
    }
    let fit = Fit { slope: 1.0, intercept: 0.0, error: 0.001 };
    let scoring = parent.parts().scoring;
    let translation = Some(Translation { dims: FORMER, map, fit });
    let mut parts = RecurrentParts {
        dims: LATER,
        first: narrow(first),
        loops: loops.iter().map(each).collect(),
        ..parent.parts().clone()
    };
    parts.provenance.parent = Some(Parent { space: parent.id(), scoring, translation });
    Recurrent::new(parts).unwrap()
}

fn field(recurrent: &Recurrent) -> FieldConfig {
    let binarizer = LearnedBinarizer::from(recurrent.clone());
    FieldConfig::new("v", binarizer.dims(), Metric::Cosine).with_binarizer(binarizer)
}

/// A collection of two segments and a memtable, 700 points in all.
fn filled(levels: Levels) -> (Db, Recurrent) {
    let old = recurrent(levels);
    let config =
        CollectionConfig::of(field(&old)).with_field(FieldConfig::new("other", 3, Metric::Dot));
    let db = Db::temp(config, 10_000);
    upsert(&db, 0..300);
    db.collection().flush().unwrap();
    upsert(&db, 300..600);
    db.collection().flush().unwrap();
    upsert(&db, 600..700);
    (db, old)
}

/// Gives points their vectors of the later encoder.
fn move_over(db: &Db, ids: impl Iterator<Item = u64>) {
    let point = |id| Point::new(id, later(&Random::new(1000 + id).vector(FORMER)));
    let moved = db.collection().update_vectors(&ids.map(point).collect::<Vec<_>>()).unwrap();
    assert_eq!(moved.missing, 0);
}

/// The ids of the ten points nearest to some queries, asked as the later encoder has them or the former one.
fn answers(
    db: &Db,
    params: SearchParams,
    encode: impl Fn(&[f32]) -> Vec<f32>,
) -> Vec<Vec<PointId>> {
    let search = |seed| {
        let query = Query::new(encode(&Random::new(seed).vector(FORMER)));
        let points = db.collection().search(&query, &params).unwrap().points;
        points.into_iter().map(|point| point.id).collect()
    };
    (0..25).map(search).collect()
}

fn upgrade(db: &Db) -> Option<UpgradeInfo> {
    db.collection().info().fields[0].upgrade
}

#[test]
fn one_query_finds_points_of_both_encoders_while_they_go_over() {
    let params = SearchParams::new(10).unwrap();
    for levels in [Levels::ONE, Levels::TWO] {
        let (mut db, old) = filled(levels);
        let exact = answers(&db, params.with_exact(true), <[f32]>::to_vec);
        let new = next_version(&old);
        db.collection().upgrade_encoder(Some("v"), field(&new)).unwrap();
        let names: Vec<String> =
            db.collection().config().field_names().map(str::to_owned).collect();
        assert_eq!(names, ["v", "other", "v-former"]);
        for step in 0..=7 {
            let info = upgrade(&db).unwrap();
            assert_eq!((info.from, info.to, info.of_other_encoder), (old.id(), new.id(), true));
            assert_eq!(info.vectors_left, 700 - 100 * step);
            assert_eq!(answers(&db, params.with_exact(true), later), exact, "step {step}");
            let (near, codes) =
                (answers(&db, params, later), answers(&db, params.with_verify(false), later));
            assert!(both(&near, &exact) >= 215, "{} of 250, step {step}", both(&near, &exact));
            assert!(both(&codes, &exact) >= 80, "{} of 250, step {step}", both(&codes, &exact));
            if step < 7 {
                // Some of each segment and of the memtable.
                move_over(&db, (0..100).map(|at| step + 7 * at));
            }
            match step % 3 {
                0 => db.reopen(),
                1 => db.collection().flush().unwrap(),
                _ => db.collection().compact().unwrap(),
            }
        }
        db.collection().finish_upgrade(None).unwrap();
        assert_eq!((upgrade(&db), db.collection().config().fields().len()), (None, 2));
        db.reopen();
        assert_eq!(db.collection().config().first().unwrap().name, "v");
        assert_eq!(answers(&db, params.with_exact(true), later), exact);
        assert_eq!(db.collection().info().points, 700);
    }
}

#[test]
fn a_point_has_a_vector_of_one_encoder_and_payloads_and_filters_stay() {
    let (db, old) = filled(Levels::TWO);
    db.collection().upgrade_encoder(None, field(&next_version(&old))).unwrap();
    move_over(&db, [5, 650].into_iter());
    let update = PayloadUpdate::Merge(Payload::new().with("kind", "b"));
    db.collection().update_payload(&[5.into(), 6.into(), 660.into()], &update).unwrap();
    let fields = |id: u64| -> Vec<String> {
        let point = db.collection().get(&[id.into()]).unwrap().remove(0).unwrap();
        point.vectors.iter().map(|vector| vector.field.to_string()).collect()
    };
    for (id, expected) in [(5, "v"), (650, "v"), (6, "v-former"), (660, "v-former")] {
        assert_eq!(fields(id), [expected], "{id}");
    }
    assert_eq!(upgrade(&db).unwrap().vectors_left, 698);
    // A point that is written whole has no former vector any more, and one that is deleted none at all.
    db.collection().upsert(vec![Point::new(6, later(&Random::new(1006).vector(FORMER)))]).unwrap();
    assert_eq!(fields(6), ["v"]);
    assert!(db.delete(7));
    assert_eq!(upgrade(&db).unwrap().vectors_left, 696);
    let filter = json!({"field": "kind", "eq": "b"});
    let filter = Filter::from_value(&filter).unwrap();
    let query = Query::new(later(&Random::new(1660).vector(FORMER))).with_filter(filter);
    let params = SearchParams::new(10).unwrap().with_payload(true).with_explain(true);
    let output = db.collection().search(&query, &params).unwrap();
    let mut found: Vec<PointId> = output.points.into_iter().map(|point| point.id).collect();
    assert_eq!(found.remove(0), PointId::from(660));
    assert_eq!(found, [PointId::from(5)]);
    let plan = output.plan.unwrap();
    assert_eq!((&*plan.field, plan.parts.len()), ("v", 1));
    let part = &plan.parts[0];
    assert!(part.field == "v-former" && part.method.contains("translation"), "{plan}");
    assert!(
        part.sources.iter().any(|source| source.version == Some(old.id().to_string())),
        "{plan}"
    );
}

#[test]
fn what_does_not_go_with_two_encoders_is_refused_and_changes_nothing() {
    let (db, old) = filled(Levels::TWO);
    let new = next_version(&old);
    let collection = db.collection();
    let refused = |outcome: bigrain_engine::Result<()>, reason: &str| {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    refused(collection.finish_upgrade(None), "follows no other one");
    let other = next_version(&recurrent(Levels::ONE));
    refused(collection.upgrade_encoder(None, field(&other)), "was trained to follow another");
    refused(collection.upgrade_binarizer(None, new.clone().into()), "vectors of another encoder");
    collection.upgrade_encoder(None, field(&new)).unwrap();
    refused(collection.upgrade_encoder(None, field(&new)), "has not ended");
    refused(collection.finish_upgrade(None), "700 points have vectors of the former encoder");
    refused(collection.drop_field("v"), "drop \"v-former\" before it");
    let former = || Point::new(9, Random::new(9).vector(FORMER));
    refused(collection.upsert(vec![former()]).map(drop), "dimension");
    let named = || Point::empty(9).with_vector("v-former", Random::new(9).vector(FORMER));
    refused(collection.upsert(vec![named()]).map(drop), "takes no more vectors");
    refused(collection.update_vectors(&[named()]).map(drop), "takes no more vectors");
    let query = || Query::new(later(&Random::new(1).vector(FORMER)));
    let diverse = SearchParams::new(3).unwrap().with_diversity(Some(Diversity::new(0.5).unwrap()));
    refused(collection.search(&query(), &diverse).map(drop), "one encoder");
    assert_eq!(upgrade(&db).unwrap().vectors_left, 700);
    // Who still has queries of the former encoder finds what has not gone over.
    move_over(&db, [3].into_iter());
    let former = Query::new(Random::new(1004).vector(FORMER)).in_field("v-former");
    let found = collection.search(&former, &SearchParams::new(1).unwrap()).unwrap().points;
    assert_eq!(found[0].id, PointId::from(4));
    // Whoever gives the rest up drops it.
    collection.drop_field("v-former").unwrap();
    let found = collection.search(&query(), &SearchParams::new(10).unwrap()).unwrap().points;
    assert_eq!(found.into_iter().map(|point| point.id).collect::<Vec<_>>(), [PointId::from(3)]);
    assert_eq!((upgrade(&db), collection.info().points), (None, 700));
}

#[test]
fn backups_hold_both_encoders() {
    let (db, old) = filled(Levels::TWO);
    db.collection().upgrade_encoder(None, field(&next_version(&old))).unwrap();
    move_over(&db, 0..350);
    let params = SearchParams::new(10).unwrap();
    let found = answers(&db, params, later);
    let db = db.restored();
    assert_eq!(answers(&db, params, later), found);
    assert_eq!(upgrade(&db).unwrap().vectors_left, 350);
    move_over(&db, 350..700);
    db.collection().finish_upgrade(None).unwrap();
}

#[test]
fn searches_and_writes_go_on_while_points_go_over() {
    let (db, old) = filled(Levels::TWO);
    let (ended, params) = (AtomicBool::new(false), SearchParams::new(10).unwrap());
    db.collection().upgrade_encoder(None, field(&next_version(&old))).unwrap();
    thread::scope(|scope| {
        let search = |seed: u64| {
            let mut ids = Random::new(seed);
            loop {
                let last = ended.load(Ordering::Acquire);
                for _ in 0..20 {
                    let id = ids.below(700);
                    let query = Query::new(later(&Random::new(1000 + id).vector(FORMER)));
                    let found = db.collection().search(&query, &params).unwrap().points;
                    assert_eq!((found.len(), &found[0].id), (10, &PointId::from(id)));
                    let mut ids: Vec<&PointId> = found.iter().map(|point| &point.id).collect();
                    ids.sort();
                    ids.dedup();
                    assert_eq!(ids.len(), 10, "a point counts once");
                }
                if last {
                    break;
                }
            }
        };
        let readers = [1, 2].map(|seed| scope.spawn(move || search(seed)));
        for start in (0..700).step_by(20) {
            move_over(&db, start..start + 20);
            if start % 200 == 0 {
                db.collection().flush().unwrap();
            }
        }
        db.collection().finish_upgrade(None).unwrap();
        ended.store(true, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert_eq!((upgrade(&db), db.collection().info().points), (None, 700));
}

/// What an encoder makes of the same whose similarities are of another size: every vector has something in common
/// with every other.
fn narrow(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter().map(|value| value / length).chain([2.0]).collect()
}

/// As [`filled`], with codes that nobody has trained.
fn filled_by_rotation() -> Db {
    let db = Db::temp(CollectionConfig::of(FieldConfig::new("v", FORMER, Metric::Cosine)), 10_000);
    upsert(&db, 0..300);
    db.collection().flush().unwrap();
    upsert(&db, 300..700);
    db
}

fn narrowed(id: u64) -> Point {
    Point::new(id, narrow(&Random::new(1000 + id).vector(FORMER)))
}

/// A query as both encoders have it.
fn of_both(seed: u64) -> Query {
    let vector = Random::new(seed).vector(FORMER);
    Query::new(narrow(&vector)).with_former_vector(vector)
}

#[test]
fn encoders_that_nothing_was_learned_of_are_asked_with_a_vector_each() {
    let params = SearchParams::new(10).unwrap();
    let mut db = filled_by_rotation();
    let exact = answers(&db, params.with_exact(true), <[f32]>::to_vec);
    let later = FieldConfig::new("v", FORMER + 1, Metric::Cosine);
    db.collection().upgrade_encoder(None, later).unwrap();
    for step in 0..=7 {
        assert_eq!(upgrade(&db).unwrap().vectors_left, 700 - 100 * step);
        for (params, least) in
            [(params.with_exact(true), 205), (params, 200), (params.with_verify(false), 75)]
        {
            let found: Vec<Vec<PointId>> = (0..25)
                .map(|seed| {
                    let points = db.collection().search(&of_both(seed), &params).unwrap().points;
                    points.into_iter().map(|point| point.id).collect()
                })
                .collect();
            assert!(found.iter().all(|ids| ids.len() == 10), "step {step}");
            let both = both(&found, &exact);
            assert!(both >= least, "{both} of 250, step {step}, {params:?}");
        }
        // What a query is about comes first, whichever encoder it is of.
        for id in (0..700).step_by(50) {
            let found = db.collection().search(&of_both(1000 + id), &params).unwrap().points;
            assert_eq!(found[0].id, PointId::from(id), "step {step}");
        }
        if step < 7 {
            let moved: Vec<Point> = (0..100).map(|at| narrowed(step + 7 * at)).collect();
            assert_eq!(db.collection().update_vectors(&moved).unwrap().missing, 0);
        }
        match step % 3 {
            0 => db.reopen(),
            1 => db.collection().flush().unwrap(),
            _ => db.collection().compact().unwrap(),
        }
    }
    db.collection().finish_upgrade(None).unwrap();
    // From now on the former vector is not looked at, nor is one missed.
    let one = Query::new(narrow(&Random::new(3).vector(FORMER)));
    let search = |query: &Query| db.collection().search(query, &params).unwrap().points;
    assert_eq!(search(&one), search(&one.clone().with_former_vector(vec![1.0])));
}

#[test]
fn a_query_of_one_encoder_is_refused_while_points_are_of_two() {
    let db = filled_by_rotation();
    let collection = db.collection();
    collection.upgrade_encoder(None, FieldConfig::new("v", FORMER + 1, Metric::Cosine)).unwrap();
    collection.update_vectors(&[narrowed(3), narrowed(4)]).unwrap();
    let params = SearchParams::new(3).unwrap().with_explain(true);
    let refused = |query: &Query, kind, reason: &str| {
        let error = collection.search(query, &params).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    let later = || Query::new(narrow(&Random::new(3).vector(FORMER)));
    refused(&later(), ErrorKind::FailedPrecondition, "\"v-former\"");
    let wrong = later().with_former_vector(vec![1.0; FORMER + 1]);
    refused(&wrong, ErrorKind::FailedPrecondition, "dimension");
    let wrong = later().with_former_vector(vec![f32::NAN; FORMER]);
    refused(&wrong, ErrorKind::InvalidArgument, "");
    // By a filter: so few that no line can be laid through them, and of which one is of the former encoder.
    let update = PayloadUpdate::Merge(Payload::new().with("kind", "b"));
    collection.update_payload(&[4.into(), 9.into()], &update).unwrap();
    let filter = Filter::from_value(&json!({"field": "kind", "eq": "b"})).unwrap();
    let output = collection.search(&of_both(1004).with_filter(filter), &params).unwrap();
    let found: Vec<PointId> = output.points.iter().map(|point| point.id.clone()).collect();
    assert_eq!(found, [PointId::from(4), PointId::from(9)]);
    let plan = output.plan.unwrap();
    assert!(plan.parts[0].method.contains("the query's own of that"), "{plan}");
}

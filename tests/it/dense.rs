//! Dense formats and ways of reading, through the engine: what is stored is what is scored and given
//! back, and how it was read changes nothing.

use bigrain_engine::{
    CollectionConfig, DenseFormat, Engine, EngineConfig, ErrorKind, Metric, Point, PointId, Query,
    SearchParams, VerifyIo,
};
use bigrain_tests::{Db, Random};

const DIMS: usize = 48;
const ROWS: u64 = 600;

fn flushed(dense: DenseFormat, metric: Metric) -> Db {
    let db = Db::temp(CollectionConfig::new(DIMS, metric).with_dense(dense), 10_000);
    let mut random = Random::new(11);
    let points = (0..ROWS).map(|id| Point::new(id, random.vector(DIMS))).collect();
    db.collection().upsert(points).unwrap();
    db.collection().flush().unwrap();
    db
}

/// What an explanation says of where vectors come from, for each way of reading.
fn expected_reads(verify_io: VerifyIo, exact: bool) -> &'static [&'static str] {
    match verify_io {
        _ if exact => &["map"],
        VerifyIo::Map => &["map"],
        VerifyIo::Uring => &["io_uring"],
        VerifyIo::Pread => &["pool of threads"],
        // As the file lies in memory.
        VerifyIo::Auto | _ => &[
            "map",
            "map where in memory, else io_uring",
            "map where in memory, else pool of threads",
        ],
    }
}

/// Returns ids and scores of a search, with every way of reading that this machine has.
fn search_every_way(db: &mut Db, params: &SearchParams) -> Vec<Vec<(PointId, f32)>> {
    let query = Query::new(Random::new(99).vector(DIMS));
    db.close();
    let mut found = Vec::new();
    for verify_io in [VerifyIo::Auto, VerifyIo::Map, VerifyIo::Uring, VerifyIo::Pread] {
        let config = EngineConfig { verify_io, threads: 2, ..EngineConfig::default() };
        let engine = match Engine::open(db.path(), config) {
            Err(error) if verify_io == VerifyIo::Uring => {
                println!("skipped: {error}");
                continue;
            }
            engine => engine.unwrap(),
        };
        let params = params.with_explain(true);
        let output = engine.collection("c").unwrap().search(&query, &params).unwrap();
        let reads = output.plan.unwrap().sources[0].reads.clone().unwrap();
        let expected = expected_reads(verify_io, params.exact());
        assert!(expected.contains(&&*reads), "{verify_io}: {reads}");
        assert!(output.stats.bytes_read > 0 && output.stats.rows_read >= 10);
        found.push(output.points.into_iter().map(|point| (point.id, point.score)).collect());
    }
    found
}

#[test]
fn the_way_rows_are_read_changes_nothing() {
    for dense in [DenseFormat::F32, DenseFormat::F16, DenseFormat::I8] {
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let mut db = flushed(dense, metric);
            let params = SearchParams::new(10).unwrap();
            let found = search_every_way(&mut db, &params);
            assert!(found.iter().all(|one| *one == found[0]), "{dense} {metric}: {found:?}");
            // Every one of them is scored when all are wanted, and then both methods agree.
            let all = SearchParams::new(ROWS as usize).unwrap();
            let through_codes = search_every_way(&mut db, &all);
            let exact = search_every_way(&mut db, &all.with_exact(true));
            assert_eq!(through_codes[0], exact[0], "{dense} {metric}");
        }
    }
}

#[test]
fn vectors_given_back_are_the_stored_ones() {
    let ids: Vec<PointId> = (0..ROWS).map(PointId::from).collect();
    for (dense, step) in
        [(DenseFormat::F32, 0.0), (DenseFormat::F16, 1e-3), (DenseFormat::I8, 5e-3)]
    {
        let db = flushed(dense, Metric::Dot);
        let stored = |db: &Db| -> Vec<Vec<f32>> {
            let points = db.collection().get(&ids).unwrap();
            points.into_iter().map(|point| point.unwrap().vectors.remove(0).values).collect()
        };
        let first = stored(&db);
        let mut random = Random::new(11);
        for row in &first {
            let given = random.vector(DIMS);
            let largest = given.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= step * largest;
            assert!(row.iter().zip(&given).all(close), "{dense}");
        }
        assert_eq!(dense == DenseFormat::F32, first[0] == Random::new(11).vector(DIMS));
        // Written again and flushed again, they have not moved.
        let points = ids.iter().zip(&first).map(|(id, row)| Point::new(id.clone(), row.clone()));
        db.collection().upsert(points.collect()).unwrap();
        db.collection().flush().unwrap();
        assert_eq!(stored(&db), first, "{dense}");
    }
}

#[test]
fn a_component_that_a_half_cannot_hold_is_refused_at_the_door() {
    let config = CollectionConfig::new(2, Metric::L2).with_dense(DenseFormat::F16);
    let db = Db::temp(config, 100);
    let error = db.collection().upsert(vec![Point::new(1, vec![0.0, 1e5])]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("component 1 is 100000: f16 reaches to 65504"), "{error}");
    assert_eq!(db.collection().count(), 0);
}

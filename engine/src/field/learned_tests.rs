use bigrain_binarize::{
    Fit, HiddenLayer, Provenance, RecurrentLoop, RecurrentParts, ResidualMap, Scoring,
};
use bigrain_types::{Levels, Metric, SearchParams};

use super::*;
use crate::{CollectionConfig, Engine, EngineConfig, FieldConfig, Point, Query};

const DIMS: usize = 96;
const ROWS: u64 = 700;

/// Numbers in -1..1, the same in every run.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| number()).collect()
}

/// A binarizer that is the rotation and a little noise.
fn learned(levels: Levels) -> LearnedBinarizer {
    let map = |inputs: usize, outputs: usize| ResidualMap {
        delta: numbers(inputs * outputs, 1).iter().map(|x| 0.01 * x).collect(),
        bias: Vec::new(),
        hidden: Some(HiddenLayer {
            into: numbers(4 * inputs, 2),
            bias: vec![0.0; 4],
            out: vec![0.001; 4 * outputs],
        }),
    };
    let each = RecurrentLoop { rebuild: map(128, DIMS), residual: map(DIMS, 128) };
    // About what it takes with nearly nothing learned.
    let fit = |levels: usize| {
        let (slope, error) = [(1.25, 0.09), (1.06, 0.05), (1.02, 0.03)][levels - 1];
        Fit { slope, intercept: 0.0, error }
    };
    let parts = RecurrentParts {
        dims: DIMS,
        code_dims: 128,
        levels,
        seed: 9,
        first: map(DIMS, 128),
        loops: vec![each; levels.count() - 1],
        scoring: Scoring { full: fit(levels.count()), sign: fit(1) },
        provenance: Provenance::default(),
    };
    Recurrent::new(parts).unwrap().into()
}

fn config(levels: Levels) -> FieldConfig {
    FieldConfig::new("vector", DIMS, Metric::Cosine).with_binarizer(learned(levels))
}

fn points() -> Vec<Point> {
    (0..ROWS).map(|id| Point::new(id, numbers(DIMS, 1000 + id as u32))).collect()
}

#[test]
fn a_field_with_a_learned_binarizer_finds_what_an_exact_search_finds_before_and_after_a_flush() {
    for levels in [Levels::ONE, Levels::TWO, Levels::ALL[2]] {
        let folder = tempfile::tempdir().unwrap();
        let open = || Engine::open(folder.path(), EngineConfig::default()).unwrap();
        let engine = open();
        let config = CollectionConfig::of(config(levels));
        let points_of = engine.create_collection("points", config.clone()).unwrap();
        points_of.upsert(points()).unwrap();
        let recall = |collection: &crate::Collection, verify: bool| {
            let mut found = 0;
            for seed in 0..20 {
                let query = Query::new(numbers(DIMS, 9000 + seed));
                let params = SearchParams::new(10).unwrap();
                let ids = |params| {
                    let output = collection.search(&query, &params).unwrap();
                    output.points.into_iter().map(|point| point.id).collect::<Vec<_>>()
                };
                let truth = ids(params.with_exact(true));
                let near = ids(params.with_verify(verify));
                assert_eq!(near.len(), 10);
                found += near.iter().filter(|id| truth.contains(id)).count();
            }
            found
        };
        assert!(recall(&points_of, true) >= 190, "in memory");
        points_of.flush().unwrap();
        assert!(recall(&points_of, true) >= 170, "in a segment");
        assert!(recall(&points_of, false) >= 70, "by codes alone");
        drop((points_of, engine));

        let engine = open();
        let again = engine.collection("points").unwrap();
        assert_eq!(again.config(), config);
        assert!(recall(&again, true) >= 170, "opened again");
    }
}

#[test]
fn binarizers_of_other_vectors_are_refused_by_name() {
    let refused = |config: FieldConfig| config.validate().unwrap_err().to_string();
    let dot = FieldConfig { metric: Metric::Dot, ..config(Levels::TWO) };
    assert_eq!(refused(dot), "learned binarizer compares by cosine, the field by dot");
    let wide = FieldConfig { dims: 97, ..config(Levels::TWO) };
    assert_eq!(refused(wide), "learned binarizer takes 96 dims, the field has 97");
    let levels = config(Levels::TWO).with_levels(Levels::ONE);
    assert_eq!(refused(levels), "learned binarizer has 2 levels, the field 1");
    assert!(LearnedBinarizer::from_bytes(b"nothing").is_err());
}

#[test]
fn a_stored_configuration_gives_the_binarizer_back_and_a_damaged_one_is_refused() {
    let config = config(Levels::TWO);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<FieldConfig>(&json).unwrap(), config);
    let damaged = json.replacen("AAAA", "AAAB", 1);
    assert_ne!(damaged, json);
    assert!(serde_json::from_str::<FieldConfig>(&damaged).is_err());
}

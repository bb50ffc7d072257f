use std::sync::Arc;

use bigrain_binarize::{Binarizer, QueryWidth};

use super::*;
use crate::support::random;
use crate::{DocumentCodes, fit_crossing, fit_scores};

const DIMS: usize = 64;

/// Documents, and queries that are their right document seen through a fixed distortion and noise: the
/// first half of the components is what tells documents apart, the other half is loud and tells nothing.
struct Toy {
    documents: Vec<f32>,
    queries: Vec<f32>,
    right: Vec<u32>,
}

impl Toy {
    fn new(count: usize, seed: u64) -> Self {
        let (meaning, noise) = (random(count, DIMS, seed), random(2 * count, DIMS, seed + 1));
        let row = |document: usize, noisy: usize| {
            let half = DIMS / 2;
            let values = (0..DIMS).map(|dim| match dim < half {
                true => meaning.row(document)[dim],
                false => 1.5 * noise.row(noisy)[dim],
            });
            values.collect::<Vec<f32>>()
        };
        let unit = |rows: Vec<f32>| {
            let mut matrix = Matrix { rows: count, cols: DIMS, values: rows };
            matrix.normalize_rows();
            matrix.values
        };
        Self {
            documents: unit((0..count).flat_map(|at| row(at, at)).collect()),
            queries: unit((0..count).flat_map(|at| row(at, count + at)).collect()),
            right: (0..count as u32).collect(),
        }
    }

    fn examples(&self) -> Examples<'_> {
        let Self { documents, queries, right } = self;
        Examples { dims: DIMS, documents, queries, right }
    }
}

/// Small enough for tests.
fn config(steps: u32) -> TrainConfig {
    TrainConfig { steps, batch: 64, mine_every: 20, mined: 3, rate: 3e-3, ..TrainConfig::default() }
}

fn trained(config: TrainConfig, examples: Examples<'_>) -> Recurrent {
    let mut trainer = Trainer::new(config, examples).unwrap();
    while !trainer.is_done() {
        trainer.advance().unwrap();
    }
    trainer.export().unwrap()
}

fn hits(binarizer: &Binarizer, toy: &Toy) -> usize {
    crossed_hits(binarizer, binarizer, toy)
}

/// The right documents that queries of one binarizer find among codes of another one.
fn crossed_hits(asking: &Binarizer, coding: &Binarizer, toy: &Toy) -> usize {
    let codes = DocumentCodes::new(coding, &toy.documents).asked_by(asking);
    let ranks = codes.ranks(&toy.queries, &toy.right, QueryWidth::DEFAULT).unwrap();
    ranks.iter().filter(|&&rank| rank < 10).count()
}

#[test]
fn before_the_first_step_the_codes_are_those_of_the_rotation() {
    let toy = Toy::new(300, 1);
    for levels in Levels::ALL {
        for size in [Size::Linear, Size::Thin] {
            let config = TrainConfig { levels, size, ..config(1) };
            let seed = config.rotation_seed;
            let exported = Trainer::new(config, toy.examples()).unwrap().export().unwrap();
            let metric = bigrain_types::Metric::Cosine;
            let rotation = Binarizer::new_rotation(DIMS, levels, metric, seed).unwrap();
            let learned = Binarizer::new_recurrent(Arc::new(exported));
            let (mut ours, mut theirs) =
                (vec![0; learned.layout().words()], vec![0; levels.count()]);
            for row in toy.documents.chunks_exact(DIMS) {
                learned.encode(row, &mut Default::default(), &mut ours);
                rotation.encode(row, &mut Default::default(), &mut theirs);
                assert_eq!(ours[0], theirs[0], "{levels:?} {size:?}");
            }
        }
    }
}

#[test]
fn before_the_first_step_recall_is_within_half_a_point_of_the_rotations() {
    const ROWS: usize = 4000;
    const WIDE: usize = 128;
    const QUERIES: usize = 400;
    let metric = bigrain_types::Metric::Cosine;
    let mut rows = random(ROWS, WIDE, 5);
    rows.normalize_rows();
    let queries = &rows.values[..QUERIES * WIDE];
    let own: Vec<u32> = (0..QUERIES as u32).collect();
    let truth: Vec<Vec<u32>> = (0..QUERIES)
        .map(|query| {
            let mut nearest = bigrain_kernels::TopK::new(10);
            for row in (0..ROWS).filter(|&row| row != query) {
                nearest.push(bigrain_kernels::dot(rows.row(query), rows.row(row)), row as u32);
            }
            nearest.into_sorted().into_iter().map(|scored| scored.offset).collect()
        })
        .collect();
    let recall = |binarizer: &Binarizer| {
        // So many that no result is missed by its signs.
        let found = DocumentCodes::new(binarizer, &rows.values).nearest(queries, &own, ROWS / 4);
        let found = found.unwrap();
        let both = truth.iter().zip(&found);
        let both = both.map(|(t, f)| t.iter().filter(|at| f[..10].contains(at)).count());
        both.sum::<usize>() as f64 / (10 * QUERIES) as f64
    };
    for levels in [Levels::TWO, Levels::ALL[2], Levels::ALL[3]] {
        let config = TrainConfig { levels, ..config(1) };
        let examples = Examples { dims: WIDE, documents: &rows.values, queries: &[], right: &[] };
        let rotation = Binarizer::new_rotation(WIDE, levels, metric, config.rotation_seed).unwrap();
        let exported = Trainer::new(config, examples).unwrap().export().unwrap();
        let (before, after) =
            (recall(&rotation), recall(&Binarizer::new_recurrent(Arc::new(exported))));
        // The rotation fits the scale of each vector, which tells where codes are finest and rows are normal.
        let allowed = if levels.count() < 4 { 0.005 } else { 0.0125 };
        let figures = format!("{levels:?}: {before} by the rotation, {after}");
        assert!((after - before).abs() <= allowed, "{figures}");
    }
}

#[test]
fn training_on_pairs_finds_more_of_held_out_pairs_than_the_rotation() {
    let (toy, held_out) = (Toy::new(600, 1), Toy::new(400, 77));
    for (size, negatives) in [(Size::Linear, Negatives::All), (Size::Thin, Negatives::Hardest(5))] {
        let config = TrainConfig { size, negatives, ..config(120) };
        let metric = bigrain_types::Metric::Cosine;
        let rotation =
            Binarizer::new_rotation(DIMS, config.levels, metric, config.rotation_seed).unwrap();
        let recurrent = trained(config, toy.examples());
        let fitted = fit_scores(&recurrent, &held_out.documents, 1).unwrap();
        let learned = Binarizer::new_recurrent(Arc::new(fitted));
        let (before, after) = (hits(&rotation, &held_out), hits(&learned, &held_out));
        assert!(after > before + 20, "{size:?}: {before} before, {after} after");
    }
}

#[test]
fn a_training_with_a_queue_finds_more_of_held_out_pairs_than_the_rotation() {
    let (toy, held_out) = (Toy::new(600, 1), Toy::new(400, 77));
    for queries in [QueryForm::Projected, QueryForm::Coded] {
        let config = TrainConfig { queries, mined: 0, averaging: 0.9, queue: 256, ..config(120) };
        let metric = bigrain_types::Metric::Cosine;
        let rotation =
            Binarizer::new_rotation(DIMS, config.levels, metric, config.rotation_seed).unwrap();
        let mut trainer = Trainer::new(config, toy.examples()).unwrap();
        let mut losses = Vec::new();
        while !trainer.is_done() {
            losses.push(trainer.advance().unwrap().loss);
        }
        // Four batches fill it, and each makes it harder.
        assert!(losses[3] > losses[0] + 0.2, "{:?}", &losses[..5]);
        assert_eq!(trainer.queue.as_ref().map(|queue| queue.documents().len()), Some(256));
        let fitted = fit_scores(&trainer.export().unwrap(), &held_out.documents, 1).unwrap();
        let learned = Binarizer::new_recurrent(Arc::new(fitted));
        let (before, after) = (hits(&rotation, &held_out), hits(&learned, &held_out));
        assert!(after > before + 20, "{queries:?}: {before} before, {after} after");
    }
}

#[test]
fn queries_of_a_compatible_version_find_documents_by_old_codes_new_codes_and_both() {
    let (toy, held_out) = (Toy::new(600, 1), Toy::new(400, 77));
    for queries in [QueryForm::Projected, QueryForm::Coded] {
        let config = |steps, seed| TrainConfig { queries, seed, ..config(steps) };
        let parent = trained(config(30, 1), toy.examples());
        let parent = fit_scores(&parent, &held_out.documents, 1).unwrap();
        let mut trainer = Trainer::compatible(config(150, 2), toy.examples(), &parent).unwrap();
        assert_eq!(trainer.parent(), Some(parent.id()));
        while !trainer.is_done() {
            trainer.advance().unwrap();
        }
        let child = fit_scores(&trainer.export().unwrap(), &held_out.documents, 1).unwrap();
        let child = fit_crossing(&child, &parent, &held_out.documents, 1).unwrap();
        assert_eq!(child.parts().provenance.parent.as_ref().unwrap().space, parent.id());
        let other = TrainConfig { rotation_seed: 99, ..config(150, 2) };
        let stranger = Binarizer::new_recurrent(Arc::new(trained(other, toy.examples())));
        let [old, new] = [parent, child].map(|each| Binarizer::new_recurrent(Arc::new(each)));

        let (before, after) = (hits(&old, &held_out), hits(&new, &held_out));
        let crossed = crossed_hits(&new, &old, &held_out);
        let codes = [&old, &new].map(|each| DocumentCodes::new(each, &held_out.documents));
        let [old_codes, new_codes] = codes.map(|codes| codes.asked_by(&new));
        let (asked, right) = (&held_out.queries, &held_out.right);
        let mixed = old_codes.mixed_ranks(&new_codes, |row| row % 2 == 0, asked, right).unwrap();
        let mixed = mixed.iter().filter(|&&rank| rank < 10).count();
        let figures = format!("{queries:?}: {before}, {crossed} crossed, {mixed} mixed, {after}");
        assert!(after > before && crossed >= before && mixed >= before, "{figures}");
        let undeclared = crossed_hits(&stranger, &old, &held_out);
        assert!(2 * undeclared < before, "{figures}, {undeclared} of another training");
    }
}

#[test]
fn a_training_without_pairs_comes_nearer_to_the_order_of_floats() {
    let toy = Toy::new(400, 1);
    let examples = Examples { queries: &[], right: &[], ..toy.examples() };
    let mut trainer = Trainer::new(TrainConfig { batch: 256, ..config(60) }, examples).unwrap();
    let mut losses = Vec::new();
    while !trainer.is_done() {
        losses.push(trainer.advance().unwrap().loss);
    }
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..10]), mean(&losses[50..]));
    assert!(last < 0.8 * first, "{first} at first, {last} at last");
}

#[test]
fn the_same_seed_gives_the_same_weights_and_a_resumed_training_too() {
    let toy = Toy::new(200, 1);
    // After 20 steps of 128 rows the queue has gone round, and is in the middle.
    let config = TrainConfig { averaging: 0.9, queue: 300, size: Size::Thin, ..config(45) };
    let expected = trained(config.clone(), toy.examples());
    let mut first = Trainer::new(config.clone(), toy.examples()).unwrap();
    let mut kept = Vec::new();
    for _ in 0..30 {
        if first.advance().unwrap().settled {
            kept = first.checkpoint();
        }
    }
    let mut second = Trainer::new(config.clone(), toy.examples()).unwrap();
    second.resume(&kept).unwrap();
    assert_eq!(second.step(), 20);
    while !second.is_done() {
        second.advance().unwrap();
    }
    assert_eq!(second.export().unwrap().parts(), expected.parts());

    let other = TrainConfig { seed: 2, ..config };
    assert_ne!(trained(other.clone(), toy.examples()).id(), expected.id());
    let mut third = Trainer::new(other, toy.examples()).unwrap();
    let error = third.resume(&kept).unwrap_err().to_string();
    assert_eq!(error, "checkpoint: of another training: settings or examples differ");
    let without = TrainConfig { queue: 0, seed: 1, ..third.config.clone() };
    assert_ne!(trained(without.clone(), toy.examples()).id(), expected.id());
    assert!(Trainer::new(without, toy.examples()).unwrap().resume(&kept).is_err());
    kept[40] ^= 1;
    assert!(second.resume(&kept).unwrap_err().to_string().contains("hash"));
    assert!(second.resume(&kept[..30]).is_err());
}

#[test]
fn what_cannot_be_trained_is_named() {
    let toy = Toy::new(20, 1);
    let error = |config, examples| Trainer::new(config, examples).unwrap_err().to_string();
    let batch = TrainConfig { batch: 1, ..config(1) };
    assert_eq!(error(batch, toy.examples()), "batch out of range: expected 2 or more, got 1");
    let queue = |queue, averaging| TrainConfig { queue, averaging, ..config(1) };
    assert_eq!(
        error(queue(9, 0.0), toy.examples()),
        "queue out of range: expected 0 without averaging, whose weights make its codes, got 9"
    );
    assert_eq!(
        error(queue(131_073, 0.9), toy.examples()),
        "queue out of range: expected 0 to 131072, got 131073"
    );
    let documents = Examples { queries: &[], right: &[], ..toy.examples() };
    assert_eq!(
        error(queue(9, 0.9), documents),
        "a queue holds wrong documents of queries, and there are no pairs"
    );
    let wide = TrainConfig { code_dims: Some(128), ..config(1) };
    assert!(error(wide, toy.examples()).starts_with("code_dims out of range"));
    let parent = trained(config(1), toy.examples());
    let incompatible = |config| {
        let trainer = Trainer::compatible(config, toy.examples(), &parent);
        trainer.unwrap_err().to_string()
    };
    let shape = incompatible(TrainConfig { levels: Levels::ONE, ..config(1) });
    assert!(
        shape.ends_with("of 2 level(s), the new one 64 components to 64 dimensions of 1 level(s)"),
        "{shape}"
    );
    let parent = trained(TrainConfig { size: Size::Thin, ..config(1) }, toy.examples());
    let hidden = Trainer::compatible(config(1), toy.examples(), &parent).unwrap_err().to_string();
    assert!(hidden.contains("hidden layers"), "{hidden}");
    let missing = Examples { right: &toy.right[..19], ..toy.examples() };
    assert_eq!(error(config(1), missing), "20 queries have 19 right documents");
    let right = vec![20; 20];
    let wrong = Examples { right: &right, ..toy.examples() };
    assert_eq!(error(config(1), wrong), "there is no document 20 of 20");
}

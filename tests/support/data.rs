//! Seeded data and its exact answers.

use std::collections::{BTreeMap, BTreeSet};

use bigrain_engine::{Metric, MultiVector, PointId, SparseVector, normalize};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tempfile::TempDir;

/// A seeded source of randomness; the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// Starts the stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    /// Returns a number in 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1_u32 << 24) as f32
    }

    /// Returns a number of the standard normal distribution.
    pub fn gaussian(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }

    /// Returns a vector of independent normal components.
    pub fn vector(&mut self, dims: usize) -> Vec<f32> {
        (0..dims).map(|_| self.gaussian()).collect()
    }
}

/// Returns a sparse vector of up to eight of `dims` dimensions. Its values are few, so that many products
/// are equal, and some are negative.
#[must_use]
pub fn sparse_vector(random: &mut Random, dims: u64) -> SparseVector {
    let components: BTreeMap<u32, f32> = (0..=random.below(8))
        .map(|_| (random.below(dims) as u32 * 1000, (random.below(9) as f32 - 3.0) / 2.0))
        .collect();
    let (dimensions, values) = components.into_iter().unzip();
    SparseVector::new(dimensions, values).expect("distinct dimensions, finite values")
}

/// Returns the `limit` points of largest dot product with `query` among those that share a dimension
/// with it, with their scores; equal ones in the order of their ids.
#[must_use]
pub fn brute_force_sparse<'a>(
    points: impl IntoIterator<Item = (u64, &'a SparseVector)>,
    query: &SparseVector,
    limit: usize,
) -> Vec<(PointId, f32)> {
    let query: BTreeMap<u32, f32> = query.iter().collect();
    let score = |vector: &SparseVector| {
        let mut products = vector.iter().filter_map(|(d, value)| Some(value * query.get(&d)?));
        let first = products.next()?;
        Some(products.fold(first, |sum, product| sum + product))
    };
    let scored = points.into_iter().filter_map(|(id, vector)| Some((id.into(), score(vector)?)));
    let mut scored: Vec<(PointId, f32)> = scored.collect();
    scored.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    scored.truncate(limit);
    scored
}

/// Returns one to twenty tokens of small whole numbers, so that halves hold them, sums are exact, and many
/// scores are equal.
#[must_use]
pub fn multi_vector(random: &mut Random, dims: usize) -> MultiVector {
    let tokens = 1 + random.below(20) as usize;
    let values = (0..tokens * dims).map(|_| random.below(9) as f32 - 4.0).collect();
    MultiVector::new(dims, values).expect("finite values")
}

/// Returns the `limit` points of largest MaxSim with `query`, with their scores; equal ones in the order
/// of their ids.
#[must_use]
pub fn brute_force_multi<'a>(
    points: impl IntoIterator<Item = (u64, &'a MultiVector)>,
    query: &MultiVector,
    limit: usize,
) -> Vec<(PointId, f32)> {
    // From zero, and not with `sum`, which begins at a zero with a minus, and that orders below one without.
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
    let score = |vector: &MultiVector| {
        let best = |asked: &[f32]| vector.iter().map(|t| dot(asked, t)).fold(f32::MIN, f32::max);
        query.iter().map(best).sum::<f32>() / query.tokens() as f32
    };
    let mut scored: Vec<(PointId, f32)> =
        points.into_iter().map(|(id, vector)| (id.into(), score(vector))).collect();
    scored.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    scored.truncate(limit);
    scored
}

/// Returns a temporary folder, in memory where the system has such a place: for what is made, looked
/// at and thrown away many times.
#[must_use]
pub fn fast_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("temporary folder")
}

/// Returns vectors around cluster centres, as embeddings lie: `count` of `dims` components.
#[must_use]
pub fn clustered(seed: u64, count: usize, dims: usize) -> Vec<Vec<f32>> {
    let mut random = Random::new(seed);
    let centres: Vec<Vec<f32>> = (0..count.div_ceil(50)).map(|_| random.vector(dims)).collect();
    let mut point = || {
        let centre = &centres[random.below(centres.len() as u64) as usize];
        centre.iter().map(|centre| centre + 0.6 * random.gaussian()).collect()
    };
    (0..count).map(|_| point()).collect()
}

/// Returns documents and queries of so many multi-vectors of so many tokens each: a document speaks of
/// three to seven of forty topics, each in its own way, and a query of four; tokens scatter about that.
/// All have length one. The mean of a document's tokens tells little of which one a query is nearest to.
#[must_use]
pub fn topical_tokens(
    seed: u64,
    (documents, tokens): (usize, usize),
    (queries, asked): (usize, usize),
    dims: usize,
) -> (Vec<MultiVector>, Vec<MultiVector>) {
    const TOPICS: u64 = 40;
    let mut random = Random::new(seed);
    let unit = |random: &mut Random| {
        let mut vector = random.vector(dims);
        normalize(&mut vector);
        vector
    };
    let near = |centre: &[f32], distance: f32, random: &mut Random| {
        let noise = unit(random);
        let mut vector: Vec<f32> =
            centre.iter().zip(noise).map(|(centre, noise)| centre + distance * noise).collect();
        normalize(&mut vector);
        vector
    };
    let topics: Vec<Vec<f32>> = (0..TOPICS).map(|_| unit(&mut random)).collect();
    let mut of = |count: u64, tokens: usize| {
        let own: Vec<Vec<f32>> = (0..count)
            .map(|_| {
                let topic = random.below(TOPICS) as usize;
                near(&topics[topic], 0.6, &mut random)
            })
            .collect();
        let mut values = Vec::with_capacity(tokens * dims);
        for _ in 0..tokens {
            let about = random.below(count) as usize;
            values.extend(near(&own[about], 1.0, &mut random));
        }
        MultiVector::new(dims, values).expect("finite values")
    };
    let documents = (0..documents).map(|at| of(3 + at as u64 % 5, tokens)).collect();
    let queries = (0..queries).map(|_| of(4, asked)).collect();
    (documents, queries)
}

/// Returns the positions of the `limit` rows nearest to `query`, nearest first, computed in f64.
#[must_use]
pub fn brute_force(metric: Metric, rows: &[Vec<f32>], query: &[f32], limit: usize) -> Vec<usize> {
    let scored = rows.iter().map(|row| similarity(metric, row, query));
    let mut order: Vec<(f64, usize)> = scored.zip(0..).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    order.into_iter().take(limit).map(|(_, position)| position).collect()
}

/// Fails unless `found` are the positions of the `limit` rows nearest to `query`, nearest first. Rows whose
/// similarities differ by no more than rounding may stand in either order.
#[track_caller]
pub fn assert_nearest(
    metric: Metric,
    rows: &[Vec<f32>],
    query: &[f32],
    limit: usize,
    found: &[usize],
) {
    let expected = brute_force(metric, rows, query, limit);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), expected.len(), "{found:?}");
    for (&found_at, &expected_at) in found.iter().zip(&expected) {
        let [ours, theirs] =
            [found_at, expected_at].map(|position| similarity(metric, &rows[position], query));
        let rounding = 1e-5 * (1.0 + theirs.abs());
        assert!(
            (ours - theirs).abs() <= rounding,
            "{found_at} of {ours}, not {expected_at} of {theirs}"
        );
    }
}

fn similarity(metric: Metric, row: &[f32], query: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    match metric {
        Metric::Cosine => dot(query, row) / dot(row, row).sqrt(),
        Metric::L2 => 2.0 * dot(query, row) - dot(row, row),
        Metric::Dot | _ => dot(query, row),
    }
}

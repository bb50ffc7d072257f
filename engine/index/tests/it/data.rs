//! Seeded rows, and the truth about them.

use std::borrow::Cow;

use bigrain_index::IndexError;
use bigrain_index::build::Rows;
use bigrain_index::verify::similarity;
use bigrain_types::{Metric, normalize};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Rows in clusters, as embeddings are.
#[derive(Clone, Debug)]
pub struct Clustered {
    pub dims: usize,
    pub values: Vec<f32>,
}

impl Clustered {
    pub fn new(rows: usize, dims: usize, metric: Metric, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = || (random.next_u64() >> 40) as f32 / (1 << 24) as f32;
        let mut normal = || (0..6).map(|_| uniform()).sum::<f32>() - 3.0;
        let clusters = (rows / 40).max(1);
        let middles: Vec<f32> = (0..clusters * dims).map(|_| 1.2 * normal()).collect();
        let mut values = Vec::with_capacity(rows * dims);
        for row in 0..rows {
            let middle = &middles[row * 7919 % clusters * dims..][..dims];
            values.extend(middle.iter().map(|x| 0.3 + x + normal()));
        }
        if metric == Metric::Cosine {
            values.chunks_exact_mut(dims).for_each(normalize);
        }
        Self { dims, values }
    }

    /// Returns the best offsets among those for which `live` is true, best first.
    pub fn best(
        &self,
        metric: Metric,
        query: &[f32],
        limit: usize,
        live: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let mut all: Vec<(f32, usize)> = (0..self.len())
            .filter(|&at| live(at))
            .map(|at| (similarity(metric, query, self.vector(at)), at))
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.into_iter().take(limit).map(|(_, at)| at).collect()
    }

    pub fn vector(&self, at: usize) -> &[f32] {
        &self.values[at * self.dims..(at + 1) * self.dims]
    }
}

impl Rows for Clustered {
    fn len(&self) -> usize {
        self.values.len() / self.dims
    }

    fn row(&self, at: usize) -> Result<Cow<'_, [f32]>, IndexError> {
        Ok(self.vector(at).into())
    }
}

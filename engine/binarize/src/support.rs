//! Seeded data for the tests of this crate.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of standard normal numbers (Box and Muller's method, one of each pair).
pub(crate) struct Gaussian(ChaCha8Rng);

impl Gaussian {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn next(&mut self) -> f32 {
        let [radius, angle] =
            [(); 2].map(|()| (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64);
        ((-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
    }

    pub(crate) fn row(&mut self, dims: usize) -> Vec<f32> {
        (0..dims).map(|_| self.next()).collect()
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.0.next_u64() % limit as u64) as usize
    }
}

/// Returns `rows * dims` standard normal numbers.
pub(crate) fn gaussian_rows(rows: usize, dims: usize, seed: u64) -> Vec<f32> {
    Gaussian::new(seed).row(rows * dims)
}

/// Returns rows whose energy sits in few coordinates, with an offset: hard for codes without a
/// rotation.
pub(crate) fn skewed_rows(rows: usize, dims: usize, seed: u64) -> Vec<f32> {
    let mut gaussian = Gaussian::new(seed);
    let mut number = |dim: usize| (gaussian.next() + 0.7) * (-(dim as f32) / 12.0).exp();
    (0..rows * dims).map(|i| number(i % dims)).collect()
}

//! What the tests of this crate share: seeded numbers, and gradients against finite differences.

use bigrain_binarize::Binarizer;
use bigrain_types::{Levels, Metric};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::matrix::Matrix;

/// Returns a rotation of two levels.
pub(crate) fn rotation(dims: usize) -> Binarizer {
    Binarizer::new_rotation(dims, Levels::TWO, Metric::Cosine, 1).unwrap()
}

/// Returns a matrix of numbers in -1..1.
pub(crate) fn random(rows: usize, cols: usize, seed: u64) -> Matrix {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    let mut number = || (stream.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0;
    Matrix { rows, cols, values: (0..rows * cols).map(|_| number()).collect() }
}

/// Asserts that `gradient` is that of `loss` at `values`: along each of some random directions the
/// loss changes as it says.
pub(crate) fn check_gradient(values: &[f32], gradient: &[f32], loss: impl Fn(&[f32]) -> f64) {
    const STEP: f32 = 2e-3;
    assert_eq!(values.len(), gradient.len());
    let norm = gradient.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
    for seed in 0..4 {
        let direction = random(1, values.len(), 900 + seed).values;
        let moved = |by: f32| -> Vec<f32> {
            values.iter().zip(&direction).map(|(value, d)| value + by * d).collect()
        };
        let measured = (loss(&moved(STEP)) - loss(&moved(-STEP))) / f64::from(2.0 * STEP);
        let stated: f64 =
            gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        let allowed = 0.01 * norm + 1e-3;
        assert!(
            (measured - stated).abs() < allowed,
            "along direction {seed}: measured {measured}, stated {stated}, allowed {allowed}"
        );
    }
}

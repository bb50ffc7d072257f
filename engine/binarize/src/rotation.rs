//! A fast random rotation: signs, Hadamard transforms and Givens steps.
//!
//! Codes of one bit per coordinate need coordinates that all carry about the same share of the
//! vector, and bounds that hold for *any* data need randomness that does not come from the data. A
//! dense random rotation gives both for `D^2` multiplications; this one gives them for about
//! `4 D log D` additions and `4 D` bits of state (the rotator of RaBitQ's library).
//!
//! An embedding is padded with zeros to `D`, a multiple of 64, and passes four rounds:
//!
//! ```text
//!  round 0, 2:  random signs -> | Hadamard on the first 2^k |    rest    | -> Givens by pi/4
//!  round 1, 3:  random signs -> |   rest    | Hadamard on the last 2^k   | -> Givens by pi/4
//!
//!  Givens (Kac) step:  (x_i, x_{i + D/2})  ->  (x_i + x_{i + D/2}, x_i - x_{i + D/2}) / sqrt(2)
//! ```
//!
//! with `2^k` the largest power of two not above `D`. When `D` is a power of two the transform
//! already covers all of it and the Givens step is left out. Every step is orthogonal, so lengths
//! and dot products stay what they were, up to rounding. The transforms here are unnormalised; what
//! would normalise them is folded into the table of signs.

use bigrain_kernels::hadamard;
use bigrain_types::MAX_DIMS;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use thiserror::Error;

const ROUNDS: usize = 4;

/// A random orthogonal map from `dims` to [`Rotation::rotated_dims`] dimensions.
#[derive(Clone, Debug)]
pub struct Rotation {
    dims: usize,
    rotated_dims: usize,
    /// One bit per round and rotated dimension; a set bit flips the sign.
    signs: Vec<u64>,
    /// What round `r` multiplies dimension `i` with, at `r * rotated_dims + i`.
    multipliers: Vec<f32>,
}

/// Parameters that give no rotation.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationError {
    /// The dimensions are zero or above [`MAX_DIMS`].
    #[error("rotation dimensions out of range: expected 1 to {MAX_DIMS}, got {0}")]
    Dims(usize),
    /// The number of sign words does not fit the dimensions.
    #[error("rotation signs: expected {expected} words, got {actual}")]
    Signs {
        /// Words of four rounds.
        expected: usize,
        /// Words given.
        actual: usize,
    },
}

impl Rotation {
    /// Returns the rotation of `dims` dimensions that belongs to `seed`.
    ///
    /// The signs are the stream of ChaCha8 with the key `seed` (8 bytes, little-endian) followed by
    /// `"bigrain rotation signs 1"`; the same on every machine and in every version.
    ///
    /// # Errors
    ///
    /// [`RotationError::Dims`] for 0 or more than [`MAX_DIMS`].
    pub fn new(dims: usize, seed: u64) -> Result<Self, RotationError> {
        if !(1..=MAX_DIMS).contains(&dims) {
            return Err(RotationError::Dims(dims));
        }
        let mut key = *b"........bigrain rotation signs 1";
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut stream = ChaCha8Rng::from_seed(key);
        let signs = (0..sign_words(dims)).map(|_| stream.next_u64()).collect();
        Self::from_signs(dims, signs)
    }

    /// Returns the rotation with the given signs, as [`Rotation::signs`] returned them.
    ///
    /// # Errors
    ///
    /// [`RotationError`] for dimensions out of range or another number of words.
    pub fn from_signs(dims: usize, signs: Vec<u64>) -> Result<Self, RotationError> {
        if !(1..=MAX_DIMS).contains(&dims) {
            return Err(RotationError::Dims(dims));
        }
        if signs.len() != sign_words(dims) {
            let expected = sign_words(dims);
            return Err(RotationError::Signs { expected, actual: signs.len() });
        }
        let rotated_dims = dims.next_multiple_of(64);
        let multipliers = multipliers(rotated_dims, &signs);
        Ok(Self { dims, rotated_dims, signs, multipliers })
    }

    /// Returns the dimensions of the input.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Returns the dimensions of the output, a multiple of 64.
    #[must_use]
    pub fn rotated_dims(&self) -> usize {
        self.rotated_dims
    }

    /// Returns the random signs: four rounds of [`Rotation::rotated_dims`] bits.
    #[must_use]
    pub fn signs(&self) -> &[u64] {
        &self.signs
    }

    /// Returns what round `r` multiplies dimension `i` with, at `r * rotated_dims + i`: the random signs times what
    /// normalises the transforms of the round.
    #[must_use]
    pub fn multipliers(&self) -> &[f32] {
        &self.multipliers
    }

    /// Rotates `input` (`dims`) into `output` (`rotated_dims`).
    ///
    /// # Panics
    ///
    /// When a slice has the wrong length.
    pub fn rotate(&self, input: &[f32], output: &mut [f32]) {
        assert_eq!(input.len(), self.dims, "vector differs from the rotation's dimensions");
        assert_eq!(output.len(), self.rotated_dims, "output differs from the rotated dimensions");
        let (head, pads) = output.split_at_mut(self.dims);
        head.copy_from_slice(input);
        pads.fill(0.0);
        for round in 0..ROUNDS {
            self.flip(round, output);
            hadamard(&mut output[transformed(self.rotated_dims, round)]);
            if !self.rotated_dims.is_power_of_two() {
                givens(output);
            }
        }
    }

    /// Turns `rotated` (overwritten) back into `output` (`dims`), dropping the padding.
    ///
    /// # Panics
    ///
    /// When a slice has the wrong length.
    pub fn rotate_back(&self, rotated: &mut [f32], output: &mut [f32]) {
        assert_eq!(output.len(), self.dims, "vector differs from the rotation's dimensions");
        assert_eq!(rotated.len(), self.rotated_dims, "input differs from the rotated dimensions");
        // Every step is its own inverse, so the rounds run backwards.
        for round in (0..ROUNDS).rev() {
            if !self.rotated_dims.is_power_of_two() {
                givens(rotated);
            }
            hadamard(&mut rotated[transformed(self.rotated_dims, round)]);
            self.flip(round, rotated);
        }
        output.copy_from_slice(&rotated[..self.dims]);
    }

    fn flip(&self, round: usize, values: &mut [f32]) {
        let multipliers = &self.multipliers[round * self.rotated_dims..];
        for (value, multiplier) in values.iter_mut().zip(multipliers) {
            *value *= multiplier;
        }
    }
}

/// Adds and subtracts the two halves.
fn givens(values: &mut [f32]) {
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (x, y) in low.iter_mut().zip(high) {
        (*x, *y) = (*x + *y, *x - *y);
    }
}

/// Returns the dimensions that the Hadamard transform of a round covers.
fn transformed(rotated_dims: usize, round: usize) -> std::ops::Range<usize> {
    let length = 1 << rotated_dims.ilog2();
    if round.is_multiple_of(2) { 0..length } else { rotated_dims - length..rotated_dims }
}

/// Returns the words of the signs of four rounds.
pub(crate) fn sign_words(dims: usize) -> usize {
    ROUNDS * dims.div_ceil(64)
}

/// Returns signs times what normalises the transform and the Givens step of each round.
fn multipliers(rotated_dims: usize, signs: &[u64]) -> Vec<f32> {
    let givens = if rotated_dims.is_power_of_two() { 1.0 } else { 0.5f64.sqrt() };
    let mut multipliers = Vec::with_capacity(ROUNDS * rotated_dims);
    for round in 0..ROUNDS {
        let transformed = transformed(rotated_dims, round);
        let hadamard = 1.0 / (transformed.len() as f64).sqrt();
        for dim in 0..rotated_dims {
            let bit = round * rotated_dims + dim;
            let sign = if signs[bit / 64] >> (bit % 64) & 1 == 1 { -1.0 } else { 1.0 };
            let scale = if transformed.contains(&dim) { hadamard * givens } else { givens };
            multipliers.push((sign * scale) as f32);
        }
    }
    multipliers
}

#[cfg(test)]
mod tests {
    use bigrain_kernels::reference::dot;

    use super::*;
    use crate::support::gaussian_rows;

    const DIMS: [usize; 10] = [1, 2, 50, 64, 65, 100, 384, 768, 1536, 4096];

    fn rotated(rotation: &Rotation, vector: &[f32]) -> Vec<f32> {
        let mut output = vec![f32::NAN; rotation.rotated_dims()];
        rotation.rotate(vector, &mut output);
        output
    }

    #[test]
    fn lengths_and_dot_products_are_preserved() {
        for dims in DIMS {
            let rotation = Rotation::new(dims, 3).unwrap();
            let rows = gaussian_rows(2, dims, dims as u64);
            let (a, b) = rows.split_at(dims);
            let scale = (dot(a, a) * dot(b, b)).sqrt();
            let (ra, rb) = (rotated(&rotation, a), rotated(&rotation, b));
            assert!((dot(&ra, &ra) / dot(a, a) - 1.0).abs() < 1e-5, "{dims}");
            assert!((dot(&ra, &rb) - dot(a, b)).abs() < 1e-5 * scale, "{dims}");
        }
    }

    #[test]
    fn rotating_back_returns_the_vector() {
        for dims in DIMS {
            let rotation = Rotation::new(dims, 9).unwrap();
            let vector = gaussian_rows(1, dims, 5);
            let mut back = vec![0.0; dims];
            rotation.rotate_back(&mut rotated(&rotation, &vector), &mut back);
            for (a, b) in vector.iter().zip(back) {
                assert!((a - b).abs() < 1e-5, "{dims}");
            }
        }
    }

    #[test]
    fn a_single_spike_is_spread_over_all_coordinates() {
        for dims in [100, 384, 768, 1000] {
            let rotation = Rotation::new(dims, 1).unwrap();
            for spike in [0, dims / 2, dims - 1] {
                let mut vector = vec![0.0; dims];
                vector[spike] = 1.0;
                let output = rotated(&rotation, &vector);
                let largest = output.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
                let even = 1.0 / (output.len() as f32).sqrt();
                assert!(largest < 5.5 * even, "{dims}: {}", largest / even);
            }
        }
    }

    #[test]
    fn the_sign_stream_has_not_moved() {
        let rotation = Rotation::new(64, 42).unwrap();
        assert_eq!(rotation.signs().len(), 4);
        assert_eq!(rotation.signs()[0], 12_011_618_881_593_148_543);
        assert_ne!(rotation.signs(), Rotation::new(64, 43).unwrap().signs());
    }

    #[test]
    fn bad_parameters_are_refused() {
        assert_eq!(Rotation::new(0, 1).unwrap_err(), RotationError::Dims(0));
        assert!(Rotation::new(MAX_DIMS + 1, 1).is_err());
        assert_eq!(
            Rotation::from_signs(65, vec![0; 4]).unwrap_err(),
            RotationError::Signs { expected: 8, actual: 4 }
        );
    }
}

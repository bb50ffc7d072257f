//! Many block vectors become one vector.

use std::path::{Path, PathBuf};

use bigrain_types::{EmbeddingSpaceId, normalize};
use safetensors::SafeTensorError;
use thiserror::Error;

use super::attention::Attention;
use crate::encoder::TextEncoder;
use crate::weights::WeightsError;

/// How the vectors of a snippet's blocks, each of length one, become one vector of length one.
///
/// ```text
/// local                       mean e_i | max e_i | Σ a_i e_i with a = softmax(attention)
/// local and global            ½ local + ½ g · (mean e_i | max e_i)
/// the same as published       ½ local + ½ g · Σ_i (mean e_i | max e_i)
/// ```
///
/// The published code broadcasts the global vector to every block before it sums over blocks, so that it
/// grows with their number; [`Self::reference_sum`] does that too.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Aggregator {
    /// What is made of all blocks. Default: their mean.
    pub local: Local,
    /// What is added to that. Default: nothing.
    pub global: Option<Global>,
    /// Whether the global vector counts once for each block. Default: false.
    pub reference_sum: bool,
}

/// What is made of all blocks.
#[derive(Clone, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum Local {
    /// The mean of their vectors.
    #[default]
    Mean,
    /// The largest of each component.
    Max,
    /// Their sum, weighted by what a trained file makes of each.
    Attention(Attention),
}

/// What is added to the local vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Global {
    /// The mean of the vectors.
    Mean,
    /// The largest of each component.
    Max,
}

/// An aggregator that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AggregatorError {
    /// Its file is refused.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// It was trained on vectors of other dimensions.
    #[error("dimension mismatch: attention has {attention}, encoder has {encoder}")]
    Dims {
        /// What the attention takes.
        attention: usize,
        /// What the encoder gives.
        encoder: usize,
    },
    /// It was trained on vectors of another space.
    #[error(
        "embedding space mismatch: attention was trained on {attention}, encoder has {encoder}"
    )]
    Space {
        /// That of the blocks it was trained on.
        attention: EmbeddingSpaceId,
        /// That of the encoder.
        encoder: EmbeddingSpaceId,
    },
    /// Its numbers are refused.
    #[error("attention: {0}")]
    Parts(String),
    /// Its file says something else of itself than is written into such files.
    #[error("{path}: what it says of where it comes from: {source}")]
    Origin {
        /// The file.
        path: PathBuf,
        /// Why it is refused.
        #[source]
        source: serde_json::Error,
    },
    /// No file can be made of it.
    #[error("make a file of an attention: {0}")]
    Write(#[from] SafeTensorError),
}

impl Aggregator {
    /// The largest of each component.
    pub const MAX: Self = Self { local: Local::Max, global: None, reference_sum: false };

    /// The largest of each component, and the mean beside it.
    pub const MAX_MEAN: Self =
        Self { local: Local::Max, global: Some(Global::Mean), reference_sum: false };

    /// Opens a trained attention's file, for vectors of `dims` values. Where it says how much a global vector
    /// counts, that is the mean.
    ///
    /// # Errors
    ///
    /// As [`Attention::open`].
    pub fn open(path: &Path, dims: usize) -> Result<Self, AggregatorError> {
        Ok(Self::of(Attention::open(path, dims)?))
    }

    /// Aggregates by a trained attention, with the mean beside it if it was trained with that.
    #[must_use]
    pub fn of(attention: Attention) -> Self {
        let global = attention.has_gain().then_some(Global::Mean);
        Self { local: Local::Attention(attention), global, reference_sum: false }
    }

    /// Checks that it takes an encoder's vectors.
    ///
    /// # Errors
    ///
    /// When it was trained on others.
    pub fn check(&self, encoder: &dyn TextEncoder) -> Result<(), AggregatorError> {
        let Local::Attention(attention) = &self.local else { return Ok(()) };
        let (dims, space) = (encoder.dims(), encoder.space());
        if attention.dims() != dims {
            return Err(AggregatorError::Dims { attention: attention.dims(), encoder: dims });
        }
        match attention.origin() {
            Some(origin) if origin.space != space => {
                Err(AggregatorError::Space { attention: origin.space, encoder: space })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Aggregates rows of `dims` values; zeros without rows.
    #[must_use]
    pub fn aggregate(&self, rows: &[f32], dims: usize) -> Vec<f32> {
        let rows = rows.chunks_exact(dims.max(1));
        let mut vector = match &self.local {
            Local::Mean => mean(rows.clone(), dims),
            Local::Max => max(rows.clone(), dims),
            Local::Attention(attention) => {
                weighted(rows.clone(), &attention.weights(rows.clone()), dims)
            }
        };
        if let Some(global) = self.global {
            let other = match global {
                Global::Mean => mean(rows.clone(), dims),
                Global::Max => max(rows.clone(), dims),
            };
            let gain = match &self.local {
                Local::Attention(attention) => attention.gain(),
                Local::Mean | Local::Max => 1.0,
            };
            let times = if self.reference_sum { rows.len() as f32 } else { 1.0 };
            for (value, other) in vector.iter_mut().zip(other) {
                *value = 0.5 * *value + 0.5 * gain * times * other;
            }
        }
        normalize(&mut vector);
        vector
    }
}

type Rows<'r> = std::slice::ChunksExact<'r, f32>;

fn mean(rows: Rows<'_>, dims: usize) -> Vec<f32> {
    let weight = 1.0 / rows.len().max(1) as f32;
    let weights = vec![weight; rows.len()];
    weighted(rows, &weights, dims)
}

fn weighted(rows: Rows<'_>, weights: &[f32], dims: usize) -> Vec<f32> {
    let mut sum = vec![0.0; dims];
    for (row, weight) in rows.zip(weights) {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
    }
    sum
}

fn max(mut rows: Rows<'_>, dims: usize) -> Vec<f32> {
    let mut largest = rows.next().map_or_else(|| vec![0.0; dims], <[f32]>::to_vec);
    for row in rows {
        largest.iter_mut().zip(row).for_each(|(largest, value)| *largest = largest.max(*value));
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [f32; 6] = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0];

    fn aggregated(aggregator: &Aggregator, rows: &[f32]) -> [f32; 2] {
        aggregator.aggregate(rows, 2).try_into().unwrap()
    }

    fn assert_near(actual: [f32; 2], expected: [f32; 2]) {
        let length = (expected[0] * expected[0] + expected[1] * expected[1]).sqrt();
        for (actual, expected) in actual.iter().zip(expected) {
            assert!((actual - expected / length).abs() < 1e-6, "{actual} {expected}");
        }
    }

    #[test]
    fn means_and_maxima_have_length_one() {
        let of = |local: Local, global: Option<Global>, reference_sum: bool| {
            aggregated(&Aggregator { local, global, reference_sum }, &ROWS)
        };
        assert_near(of(Local::Mean, None, false), [1.0, 2.0]);
        assert_near(of(Local::Max, None, false), [1.0, 1.0]);
        // ½ (1, 1) + ½ (1/3, 2/3)
        assert_near(of(Local::Max, Some(Global::Mean), false), [4.0, 5.0]);
        // ½ (1, 1) + 3/2 (1/3, 2/3)
        assert_near(of(Local::Max, Some(Global::Mean), true), [1.0, 1.5]);
        assert_near(of(Local::Mean, Some(Global::Max), false), [4.0, 5.0]);
    }

    #[test]
    fn one_block_is_its_own_aggregate() {
        for aggregator in [Aggregator::default(), Aggregator::MAX_MEAN] {
            assert_near(aggregated(&aggregator, &[3.0, 4.0]), [3.0, 4.0]);
            assert_eq!(aggregated(&aggregator, &[]), [0.0, 0.0]);
        }
    }
}

//! How alike two vectors of a field are: what scores by several examples are made of.

use bigrain_engine::{Metric, MultiVector, SparseModifier, normalize, similarity};
use tonic::Status;

use super::Scope;
use crate::qdrant::convert::AnyVector;
use crate::qdrant::error::{unsupported, wrong};
use crate::qdrant::names::vector_of;

/// How vectors of a field are compared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Likeness {
    /// One vector a point.
    Dense {
        /// How many components.
        dims: usize,
        /// What near means.
        metric: Metric,
    },
    /// Sparse vectors, by their product.
    Sparse,
    /// A vector for each token, by MaxSim.
    Multi {
        /// How many components a token has.
        dims: usize,
        /// What near means.
        metric: Metric,
    },
}

impl Scope<'_> {
    /// Returns how vectors of a field are compared, by what is stored alone.
    pub(super) fn likeness(&self, field: &str) -> Result<Likeness, Status> {
        let config = self.collection.config();
        if let Some(found) = config.fields().iter().find(|known| known.name == field) {
            return Ok(Likeness::Dense { dims: found.dims, metric: found.metric });
        }
        if let Some(found) = config.multi().iter().find(|known| known.name == field) {
            return Ok(Likeness::Multi { dims: found.dims, metric: found.metric });
        }
        match config.sparse().iter().find(|known| known.name == field) {
            Some(found) if found.modifier == SparseModifier::None => Ok(Likeness::Sparse),
            Some(_) => Err(unsupported("scoring by examples in a sparse vector with a modifier")),
            None => Err(wrong(format!("Not existing vector name error: {}", vector_of(field)))),
        }
    }
}

impl Likeness {
    /// Brings an example to the form that is stored; one of another kind or size is refused.
    pub(super) fn prepared(self, example: AnyVector) -> Result<AnyVector, Status> {
        match (self, example) {
            (Self::Dense { dims, metric }, AnyVector::Dense(mut values)) => {
                check_dims(dims, values.len())?;
                if metric == Metric::Cosine {
                    normalize(&mut values);
                }
                Ok(AnyVector::Dense(values))
            }
            (Self::Multi { .. }, AnyVector::Dense(values)) => {
                let one = MultiVector::from_tokens(&[values]).map_err(wrong)?;
                self.prepared(AnyVector::Multi(one))
            }
            (Self::Multi { dims, metric }, AnyVector::Multi(mut tokens)) => {
                check_dims(dims, tokens.dims())?;
                if metric == Metric::Cosine {
                    tokens.values_mut().chunks_mut(dims).for_each(normalize);
                }
                Ok(AnyVector::Multi(tokens))
            }
            (Self::Sparse, example @ AnyVector::Sparse(_)) => Ok(example),
            (Self::Dense { .. } | Self::Sparse | Self::Multi { .. }, _) => {
                Err(wrong("examples are of another kind than the vector that is searched"))
            }
        }
    }

    /// Returns how alike a prepared example and a stored vector are, larger is nearer; nothing where they
    /// cannot be compared: sparse vectors that share no dimension.
    pub(super) fn of(self, example: &AnyVector, stored: &AnyVector) -> Option<f32> {
        match (self, example, stored) {
            (Self::Dense { metric, .. }, AnyVector::Dense(example), AnyVector::Dense(stored)) => {
                Some(similarity(metric, example, stored))
            }
            (Self::Sparse, AnyVector::Sparse(example), AnyVector::Sparse(stored)) => {
                example.dot(stored)
            }
            (Self::Multi { metric, .. }, AnyVector::Multi(example), AnyVector::Multi(stored)) => {
                Some(max_sim(metric, example, stored))
            }
            _ => None,
        }
    }
}

fn check_dims(expected: usize, actual: usize) -> Result<(), Status> {
    if expected == actual {
        return Ok(());
    }
    Err(wrong(format!("Vector dimension error: expected dim: {expected}, got {actual}")))
}

/// Returns the sum over the tokens of one of how near the nearest token of the other is.
fn max_sim(metric: Metric, example: &MultiVector, stored: &MultiVector) -> f32 {
    let nearest = |token: &[f32]| {
        let all = stored.iter().map(|other| similarity(metric, token, other));
        all.fold(f32::NEG_INFINITY, f32::max)
    };
    example.iter().map(nearest).sum()
}

/// Brings any score to between 0 and 1, keeping the order.
pub(super) fn scaled_sigmoid(score: f32) -> f32 {
    0.5 * (sigmoid(score) + 1.0)
}

/// Brings any score to between -1 and 1, keeping the order and the sign.
pub(super) fn sigmoid(score: f32) -> f32 {
    if score.is_finite() { score / (1.0 + score.abs()) } else { score }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_looks_for_its_nearest() {
        let example = MultiVector::from_tokens(&[[1.0, 0.0], [0.0, 2.0]]).unwrap();
        let stored = MultiVector::from_tokens(&[[3.0, 0.0], [1.0, 1.0]]).unwrap();
        assert_eq!(max_sim(Metric::Dot, &example, &stored), 5.0);
        assert_eq!(max_sim(Metric::L2, &example, &stored), -3.0);
    }

    #[test]
    fn examples_of_another_size_are_refused() {
        let likeness = Likeness::Dense { dims: 2, metric: Metric::Dot };
        let error = likeness.prepared(AnyVector::Dense(vec![1.0])).unwrap_err();
        assert!(error.message().contains("expected dim: 2, got 1"), "{error:?}");
    }

    #[test]
    fn sigmoids_keep_the_order() {
        let scores = [-3.0, -0.5, 0.0, 0.2, 9.0].map(scaled_sigmoid);
        assert!(scores.is_sorted() && scores[0] > 0.0 && scores[4] < 1.0);
        assert_eq!(sigmoid(f32::NEG_INFINITY), f32::NEG_INFINITY);
    }
}

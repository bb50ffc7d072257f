//! The points nearest to a vector.

use std::collections::{BTreeMap, BTreeSet};

use bigrain_engine::{
    MultiQuery, MultiVector, PointId, Query, SparseQuery, SparseVector, VectorQuery, diversify,
};
use qdrant_client::qdrant as q;
use tonic::Status;

use super::{Level, Ranked, Scope};
use crate::qdrant::convert::{self, AnyVector, Example, stored_vector};
use crate::qdrant::error::{missing, wrong};
use crate::qdrant::names::field_of;

/// How unlike each other results are, unless said otherwise.
const DEFAULT_DIVERSITY: f32 = 0.5;

impl Scope<'_> {
    pub(super) fn nearest(
        &self,
        mut level: Level,
        input: q::VectorInput,
    ) -> Result<Ranked, Status> {
        let vector = self.vector_to_find(&mut level, input)?;
        self.near(&level, vector)
    }

    /// Returns the vector of an input. A point that stands for its vector is not among the results.
    pub(super) fn vector_to_find(
        &self,
        level: &mut Level,
        input: q::VectorInput,
    ) -> Result<AnyVector, Status> {
        let examples = vec![convert::of_input(Some(input))?];
        let mut vectors = self.vectors_of(level, examples)?;
        vectors.pop().ok_or_else(|| missing("vector to search for"))
    }

    /// Returns the vectors of examples, and leaves those that are points of this collection out of the results.
    pub(super) fn vectors_of(
        &self,
        level: &mut Level,
        examples: Vec<Example>,
    ) -> Result<Vec<AnyVector>, Status> {
        let mentioned = examples.iter().filter_map(|example| match example {
            Example::Point(id) => Some(id.clone()),
            Example::Vector(_) => None,
        });
        let ids: Vec<PointId> = mentioned.collect();
        let other = level.lookup_from.clone();
        let other = other.filter(|from| from.collection_name != self.collection.name());
        let field = level.lookup_from.as_ref().and_then(|from| from.vector_name.as_deref());
        let field = field.map_or_else(|| level.field(), field_of);
        let found = match &other {
            Some(from) => {
                let collection = self.context.collection(&from.collection_name)?;
                let scope = Scope { collection: &collection, ..*self };
                scope.vectors_of_points(&ids, &field)?
            }
            None => self.vectors_of_points(&ids, &field)?,
        };
        if other.is_none() {
            level.without(ids.into_iter().collect::<BTreeSet<_>>());
        }
        let mut found = found.into_iter();
        let vector = |example| match example {
            Example::Vector(vector) => Ok(vector),
            Example::Point(id) => {
                found.next().ok_or_else(|| Status::internal(format!("point {id} has no vector")))
            }
        };
        examples.into_iter().map(vector).collect()
    }

    fn vectors_of_points(&self, ids: &[PointId], field: &str) -> Result<Vec<AnyVector>, Status> {
        let points = ids.iter().zip(self.stored(ids)?).map(|(id, point)| {
            let point =
                point.ok_or_else(|| Status::not_found(format!("No point with id {id} found")))?;
            stored_vector(&point, field).ok_or_else(|| {
                let name = crate::qdrant::names::vector_of(field);
                wrong(format!("point {id} has no vector with name {name:?}"))
            })
        });
        points.collect()
    }

    /// Searches for the points near a vector. MaxSim is a sum over tokens in Qdrant, and their mean here.
    pub(super) fn near(&self, level: &Level, vector: AnyVector) -> Result<Ranked, Status> {
        let tokens = match &vector {
            AnyVector::Multi(tokens) => tokens.iter().count() as f32,
            AnyVector::Dense(_) | AnyVector::Sparse(_) => 1.0,
        };
        let params = level.params.clone();
        let threshold = level.score_threshold.map(|threshold| threshold / tokens);
        let params = convert::search_params(params, level.limit, threshold)?;
        let query = self.vector_query(level, vector)?;
        let points = self.context.search_by_vector(self.collection, &query, &params)?.points;
        Ok(points.into_iter().map(|point| (point.id, point.score * tokens)).collect())
    }

    /// Returns the engine's query for a vector.
    pub(super) fn vector_query(
        &self,
        level: &Level,
        vector: AnyVector,
    ) -> Result<VectorQuery, Status> {
        let field = level.field();
        let query = match vector {
            AnyVector::Dense(values) if self.is_multi(&field) => {
                let one = MultiVector::from_tokens(&[values]).map_err(wrong)?;
                VectorQuery::from(MultiQuery::new(one).in_field(field))
            }
            AnyVector::Dense(values) => Query::new(values).in_field(field).into(),
            AnyVector::Sparse(vector) => SparseQuery::new(vector).in_field(field).into(),
            AnyVector::Multi(vector) => MultiQuery::new(vector).in_field(field).into(),
        };
        let query = query.with_cancel(self.cancel);
        Ok(match &level.filter {
            Some(filter) => query.with_filter(filter.clone()),
            None => query,
        })
    }

    fn is_multi(&self, field: &str) -> bool {
        self.collection.config().multi().iter().any(|known| known.name == field)
    }

    /// Searches for points that are near without being all alike: maximal marginal relevance among the
    /// candidates, by the stored vectors.
    pub(super) fn nearest_with_mmr(
        &self,
        mut level: Level,
        input: q::NearestInputWithMmr,
    ) -> Result<Ranked, Status> {
        let mmr = input.mmr.unwrap_or_default();
        let diversity = mmr.diversity.unwrap_or(DEFAULT_DIVERSITY);
        if !(0.0..=1.0).contains(&diversity) {
            return Err(wrong(format!("mmr.diversity {diversity}: expected 0 to 1")));
        }
        let input = input.nearest.ok_or_else(|| missing("nearest"))?;
        let vector = self.vector_to_find(&mut level, input)?;
        let limit = level.limit;
        if let Some(candidates) = mmr.candidates_limit {
            level.limit = (candidates as usize).max(1);
        }
        let candidates = self.near(&level, vector.clone())?;
        let likeness = self.likeness(&level.field())?;
        let vector = likeness.prepared(vector)?;
        let ids: Vec<PointId> = candidates.iter().map(|(id, _)| id.clone()).collect();
        let stored = self.vectors_of_points(&ids, &level.field())?;
        let alike = |a: &AnyVector, b: &AnyVector| likeness.of(a, b).unwrap_or(0.0);
        let relevance: Vec<f32> = stored.iter().map(|stored| alike(&vector, stored)).collect();
        let similarity = |a: usize, b: usize| alike(&stored[b], &stored[a]);
        let order = diversify(&relevance, similarity, diversity, limit);
        Ok(order.into_iter().map(|at| candidates[at].clone()).collect())
    }
}

/// Returns the average vector of examples, moved away from the average of what results should be unlike.
pub(super) fn average(
    positive: Vec<AnyVector>,
    negative: Vec<AnyVector>,
) -> Result<AnyVector, Status> {
    match positive.first() {
        None => Err(wrong("positive is empty: expected at least one example")),
        Some(AnyVector::Dense(first)) => {
            let dims = first.len();
            let (positive, negative) = (dense(positive, dims)?, dense(negative, dims)?);
            let mut average = mean(&positive, dims);
            if !negative.is_empty() {
                for (value, away) in average.iter_mut().zip(mean(&negative, dims)) {
                    *value += *value - away;
                }
            }
            Ok(AnyVector::Dense(average))
        }
        Some(AnyVector::Sparse(_)) => {
            let mut sum: BTreeMap<u32, f32> = BTreeMap::new();
            let away = if negative.is_empty() { 0.0 } else { -1.0 };
            let toward = if negative.is_empty() { 1.0 } else { 2.0 };
            for (examples, weight) in [(positive, toward), (negative, away)] {
                let share = weight / examples.len().max(1) as f32;
                for example in examples {
                    for (dimension, value) in sparse(example)?.iter() {
                        *sum.entry(dimension).or_default() += share * value;
                    }
                }
            }
            let (dimensions, values) = sum.into_iter().unzip();
            SparseVector::new(dimensions, values).map(AnyVector::Sparse).map_err(wrong)
        }
        Some(AnyVector::Multi(first)) => {
            let dims = first.dims();
            let mut values = Vec::new();
            for (examples, sign) in [(positive, 1.0), (negative, -1.0)] {
                for example in examples {
                    let AnyVector::Multi(tokens) = example else { return Err(mixed()) };
                    values.extend(tokens.values().iter().map(|value| sign * value));
                }
            }
            MultiVector::new(dims, values).map(AnyVector::Multi).map_err(wrong)
        }
    }
}

fn mixed() -> Status {
    wrong("examples are of different kinds or sizes")
}

fn dense(examples: Vec<AnyVector>, dims: usize) -> Result<Vec<Vec<f32>>, Status> {
    let values = |example| match example {
        AnyVector::Dense(values) if values.len() == dims => Ok(values),
        AnyVector::Dense(_) | AnyVector::Sparse(_) | AnyVector::Multi(_) => Err(mixed()),
    };
    examples.into_iter().map(values).collect()
}

fn sparse(example: AnyVector) -> Result<SparseVector, Status> {
    match example {
        AnyVector::Sparse(vector) => Ok(vector),
        AnyVector::Dense(_) | AnyVector::Multi(_) => Err(mixed()),
    }
}

fn mean(vectors: &[Vec<f32>], dims: usize) -> Vec<f32> {
    let mut sum = vec![0.0; dims];
    for vector in vectors {
        sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }
    sum.iter_mut().for_each(|value| *value /= vectors.len() as f32);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_move_away_from_negative_examples() {
        let vector = |values: &[f32]| AnyVector::Dense(values.to_vec());
        let positive = vec![vector(&[1.0, 0.0]), vector(&[3.0, 0.0])];
        let moved = average(positive, vec![vector(&[0.0, 1.0])]).unwrap();
        assert_eq!(moved, vector(&[4.0, -1.0]));
        let sparse = |dimension, value| {
            AnyVector::Sparse(SparseVector::new(vec![dimension], vec![value]).unwrap())
        };
        let moved = average(vec![sparse(1, 1.0)], vec![sparse(2, 1.0)]).unwrap();
        let expected = SparseVector::new(vec![1, 2], vec![2.0, -1.0]).unwrap();
        assert_eq!(moved, AnyVector::Sparse(expected));
        assert!(average(vec![vector(&[1.0])], vec![sparse(1, 1.0)]).is_err());
    }
}

//! Vectors of all kinds.

use bigrain_engine::{
    MultiPointVector, MultiVector, Point, PointId, PointVector, SparsePointVector, SparseVector,
};
use q::vectors::VectorsOptions;
use qdrant_client::qdrant as q;
use tonic::Status;

use super::point_id;
use crate::qdrant::error::{missing, unsupported, wrong};
use crate::qdrant::names::field_of;

/// A vector of any kind.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::qdrant) enum AnyVector {
    /// All components.
    Dense(Vec<f32>),
    /// Those that are not zero.
    Sparse(SparseVector),
    /// A vector for each token.
    Multi(MultiVector),
}

impl AnyVector {
    /// Gives it to a point, in a field.
    fn put(self, point: &mut Point, field: String) {
        match self {
            Self::Dense(values) => {
                let field = Some(field);
                point.vectors.push(PointVector { field, values, space: None });
            }
            Self::Sparse(vector) => point.sparse.push(SparsePointVector { field, vector }),
            Self::Multi(vector) => {
                point.multi.push(MultiPointVector { field, vector, space: None });
            }
        }
    }
}

/// A vector, or the point that has it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::qdrant) enum Example {
    /// A point.
    Point(PointId),
    /// A vector.
    Vector(AnyVector),
}

/// Reads the vectors of a point, which has no payload yet.
pub(in crate::qdrant) fn point_vectors(
    id: Option<q::PointId>,
    vectors: Option<q::Vectors>,
) -> Result<Point, Status> {
    let id = point_id(id)?;
    let at = |status: Status| wrong(format!("point {id}: {}", status.message()));
    let mut point = Point::empty(id.clone());
    match vectors.and_then(|vectors| vectors.vectors_options) {
        None => {}
        Some(VectorsOptions::Vector(message)) => {
            vector(message).map_err(at)?.put(&mut point, field_of(""));
        }
        Some(VectorsOptions::Vectors(named)) => {
            for (name, message) in named.vectors {
                let at = |status: Status| {
                    wrong(format!("point {id}: vector {name:?}: {}", status.message()))
                };
                vector(message).map_err(at)?.put(&mut point, field_of(&name));
            }
        }
    }
    Ok(point)
}

/// Reads the names of vectors, as fields.
pub(in crate::qdrant) fn vector_names(selector: Option<q::VectorsSelector>) -> Vec<String> {
    let names = selector.unwrap_or_default().names;
    names.iter().map(|name| field_of(name)).collect()
}

/// Reads a vector, or a point, to search for.
pub(in crate::qdrant) fn of_input(input: Option<q::VectorInput>) -> Result<Example, Status> {
    use q::vector_input::Variant;

    Ok(Example::Vector(match input.and_then(|input| input.variant) {
        Some(Variant::Id(id)) => return Ok(Example::Point(point_id(Some(id))?)),
        Some(Variant::Dense(vector)) => AnyVector::Dense(vector.data),
        Some(Variant::Sparse(vector)) => sparse(vector.indices, vector.values)?,
        Some(Variant::MultiDense(vector)) => multi(vector)?,
        Some(Variant::Document(_)) => return Err(unsupported("inference of documents")),
        Some(Variant::Image(_)) => return Err(unsupported("inference of images")),
        Some(Variant::Object(_)) => return Err(unsupported("inference of objects")),
        None => return Err(missing("vector to search for")),
    }))
}

/// Returns a vector of the older calls as one of queries.
pub(in crate::qdrant) fn input_of(message: q::Vector) -> Result<q::VectorInput, Status> {
    use q::vector_input::Variant;

    let variant = match vector(message)? {
        AnyVector::Dense(data) => Variant::Dense(q::DenseVector { data }),
        AnyVector::Sparse(vector) => {
            let (indices, values) = (vector.dimensions().to_vec(), vector.values().to_vec());
            Variant::Sparse(q::SparseVector { values, indices })
        }
        AnyVector::Multi(vector) => {
            let vectors = vector.iter().map(|token| q::DenseVector { data: token.to_vec() });
            Variant::MultiDense(q::MultiDenseVector { vectors: vectors.collect() })
        }
    };
    Ok(q::VectorInput { variant: Some(variant) })
}

#[expect(deprecated, reason = "older clients write vectors as numbers beside indices or a count")]
fn vector(message: q::Vector) -> Result<AnyVector, Status> {
    use q::vector::Vector;

    match message.vector {
        Some(Vector::Dense(vector)) => Ok(AnyVector::Dense(vector.data)),
        Some(Vector::Sparse(vector)) => sparse(vector.indices, vector.values),
        Some(Vector::MultiDense(vector)) => multi(vector),
        Some(Vector::Document(_)) => Err(unsupported("inference of documents")),
        Some(Vector::Image(_)) => Err(unsupported("inference of images")),
        Some(Vector::Object(_)) => Err(unsupported("inference of objects")),
        None => match (message.indices, message.vectors_count) {
            (Some(indices), _) => sparse(indices.data, message.data),
            (None, Some(count)) => {
                let dims = message.data.len().checked_div(count as usize);
                let dims = dims.ok_or_else(|| wrong("multi-vector has no vectors"))?;
                MultiVector::new(dims, message.data).map(AnyVector::Multi).map_err(wrong)
            }
            (None, None) => Ok(AnyVector::Dense(message.data)),
        },
    }
}

fn sparse(indices: Vec<u32>, values: Vec<f32>) -> Result<AnyVector, Status> {
    SparseVector::new(indices, values).map(AnyVector::Sparse).map_err(wrong)
}

fn multi(message: q::MultiDenseVector) -> Result<AnyVector, Status> {
    let tokens: Vec<Vec<f32>> = message.vectors.into_iter().map(|token| token.data).collect();
    MultiVector::from_tokens(&tokens).map(AnyVector::Multi).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(deprecated, reason = "what older clients write")]
    fn vectors_of_older_clients_are_read() {
        let of = |indices: Option<Vec<u32>>, count| {
            let indices = indices.map(|data| q::SparseIndices { data });
            let data = vec![1.0, 2.0, 3.0, 4.0];
            vector(q::Vector { data, indices, vectors_count: count, vector: None })
        };
        assert!(matches!(of(None, None).unwrap(), AnyVector::Dense(values) if values.len() == 4));
        assert!(matches!(of(None, Some(2)).unwrap(), AnyVector::Multi(v) if v.tokens() == 2));
        let indices = Some(vec![4, 3, 2, 1]);
        assert!(matches!(of(indices, None).unwrap(), AnyVector::Sparse(v) if v.len() == 4));
        assert!(of(None, Some(0)).is_err());
    }

    #[test]
    fn a_bad_vector_is_named_by_its_point() {
        let sparse = q::SparseVector { indices: vec![1], values: vec![] };
        let vector =
            q::Vector { vector: Some(q::vector::Vector::Sparse(sparse)), ..Default::default() };
        let vectors = q::NamedVectors { vectors: [("s".to_owned(), vector)].into() };
        let options = Some(VectorsOptions::Vectors(vectors));
        let id = q::PointId::from(7_u64);
        let error = point_vectors(Some(id), Some(q::Vectors { vectors_options: options }));
        let message = error.unwrap_err().message().to_owned();
        assert!(message.starts_with("point 7: vector \"s\": "), "{message}");
    }
}

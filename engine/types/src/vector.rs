//! Checks every vector passes once, at the door.

use thiserror::Error;

use crate::Metric;

/// The largest number of dimensions a vector field may have.
pub const MAX_DIMS: usize = 65_536;

/// A vector that a field refuses.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum VectorError {
    /// The vector's length is not the field's.
    #[error("dimension mismatch: collection has {expected}, vector has {actual}")]
    Dimension {
        /// The field's dimensions.
        expected: usize,
        /// The vector's.
        actual: usize,
    },
    /// A component is NaN or infinite.
    #[error("vector component {position} is {value}: every component must be finite")]
    NotFinite {
        /// Which component.
        position: usize,
        /// What it holds.
        value: f32,
    },
    /// A zero vector has no direction, so no cosine.
    #[error("zero vector under cosine: it has no direction")]
    Zero,
    /// The squared length is beyond f32: distances would not be finite.
    #[error("vector too long: its squared length overflows f32")]
    TooLong,
}

/// Checks that a vector fits a field of `dims` dimensions under `metric`.
///
/// # Errors
///
/// [`VectorError`] for a wrong length, a component that is not finite, a length beyond f32, or a
/// zero vector under cosine.
pub fn validate_vector(vector: &[f32], dims: usize, metric: Metric) -> Result<(), VectorError> {
    if vector.len() != dims {
        return Err(VectorError::Dimension { expected: dims, actual: vector.len() });
    }
    // All are looked at, many at a time; which one it is matters only where one is wrong.
    let finite = vector.iter().fold(true, |finite, value| finite & value.is_finite());
    if !finite && let Some(position) = vector.iter().position(|value| !value.is_finite()) {
        return Err(VectorError::NotFinite { position, value: vector[position] });
    }
    if metric == Metric::Cosine {
        if vector.iter().all(|&value| value == 0.0) {
            return Err(VectorError::Zero);
        }
    } else if squared_length(vector) > f64::from(f32::MAX) / 4.0 {
        return Err(VectorError::TooLong);
    }
    Ok(())
}

/// How far the squared length of a normalized vector may be from one: each component is off by at
/// most 2^-24 of itself, so the sum of squares by little more than 2^-23.
const ROUNDING: f64 = 1.0 / (1 << 22) as f64;

/// Brings a vector to length one; a zero vector is left as it is.
///
/// The sum runs in f64, so that components near the ends of f32's range survive. A vector that has
/// length one, as far as f32 can tell, is left as it is: normalizing twice is normalizing once, and
/// what was stored, exported and imported has the same bits.
pub fn normalize(vector: &mut [f32]) {
    let squared = squared_length(vector);
    let length = squared.sqrt();
    if length > 0.0 && (squared - 1.0).abs() > ROUNDING {
        for value in vector {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}

/// Sums in eight parts, because one addition waits for the one before.
fn squared_length(vector: &[f32]) -> f64 {
    let square = |&value: &f32| f64::from(value) * f64::from(value);
    let (eights, rest) = vector.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += square(value));
    }
    sums.iter().sum::<f64>() + rest.iter().map(square).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_refusal_names_what_is_wrong() {
        let refuse = |vector: &[f32], metric| validate_vector(vector, 2, metric).unwrap_err();
        assert_eq!(
            refuse(&[1.0], Metric::Dot).to_string(),
            "dimension mismatch: collection has 2, vector has 1"
        );
        assert!(matches!(
            refuse(&[1.0, f32::NAN], Metric::Dot),
            VectorError::NotFinite { position: 1, .. }
        ));
        assert_eq!(refuse(&[0.0, -0.0], Metric::Cosine), VectorError::Zero);
        assert_eq!(refuse(&[1e30, 1.0], Metric::L2), VectorError::TooLong);
        assert_eq!(validate_vector(&[1e30, 1.0], 2, Metric::Cosine), Ok(()));
    }

    #[test]
    fn normalize_survives_extremes() {
        for scale in [1e-38, 1.0, 1e38] {
            let mut vector = [3.0 * scale, 2.0 * scale];
            normalize(&mut vector);
            let length = squared_length(&vector).sqrt();
            assert!((length - 1.0).abs() < 1e-6, "{scale}: {length}");
        }
    }

    proptest! {
        #[test]
        fn normalizing_twice_is_normalizing_once(
            mut vector in prop::collection::vec(-1e3..1e3_f32, 1..40)
        ) {
            normalize(&mut vector);
            let once = vector.clone();
            normalize(&mut vector);
            prop_assert_eq!(vector, once);
        }
    }
}

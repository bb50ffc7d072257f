//! The score of late interaction.

use crate::dual::TokenMatrix;

/// Returns the mean over the rows of `query` of the largest product with any row of `other`: FILIP's
/// score (equations 3 and 4), and ColBERT's over the number of rows. Rows of length one give -1 to 1.
///
/// `None` if the rows are of different lengths, or one of the matrices has none.
#[must_use]
pub fn late_score(query: &TokenMatrix, other: &TokenMatrix) -> Option<f32> {
    let best = best_rows(query, other)?;
    let sum: f32 = best.iter().map(|&(_, product)| product).sum();
    Some(sum / best.len() as f32)
}

/// Returns, for each row of `query`, the row of `other` with the largest product, and the product:
/// which word a patch shows, or which patch a word is about. `None` as in [`late_score`].
#[must_use]
pub fn best_rows(query: &TokenMatrix, other: &TokenMatrix) -> Option<Vec<(usize, f32)>> {
    if query.dims() != other.dims() || query.rows() == 0 || other.rows() == 0 {
        return None;
    }
    let best = |row: &[f32]| {
        let products = other.iter().map(|other| dot(row, other)).enumerate();
        products
            .fold((0, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
    };
    Some(query.iter().map(best).collect())
}

/// Sums in several parts, so that an addition need not wait for the one before it.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const PARTS: usize = 16;
    let (a, b) = (a.as_chunks::<PARTS>(), b.as_chunks::<PARTS>());
    let mut sums = [0.0f32; PARTS];
    for (a, b) in a.0.iter().zip(b.0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a.1.iter().zip(b.1).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(dims: usize, data: &[f32]) -> TokenMatrix {
        TokenMatrix::new(dims, data.to_vec()).unwrap()
    }

    #[test]
    fn the_two_directions_differ() {
        let image = matrix(2, &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8]);
        let text = matrix(2, &[1.0, 0.0]);
        let score = |a, b| late_score(a, b).unwrap();
        assert!((score(&image, &text) - 1.6 / 3.0).abs() < 1e-6);
        assert_eq!(score(&text, &image), 1.0);
        assert_eq!(best_rows(&text, &image).unwrap(), [(0, 1.0)]);
        assert_eq!(late_score(&image, &matrix(3, &[0.0; 3])), None);
        assert_eq!(late_score(&image, &matrix(2, &[])), None);
    }

    #[test]
    fn products_of_any_length_are_whole() {
        for len in [1, 15, 16, 17, 40] {
            let row: Vec<f32> = (0..len).map(|i| (i + 1) as f32).collect();
            let expected: f32 = row.iter().map(|x| x * x).sum();
            assert_eq!(dot(&row, &row), expected);
        }
    }
}

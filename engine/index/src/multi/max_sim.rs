//! The exact similarity of multi-vectors, and what they are as halves.

use bigrain_kernels::{half_to_f32, max_sim_f16};
use bigrain_types::{HalfTokens, MultiVector, TokensView};
use half::f16;

/// Returns the mean over the query's tokens of the largest dot product with any of `tokens`.
///
/// ```
/// use bigrain_index::multi::{max_sim, round};
/// use bigrain_types::MultiVector;
///
/// let tokens = MultiVector::from_tokens(&[[1.0, 0.0], [0.0, 1.0]])?;
/// let query = MultiVector::from_tokens(&[[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])?;
/// let similarity = max_sim(&query, round(&tokens).view());
/// assert!((similarity - (1.0 + 0.8 + 1.0) / 3.0).abs() < 1e-3);
/// # Ok::<(), bigrain_types::MultiVectorError>(())
/// ```
///
/// # Panics
///
/// When the two have other dimensions.
#[must_use]
pub fn max_sim(query: &MultiVector, tokens: TokensView<'_>) -> f32 {
    assert_eq!(query.dims(), tokens.header().dims(), "multi-vectors differ in dimensions");
    let mut best = vec![f32::NEG_INFINITY; query.tokens()];
    max_sim_f16(query.values(), tokens.halves(), &mut best);
    best.iter().sum::<f32>() / query.tokens() as f32
}

/// Rounds components to the nearest half; what is beyond the largest becomes the largest.
#[must_use]
pub fn round(vector: &MultiVector) -> HalfTokens {
    let half = |value: f32| f16::from_f32(value).clamp(f16::MIN, f16::MAX).to_bits();
    HalfTokens::rounded(vector, half)
}

/// Whether halves hold every number exactly.
#[must_use]
pub fn are_halves(values: &[f32]) -> bool {
    values.iter().all(|&value| f16::from_f32(value).to_f32() == value)
}

/// Returns the components of stored tokens; exact.
#[must_use]
pub fn widen(tokens: TokensView<'_>) -> MultiVector {
    tokens.widened(half_to_f32)
}

#[cfg(test)]
mod tests {
    use bigrain_types::PatchGrid;

    use super::*;

    #[test]
    fn scores_are_the_mean_of_the_largest_dot_products() {
        let value = |i: usize| ((i * 7919) % 64) as f32 / 64.0 - 0.5;
        for (tokens, asked) in [(1, 1), (3, 1), (1, 4), (49, 12)] {
            let stored = MultiVector::new(20, (0..tokens * 20).map(value).collect()).unwrap();
            let query = MultiVector::new(20, (0..asked * 20).map(|i| value(i + 5)).collect());
            let query = query.unwrap();
            let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
            let best = |q: &[f32]| stored.iter().map(|t| dot(q, t)).fold(f32::MIN, f32::max);
            let expected = query.iter().map(best).sum::<f32>() / asked as f32;
            let found = max_sim(&query, round(&stored).view());
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn rounding_twice_is_rounding_once_and_nothing_becomes_infinite() {
        let grid = PatchGrid { height: 1, width: 2 };
        let vector = MultiVector::new(2, vec![0.1, 65_536.0, -1e30, 1e-30]).unwrap();
        let once = round(&vector.with_grid(grid).unwrap());
        let wide = widen(once.view());
        assert_eq!(wide.values()[1..], [65_504.0, -65_504.0, 0.0]);
        assert_eq!((round(&wide), wide.grid()), (once, Some(grid)));
    }
}

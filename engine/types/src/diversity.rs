//! How unlike each other results should be.

use std::num::NonZeroUsize;

use crate::SearchParamsError;

/// The most points that diverse results are picked from, where not more are wanted.
pub const MAX_DIVERSITY_DEPTH: usize = 2_048;

/// How unlike each other results should be: maximal marginal relevance over the nearest candidates.
///
/// Likeness and nearness are both measured as the field's metric has them: by cosine, dot product, or
/// minus the squared distance. In a sparse field, whose queries have few of the dimensions that points have,
/// likeness is the cosine, times the best score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diversity {
    weight: f32,
    depth: Option<NonZeroUsize>,
}

impl Diversity {
    /// Weighs unlikeness against nearness: 0 minds only how near results are, 1 only how unlike each
    /// other.
    ///
    /// # Errors
    ///
    /// [`SearchParamsError::Diversity`] unless it lies between 0 and 1.
    pub fn new(weight: f32) -> Result<Self, SearchParamsError> {
        if !(0.0..=1.0).contains(&weight) {
            return Err(SearchParamsError::Diversity(weight));
        }
        Ok(Self { weight, depth: None })
    }

    /// Picks from the nearest `depth` points, or from as many as results are wanted if that is more;
    /// unless stated from ten times as many, 100 at least.
    ///
    /// # Errors
    ///
    /// [`SearchParamsError::DiversityDepth`] for zero or more than [`MAX_DIVERSITY_DEPTH`].
    pub fn with_depth(mut self, depth: usize) -> Result<Self, SearchParamsError> {
        let checked = NonZeroUsize::new(depth).filter(|depth| depth.get() <= MAX_DIVERSITY_DEPTH);
        self.depth = Some(checked.ok_or(SearchParamsError::DiversityDepth(depth))?);
        Ok(self)
    }

    /// Returns how much unlikeness counts.
    #[must_use]
    pub fn weight(&self) -> f32 {
        self.weight
    }

    /// Returns how many points are picked from for so many results.
    #[must_use]
    pub fn depth_for(&self, limit: usize) -> usize {
        let usual = (limit * 10).clamp(100, MAX_DIVERSITY_DEPTH);
        self.depth.map_or(usual, NonZeroUsize::get).max(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diverse_results_are_picked_from_enough() {
        let diversity = Diversity::new(0.3).unwrap();
        for bad in [-0.1, 1.1, f32::NAN] {
            assert!(Diversity::new(bad).is_err(), "{bad}");
        }
        assert!(diversity.with_depth(0).is_err());
        assert!(diversity.with_depth(MAX_DIVERSITY_DEPTH + 1).is_err());
        let depths = [1, 50, 5000].map(|limit| diversity.depth_for(limit));
        assert_eq!(depths, [100, 500, 5000]);
        assert_eq!(diversity.with_depth(7).unwrap().depth_for(3), 7);
    }
}

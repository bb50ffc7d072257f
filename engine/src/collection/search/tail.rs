//! What a similarity is worth in its own list: how many standard deviations it lies above what any row of the field
//! would have.
//!
//! ```text
//!  similarity of rank i  ~  a + b z(1 - (i - 1/2) / n)        n: rows of the field that the filter leaves
//!  deviations            =  (similarity - a) / b              z: the quantile of the normal distribution
//! ```
//!
//! Similarities of two encoders cannot be compared, deviations can, whatever the sizes of both fields and whatever
//! the query: `a` and `b` are those of one query in one field, by least squares through the nearest rows. The
//! very nearest are left out: these may be what the query is about, and are not drawn from anything.

use super::Hit;

/// The nearest hits, through which no line is laid.
const SKIPPED: usize = 5;

/// Where the line ends: a search that needs it looks for so many hits at least.
pub(super) const DEPTH: usize = 50;

/// Fewer hits than these behind the very nearest make no line.
const LEAST: usize = 10;

/// The line of one query in one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tail {
    intercept: f64,
    /// Above 0.
    slope: f64,
}

impl Tail {
    /// Lays the line through hits, best first, of a field with so many rows; none where they are too few, or all alike.
    pub fn fit(hits: &[Hit], rows: u64) -> Option<Self> {
        let rows = rows.max(hits.len() as u64) as f64;
        let quantile = |rank: usize| deviations_above((rank as f64 + 0.5) / rows);
        let ranked = hits.iter().enumerate().take(DEPTH).skip(SKIPPED);
        let points: Vec<(f64, f64)> =
            ranked.map(|(rank, hit)| (quantile(rank), f64::from(hit.similarity))).collect();
        if points.len() < LEAST {
            return None;
        }
        let count = points.len() as f64;
        let (x, y) =
            points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let (x, y) = (x / count, y / count);
        let along: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let slope = along / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
        (slope.is_finite() && slope > 0.0).then_some(Self { intercept: y - slope * x, slope })
    }

    /// Returns the similarity that is as many deviations above the rows of this line's field as one of another's
    /// is above those of its own.
    pub fn as_far_out(&self, of: &Self, similarity: f32) -> f32 {
        let deviations = (f64::from(similarity) - of.intercept) / of.slope;
        (self.intercept + self.slope * deviations) as f32
    }
}

/// Returns what a share of the normal distribution lies above, to 0.0005 (Abramowitz and Stegun 26.2.23).
fn deviations_above(share: f64) -> f64 {
    if share > 0.5 {
        return -deviations_above(1.0 - share);
    }
    let t = (-2.0 * share.max(f64::MIN_POSITIVE).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    t - above / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(similarities: impl IntoIterator<Item = f64>) -> Vec<Hit> {
        let hit = |(id, similarity)| Hit { similarity: similarity as f32, id: (id as u64).into() };
        similarities.into_iter().enumerate().map(hit).collect()
    }

    /// The nearest rows of a normal distribution, after some that are no part of it.
    fn nearest(rows: u64, mean: f64, deviation: f64, matches: usize) -> Vec<Hit> {
        let row = |rank| mean + deviation * deviations_above((rank as f64 + 0.5) / rows as f64);
        hits((0..60).map(|rank| if rank < matches { mean + 9.0 * deviation } else { row(rank) }))
    }

    #[test]
    fn quantiles_are_those_of_tables() {
        for (share, deviations) in [
            (0.5, 0.0),
            (0.158_655, 1.0),
            (0.975, -1.959_964),
            (0.001, 3.090_232),
            (1e-6, 4.753_424),
        ] {
            assert!((deviations_above(share) - deviations).abs() < 5e-4, "{share}");
        }
        assert!(deviations_above(0.0).is_finite());
    }

    #[test]
    fn what_a_query_is_about_stands_out_alike_in_fields_of_any_size_and_scale() {
        let one = Tail::fit(&nearest(200, 0.1, 0.05, 1), 200).unwrap();
        let other = Tail::fit(&nearest(1_000_000, 0.5, 0.2, 3), 1_000_000).unwrap();
        // Nine deviations above the mean, in terms of either.
        assert!((one.as_far_out(&other, 0.5 + 9.0 * 0.2) - (0.1 + 9.0 * 0.05)).abs() < 1e-3);
        assert!((other.as_far_out(&one, 0.1) - 0.5).abs() < 1e-3);
    }

    #[test]
    fn too_few_hits_or_equal_ones_make_no_line() {
        assert_eq!(Tail::fit(&nearest(100, 0.0, 1.0, 0)[..SKIPPED + LEAST - 1], 100), None);
        assert!(Tail::fit(&nearest(100, 0.0, 1.0, 0)[..SKIPPED + LEAST], 100).is_some());
        assert_eq!(Tail::fit(&hits([0.5; 60]), 100), None);
        // More hits than rows are counted: some were written meanwhile.
        assert!(Tail::fit(&nearest(100, 0.0, 1.0, 0), 7).is_some());
    }
}

//! Ranking by a score that no index knows: every point that matches is looked at.

use bigrain_engine::{Cursor, PointId, ScrollParams};
use tonic::Status;

use super::{Level, Ranked, Scope};
use crate::qdrant::convert::{AnyVector, stored_vector};
use crate::status;

/// Points that are read together.
const PAGE: usize = 1_000;

impl Scope<'_> {
    /// Returns the points with the greatest scores among those that match and have a vector in the field, and
    /// that score well enough.
    pub(super) fn scan(
        &self,
        level: &Level,
        score: &dyn Fn(&AnyVector) -> Option<f32>,
    ) -> Result<Ranked, Status> {
        let field = level.field();
        let mut params = ScrollParams::new(PAGE).map_err(status::from_engine)?;
        params = params.with_vectors(true).with_payload(false);
        if let Some(filter) = &level.filter {
            params = params.with_filter(filter.clone());
        }
        let good_enough =
            |score: &f32| level.score_threshold.is_none_or(|threshold| *score >= threshold);
        let mut best = Best::new(level.limit);
        loop {
            self.check_cancelled()?;
            let page = self.collection.scroll_page(&params).map_err(status::from_engine)?;
            let (full, last) = (page.points.len() == PAGE, page.points.last());
            let last = last.map(|point| point.id.clone());
            for point in page.points {
                let vector = stored_vector(&point, &field);
                if let Some(score) = vector.as_ref().and_then(score).filter(good_enough) {
                    best.push(point.id, score);
                }
            }
            match last {
                Some(last) if full => params = params.from_cursor(Cursor::after(last)),
                _ => return Ok(best.into_ranked()),
            }
        }
    }
}

/// The points with the greatest scores so far; among equals those of smaller ids.
struct Best {
    limit: usize,
    points: Ranked,
}

impl Best {
    fn new(limit: usize) -> Self {
        Self { limit, points: Vec::new() }
    }

    fn push(&mut self, id: PointId, score: f32) {
        self.points.push((id, score));
        if self.points.len() >= 2 * self.limit + PAGE {
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.points.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        self.points.truncate(self.limit);
    }

    fn into_ranked(mut self) -> Ranked {
        self.sort();
        self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_many_are_kept() {
        let mut best = Best::new(3);
        for id in 0..5_000_u64 {
            best.push(id.into(), (id % 1_000) as f32);
        }
        let expected: Ranked = [999, 1_999, 2_999].map(|id| (id.into(), 999.0)).into();
        assert_eq!(best.into_ranked(), expected);
    }
}

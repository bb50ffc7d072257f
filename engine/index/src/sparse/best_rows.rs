//! The best rows of a search, and all that are as good as the last of them.

use bigrain_kernels::{Scored, TopK};

/// Keeps the best `limit` of all rows that are offered, and whatever scores as much as the last of
/// these: which of those is wanted is for somebody to say who knows more than offsets.
#[derive(Debug)]
pub(super) struct BestRows {
    /// Knows the score that a row must have.
    top: TopK,
    floor: f32,
    /// What was good enough when it came.
    rows: Vec<Scored>,
    shrink_at: usize,
}

impl BestRows {
    /// Keeps nothing that scores less than `floor`.
    pub fn new(limit: usize, floor: f32) -> Self {
        let shrink_at = limit.saturating_mul(2).max(64);
        Self { top: TopK::new(limit), floor, rows: Vec::new(), shrink_at }
    }

    /// Returns the score below which nothing is kept.
    pub fn threshold(&self) -> f32 {
        self.top.threshold().max(self.floor)
    }

    /// Offers a row.
    pub fn push(&mut self, score: f32, offset: u32) {
        if score >= self.threshold() {
            self.top.push(score, offset);
            self.rows.push(Scored { score, offset });
            if self.rows.len() >= self.shrink_at {
                self.shrink();
                self.shrink_at = self.shrink_at.max(2 * self.rows.len());
            }
        }
    }

    /// Returns the rows, the best first, equal ones in the order of their offsets.
    pub fn into_sorted(mut self) -> Vec<Scored> {
        self.shrink();
        self.rows.sort_unstable_by(|a, b| {
            b.score.total_cmp(&a.score).then_with(|| a.offset.cmp(&b.offset))
        });
        self.rows
    }

    fn shrink(&mut self) {
        let threshold = self.threshold();
        let limit = self.top.limit();
        self.rows.retain(|row| limit > 0 && row.score >= threshold);
    }
}

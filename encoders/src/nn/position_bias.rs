//! A bias in attention by how far a key is from its query (T5, MPNet).
//!
//! Distances share a learned value by buckets: near ones have their own, far ones by the logarithm
//! of the distance, all beyond 128 the last. Backward and forward each have half of the buckets.

/// Buckets of both directions together.
pub(crate) const BUCKETS: usize = 32;
/// Distance from which all share a bucket.
const FARTHEST: f32 = 128.0;

/// The bias of each head for every distance.
#[derive(Debug)]
pub(crate) struct PositionBias {
    /// The largest distance.
    reach: usize,
    /// `[heads][2 reach + 1]`, from a key as far before its query as there is to one as far behind.
    table: Vec<f32>,
}

impl PositionBias {
    /// Spreads `weight`, `[BUCKETS, heads]`, over the distances in texts of up to `max_tokens`.
    /// Each value is multiplied by `scale`.
    pub(crate) fn new(weight: &[f32], heads: usize, max_tokens: usize, scale: f32) -> Self {
        let reach = max_tokens.saturating_sub(1);
        let distances = 0..2 * reach + 1;
        let table = (0..heads)
            .flat_map(|head| {
                distances.clone().map(move |at| {
                    let bucket = bucket(at as isize - reach as isize);
                    weight[bucket * heads + head] * scale
                })
            })
            .collect();
        Self { reach, table }
    }

    /// All of it: `[heads][2 reach + 1]`, from a key as far before its query as there is to one as far behind.
    pub(crate) fn table(&self) -> &[f32] {
        &self.table
    }

    /// The bias of one query for the keys from the first on, at least as many as there are.
    pub(super) fn row(&self, head: usize, query: usize) -> &[f32] {
        let width = 2 * self.reach + 1;
        &self.table[head * width..][..width][self.reach - query..]
    }
}

/// The bucket of the distance from a query to a key.
fn bucket(distance: isize) -> usize {
    let half = BUCKETS / 2;
    let own = half / 2;
    let forward = if distance > 0 { half } else { 0 };
    let far = distance.unsigned_abs();
    if far < own {
        return forward + far;
    }
    // In `f32`, as the reference does: at powers of two the last bit decides.
    let ratio = (far as f32 / own as f32).ln() / (FARTHEST / own as f32).ln();
    forward + (own + (ratio * (half - own) as f32) as usize).min(half - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_distances_have_their_own_bucket_and_far_ones_share() {
        assert_eq!((bucket(0), bucket(-7), bucket(7)), (0, 7, 23));
        assert_eq!((bucket(-8), bucket(-11), bucket(-12)), (8, 8, 9));
        assert_eq!((bucket(16), bucket(32), bucket(64)), (26, 28, 30));
        assert_eq!((bucket(-127), bucket(-100_000), bucket(128)), (15, 15, 31));
    }

    #[test]
    fn a_row_starts_at_the_first_key() {
        let weight: Vec<f32> = (0..BUCKETS * 2).map(|i| i as f32).collect();
        let bias = PositionBias::new(&weight, 2, 4, 0.5);
        // Query 2, head 1: keys at -2, -1, 0, 1.
        assert_eq!(bias.row(1, 2)[..4], [2.5, 1.5, 0.5, 17.5]);
    }
}

//! Random numbers that belong to a seed and a document.

/// A stream of numbers, the same for the same seed and id on every machine (SplitMix64 from a
/// hash of both).
#[derive(Clone, Debug)]
pub(super) struct DocumentRng(u64);

impl DocumentRng {
    pub(super) fn new(seed: u64, id: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(id.as_bytes());
        let mut state = [0; 8];
        state.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(u64::from_le_bytes(state))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number above 0 and below 1.
    pub(super) fn unit(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// A number of the Poisson distribution with this mean, drawn again while it is 0.
    pub(super) fn positive_poisson(&mut self, mean: f64) -> usize {
        loop {
            let (end, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
            while product > end {
                product *= self.unit();
                count += 1;
            }
            if count > 0 {
                return count;
            }
        }
    }

    /// Draws `count` places by weight, each at most once: those with the largest `ln(u) / weight`
    /// (Efraimidis and Spirakis). Places of weight 0 are never drawn.
    pub(super) fn without_replacement(&mut self, weights: &[f64], count: usize) -> Vec<usize> {
        let mut keys: Vec<(f64, usize)> = Vec::with_capacity(weights.len());
        for (place, &weight) in weights.iter().enumerate() {
            let key = self.unit().ln() / weight;
            if weight > 0.0 {
                keys.push((key, place));
            }
        }
        keys.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        keys.into_iter().take(count).map(|(_, place)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_belongs_to_seed_and_id() {
        let first = |seed, id| DocumentRng::new(seed, id).next();
        assert_eq!(first(1, "a"), first(1, "a"));
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
    }

    #[test]
    fn lengths_have_the_mean_of_a_poisson_number_that_is_not_zero() {
        let mut rng = DocumentRng::new(7, "");
        let count = 20_000;
        let sum: usize = (0..count).map(|_| rng.positive_poisson(3.0)).sum();
        let expected = 3.0 / (1.0 - (-3.0f64).exp());
        assert!((sum as f64 / f64::from(count) - expected).abs() < 0.05);
    }

    #[test]
    fn heavier_places_are_drawn_more_often_and_none_twice() {
        let mut rng = DocumentRng::new(7, "");
        let weights = [1.0, 0.0, 3.0];
        let mut first = [0; 3];
        for _ in 0..10_000 {
            let drawn = rng.without_replacement(&weights, 5);
            assert_eq!(drawn.len(), 2);
            first[drawn[0]] += 1;
        }
        assert_eq!(first[1], 0);
        assert!((f64::from(first[2]) / 10_000.0 - 0.75).abs() < 0.02, "{first:?}");
    }
}

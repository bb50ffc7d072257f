//! A random order that is the same every time.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Puts items in a random order, which is the same for the same seed and number of items.
pub fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for at in (1..items.len()).rev() {
        items.swap(at, (random.next_u64() % (at as u64 + 1)) as usize);
    }
}

/// Returns the numbers below `count` in a random order.
#[must_use]
pub fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    shuffle(&mut numbers, seed);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_every_number_once_and_follows_the_seed() {
        let mut sorted = shuffled(50, 1);
        assert_eq!(sorted, shuffled(50, 1));
        assert_ne!(sorted, shuffled(50, 2));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        assert!(shuffled(0, 1).is_empty());
    }
}

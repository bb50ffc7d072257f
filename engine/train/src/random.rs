//! Seeded numbers.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// Returns a standard normal number (Box and Muller's method, one of each pair).
pub(crate) fn normal(random: &mut ChaCha8Rng) -> f32 {
    let [radius, angle] = [(); 2].map(|()| (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64);
    ((-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
}

/// Returns a number below `limit`, which is above 0.
pub(crate) fn below(limit: usize, random: &mut ChaCha8Rng) -> usize {
    (random.next_u64() % limit as u64) as usize
}

/// Returns up to `count` different numbers below `limit`.
pub(crate) fn draw_some(limit: usize, count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    if count >= limit {
        return (0..limit).collect();
    }
    let mut seen = HashSet::with_capacity(count);
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count {
        let at = below(limit, random);
        if seen.insert(at) {
            chosen.push(at);
        }
    }
    chosen
}

//! What the tests of this room make their codes and queries from.

use crate::QueryPlanes;

/// Returns words from a small generator: proptest's own would take seconds for as many.
pub(super) fn words(seed: u64) -> impl Iterator<Item = u64> {
    (1_u64..).map(move |i| {
        let state = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 27)
    })
}

/// Returns `rows` rows of `dims` bits whose pads are zero.
pub(super) fn rows(rows: usize, dims: usize, seed: u64) -> Vec<u64> {
    let count = dims.div_ceil(64);
    let pads = 64 * count - dims;
    let mask = |i: usize| if i % count == count - 1 { u64::MAX >> pads } else { u64::MAX };
    words(seed).take(rows * count).enumerate().map(|(i, word)| word & mask(i)).collect()
}

/// The kinds of queries that sums have to fit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Every magnitude is as likely as any other.
    Uniform,
    /// Every magnitude is the largest.
    Largest,
    /// Every magnitude is 1.
    Smallest,
    /// One nibble has the largest magnitudes, the next the smallest: at 3 to 6 bits a group of
    /// entries can sum up to exactly 256.
    Alternating,
}

impl Kind {
    pub(super) const ALL: [Self; 4] =
        [Self::Uniform, Self::Largest, Self::Smallest, Self::Alternating];

    /// Returns the planes of a query of this kind; its signs are random.
    pub(super) fn planes(self, dims: usize, width: usize, seed: u64) -> Vec<u64> {
        let mut planes = rows(width, dims, seed);
        let words = dims.div_ceil(64);
        let (signs, lower) = planes.split_at_mut(words);
        for plane in lower.chunks_exact_mut(words) {
            for (w, (bits, signs)) in plane.iter_mut().zip(&*signs).enumerate() {
                let used = dims - (64 * w).min(dims);
                let mask = u64::MAX >> (64 - used.min(64));
                match self {
                    Self::Uniform => {}
                    Self::Largest => *bits = signs & mask,
                    Self::Smallest => *bits = !signs & mask,
                    Self::Alternating => *bits = (signs ^ 0xf0f0_f0f0_f0f0_f0f0) & mask,
                }
            }
        }
        assert!(QueryPlanes::new(&planes, dims).is_ok());
        planes
    }
}

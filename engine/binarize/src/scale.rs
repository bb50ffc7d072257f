//! Choosing the scale `t` at which a rotated vector is rounded to odd integers.
//!
//! The code of `x'` is the nearest grid point of `x' / t`. What counts is the angle between the two,
//! `rho = <u, x'> / (||u|| ||x'||)`: the estimate's error is `sqrt((1 - rho^2) / rho^2)`. At one
//! level the code does not depend on `t` at all.
//!
//! After a random rotation coordinates are close to normal with deviation `||x|| / sqrt(D)`, so
//! the step that is best for a normal variable (Max, 1960) is nearly best for each vector:
//! [`ScaleSearch::Fixed`] takes it for the price of one length.
//!
//! Nearly, because `D` numbers are a small sample: the best multiple of it strays about 1, by a
//! deviation that is `SPREADS / sqrt(D)` for as long as it is small, and where it is not (many
//! levels, few dimensions) the best step is shorter, since the largest of few numbers is smaller than
//! a normal variable's tail. What the fixed step loses, in `1 - rho^2` over that of the best step, and
//! what [`ScaleSearch::Grid`] does, in the mean of normal vectors:
//!
//! ```text
//!  D       64            128           384           768           1536
//!  levels  fixed  grid   fixed  grid   fixed  grid   fixed  grid   fixed  grid
//!  2       1.3 %  0.1 %  0.6 %  0.0 %  0.2 %  0.0 %  0.1 %  0.1 %  0.1 %  0.1 %
//!  3       7.2    0.4    3.7    0.2    1.2    0.1    0.7    0.1    0.3    0.3
//!  4      22.8    2.1   12.1    0.9    4.0    0.4    2.3    0.3    1.2    0.1
//!  5      50      6.4   30      3.3   10.8    1.4    6.3    0.7    3.3    0.5
//!  6      85     17     55      7.9   24      4.1   16.5    2.3    9.1    1.3
//! ```

use bigrain_kernels::quantize_sums;

/// Half the best step of a uniform quantiser of a standard normal variable, for 1 to 8 bits.
const NORMAL_SCALES: [f64; 8] =
    [0.797_88, 0.497_87, 0.293_01, 0.167_60, 0.094_07, 0.052_03, 0.028_42, 0.015_39];

/// The deviation of the best multiple of it, times `sqrt(D)`, for 1 to 8 bits; measured.
const SPREADS: [f64; 8] = [0.0, 0.7, 1.0, 1.5, 2.1, 2.8, 3.6, 4.5];

/// The largest deviation: beyond it the best multiples no longer spread, but shrink.
const LARGEST_SPREAD: f64 = 0.13;

/// Deviations on either side of the mean that [`ScaleSearch::Grid`] covers.
const REACH: f64 = 1.8;

/// How hard to look for a vector's best scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScaleSearch {
    /// The scale that is best on average.
    Fixed,
    /// The best of some scales around it: up to nine, as many as there is something to gain by, none
    /// at one level. Each costs a pass over the vector. The default.
    #[default]
    Grid,
    /// The best of all, by walking the scales at which the code changes: `O(2^B D log D)`.
    Exact,
}

impl ScaleSearch {
    /// Returns `1 / t` for a rotated vector of length `norm > 0`; `changes` is scratch memory.
    pub(crate) fn inverse_scale(
        self,
        rotated: &[f32],
        norm: f64,
        levels: usize,
        changes: &mut Vec<(f32, u32)>,
    ) -> f32 {
        let deviation = norm / (rotated.len() as f64).sqrt();
        let normal = 1.0 / (NORMAL_SCALES[levels - 1] * deviation);
        match self {
            _ if levels == 1 => normal as f32,
            Self::Fixed => normal as f32,
            Self::Grid => best_of_grid(rotated, normal, levels),
            Self::Exact => best_of_all(rotated, levels, changes),
        }
    }
}

fn best_of_grid(rotated: &[f32], normal: f64, levels: usize) -> f32 {
    let mut best = (f64::NEG_INFINITY, normal as f32);
    for multiple in multiples(rotated.len(), levels) {
        let inverse_scale = (normal / multiple) as f32;
        let sums = quantize_sums(rotated, inverse_scale, levels);
        let dot = f64::from(sums.dot) / f64::from(inverse_scale);
        let quality = dot * dot / f64::from(sums.norm_squared);
        if quality > best.0 {
            best = (quality, inverse_scale);
        }
    }
    best.1
}

/// Returns the multiples of the normal scale that are worth comparing.
fn multiples(dims: usize, levels: usize) -> impl Iterator<Item = f64> {
    let spread = SPREADS[levels - 1] / (dims as f64).sqrt();
    let count = match spread {
        ..0.03 => 1,
        ..0.06 => 5,
        ..0.12 => 7,
        _ => 9,
    };
    let mean = (1.0 - 1.6 * spread * spread).max(0.6);
    let reach = REACH * spread.min(LARGEST_SPREAD);
    let step = if count == 1 { reach } else { 2.0 * reach / f64::from(count - 1) };
    (0..count).map(move |i| {
        let multiple = mean + step * (f64::from(i) - 0.5 * f64::from(count - 1));
        // The one next to 1 is moved there, so that a search is never worse than none.
        if (multiple - 1.0).abs() <= 0.5 * step { 1.0 } else { multiple }
    })
}

/// Walks `s = 1 / t` upwards from 0, where every coordinate is +1 or -1. Coordinate `i` grows by 2
/// when `s |x_i|` passes 2, 4, .., so between two such values the code stays as it is, and
/// `<u, x'>` and `||u||^2` are updated in one step each.
fn best_of_all(rotated: &[f32], levels: usize, changes: &mut Vec<(f32, u32)>) -> f32 {
    changes.clear();
    for even in 1..1_u32 << (levels - 1) {
        let at = |(i, x): (usize, &f32)| (2.0 * even as f32 / x.abs(), i as u32);
        changes.extend(rotated.iter().enumerate().filter(|(_, x)| **x != 0.0).map(at));
    }
    changes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));

    let mut values = vec![1.0f64; rotated.len()];
    let mut dot: f64 = rotated.iter().map(|x| f64::from(x.abs())).sum();
    let mut norm_squared = rotated.len() as f64;
    let first = changes.first().map_or(1.0, |first| first.0);
    let mut best = (dot * dot / norm_squared, 0.5 * first);
    for (position, &(scale, i)) in changes.iter().enumerate() {
        let value = &mut values[i as usize];
        dot += 2.0 * f64::from(rotated[i as usize].abs());
        norm_squared += 4.0 * *value + 4.0;
        *value += 2.0;
        let next = changes.get(position + 1).map_or(2.0 * scale, |next| next.0);
        let quality = dot * dot / norm_squared;
        if quality > best.0 && next > scale {
            best = (quality, 0.5 * scale + 0.5 * next);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::gaussian_rows;

    /// `1 - rho^2` of a vector at the scale that a search finds.
    fn loss(search: ScaleSearch, vector: &[f32], levels: usize) -> f64 {
        let norm_squared = bigrain_kernels::reference::dot(vector, vector);
        let scale = search.inverse_scale(vector, norm_squared.sqrt(), levels, &mut Vec::new());
        let sums = quantize_sums(vector, scale, levels);
        let dot = f64::from(sums.dot) / f64::from(scale);
        1.0 - dot * dot / (f64::from(sums.norm_squared) * norm_squared)
    }

    #[test]
    fn a_longer_search_is_never_worse_and_fixed_is_close_to_the_best() {
        for levels in 2..=4 {
            let mut sums = [0.0; 3];
            for seed in 0..20 {
                let vector = gaussian_rows(1, 384, seed);
                let fixed = loss(ScaleSearch::Fixed, &vector, levels);
                let grid = loss(ScaleSearch::Grid, &vector, levels);
                let exact = loss(ScaleSearch::Exact, &vector, levels);
                assert!(exact <= grid + 1e-6 && grid <= fixed + 1e-6, "{levels} {seed}");
                for (sum, loss) in sums.iter_mut().zip([fixed, grid, exact]) {
                    *sum += loss / 20.0;
                }
            }
            assert!(sums[0] < 1.12 * sums[2], "{levels} levels: {sums:?}");
        }
    }

    #[test]
    fn the_grid_finds_most_of_what_there_is_to_gain() {
        for (dims, levels) in [(64, 2), (64, 3), (64, 4), (128, 4), (384, 3), (768, 4), (1536, 4)] {
            let mut sums = [0.0; 3];
            for seed in 0..100 {
                let vector = gaussian_rows(1, dims, seed);
                let searches = [ScaleSearch::Fixed, ScaleSearch::Grid, ScaleSearch::Exact];
                for (sum, search) in sums.iter_mut().zip(searches) {
                    *sum += loss(search, &vector, levels);
                }
            }
            let [fixed, grid, exact] = sums;
            let missed = (grid - exact) / (fixed - exact);
            assert!(missed < 0.25, "{dims} dims, {levels} levels: {missed:.2} of the gain is left");
        }
    }

    #[test]
    fn a_grid_has_the_fixed_scale_in_it_wherever_codes_have_so_many_levels() {
        for dims in [64, 128, 384, 768, 1536, 4096] {
            for levels in 1..=4 {
                let ones = multiples(dims, levels).filter(|&multiple| multiple == 1.0).count();
                assert_eq!(ones, 1, "{dims} dims, {levels} levels");
            }
        }
    }

    #[test]
    fn the_distortion_of_a_normal_variable_is_that_of_the_literature() {
        let vector = gaussian_rows(1, 65_536, 11);
        let published = [0.363_4, 0.118_8, 0.037_44, 0.011_54];
        for (levels, published) in (1..).zip(published) {
            let loss = loss(ScaleSearch::Fixed, &vector, levels);
            assert!((loss / published - 1.0).abs() < 0.02, "{levels} levels: {loss}");
        }
    }

    #[test]
    fn exact_search_takes_vectors_with_zeros() {
        let mut vector = vec![0.0; 64];
        (vector[3], vector[9]) = (1.0, -0.2);
        assert!(loss(ScaleSearch::Exact, &vector, 4) < loss(ScaleSearch::Fixed, &vector, 4));
    }
}

//! The nearest lists of rows are those that comparing all centroids finds.

use std::sync::Arc;

use bigrain_binarize::{ListCentroids, Rotation};
use bigrain_gpu::{Backend, GpuCentroids, GpuError};

use crate::support::{Numbers, devices};

/// Centroids with what belongs to them; every seventh is the one before.
struct Lists {
    dims: usize,
    vectors: Vec<f32>,
    norms_squared: Vec<f32>,
    penalties: Vec<f32>,
}

impl Lists {
    fn new(dims: usize, count: usize, is_penalized: bool) -> Self {
        let mut numbers = Numbers(dims as u64 + 7 * count as u64);
        let mut vectors = numbers.floats(count * dims);
        let mut penalties = numbers.floats(count);
        penalties.iter_mut().for_each(|penalty| *penalty = penalty.abs() * dims as f32 / 10.0);
        for list in (6..count).step_by(7) {
            vectors.copy_within((list - 1) * dims..list * dims, list * dims);
            penalties[list] = penalties[list - 1];
        }
        if !is_penalized {
            penalties.clear();
        }
        let norm = |vector: &[f32]| vector.iter().map(|x| x * x).sum();
        let norms_squared = vectors.chunks(dims).map(norm).collect();
        Self { dims, vectors, norms_squared, penalties }
    }

    fn load(&self, device: &Arc<dyn Backend>, rotation: Option<&Rotation>) -> GpuCentroids {
        GpuCentroids::load(Arc::clone(device), &self.as_centroids(), rotation).unwrap()
    }

    fn as_centroids(&self) -> ListCentroids<'_> {
        let Self { dims, vectors, norms_squared, penalties } = self;
        ListCentroids { vectors, dims: *dims, norms_squared, penalties }
    }

    /// How far each centroid is from a row, its penalty included.
    fn distances(&self, row: &[f32]) -> Vec<f64> {
        let distance = |(list, vector): (usize, &[f32])| {
            let squared = |(x, c): (&f32, &f32)| (f64::from(*x) - f64::from(*c)).powi(2);
            let penalty = self.penalties.get(list).copied().unwrap_or(0.0);
            row.iter().zip(vector).map(squared).sum::<f64>() + f64::from(penalty)
        };
        self.vectors.chunks(self.dims).enumerate().map(distance).collect()
    }

    /// Checks that a list is the nearest one of a row, up to rounding, and the first of those that are the same.
    fn check(&self, row: &[f32], found: u32, what: &str) {
        let distances = self.distances(row);
        let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
        let slack = 8.0 * f64::from(f32::EPSILON) * (self.dims as f64) * (1.0 + least.abs());
        let found = found as usize;
        assert!(distances[found] <= least + slack, "{what}: {} of {least}", distances[found]);
        let first = distances.iter().position(|&distance| distance == distances[found]);
        assert_eq!(first, Some(found), "{what}");
    }
}

/// Numbers of centroids, on both sides of a tile and of several.
const COUNTS: [usize; 7] = [1, 2, 63, 64, 65, 129, 300];

#[test]
fn the_nearest_list_is_that_of_comparing_all() {
    for (dims, rows) in [(1, 3), (15, 64), (16, 65), (17, 1), (64, 130)] {
        for count in COUNTS {
            for is_penalized in [false, true] {
                let lists = Lists::new(dims, count, is_penalized);
                let mut rows = Numbers(3).floats(rows * dims);
                // A row that is a centroid of which there may be another one.
                rows[..dims].copy_from_slice(&lists.vectors[count.min(6) / 6 * dims..][..dims]);
                let mut all = Vec::new();
                for device in devices() {
                    let found = lists.load(&device, None).nearest(&rows).unwrap();
                    let what = format!("{}: {dims} dims, {count} lists", device.name());
                    assert_eq!(found.len(), rows.len() / dims, "{what}");
                    for (row, &found) in rows.chunks(dims).zip(&found) {
                        lists.check(row, found, &what);
                    }
                    all.push(found);
                }
                // The order in which threads come changes nothing.
                assert_eq!(all[0], all[1]);
            }
        }
    }
}

#[test]
fn rows_are_rotated_bit_for_bit_and_then_compared() {
    for dims in [7, 64, 100] {
        let rotation = Rotation::new(dims, 3).unwrap();
        let padded = rotation.rotated_dims();
        let lists = Lists::new(padded, 70, true);
        let rows = Numbers(9).floats(66 * dims);
        let mut expected = vec![0.0; 66 * padded];
        for (row, rotated) in rows.chunks(dims).zip(expected.chunks_mut(padded)) {
            rotation.rotate(row, rotated);
        }
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for device in devices() {
            let loaded = lists.load(&device, Some(&rotation));
            let mut rotated = vec![0.0; expected.len()];
            let found = loaded.rotate_and_find(&rows, &mut rotated).unwrap();
            assert_eq!(bits(&rotated), bits(&expected), "{}: {dims}", device.name());
            assert_eq!(found, loaded.nearest(&expected).unwrap());
        }
    }
}

#[test]
fn rows_and_centroids_that_are_no_numbers_have_some_list() {
    let mut lists = Lists::new(4, 70, false);
    lists.vectors[4 * 69] = f32::NAN;
    lists.norms_squared[69] = f32::NAN;
    for device in devices() {
        let loaded = lists.load(&device, None);
        let found =
            loaded.nearest(&[f32::NAN, 0.0, 0.0, 0.0, f32::INFINITY, 0.0, 0.0, 0.0]).unwrap();
        assert_eq!(found[0], 0);
        assert!(found[1] < 70);
        assert_eq!(loaded.nearest(&lists.vectors[..4]).unwrap(), [0]);
    }
}

#[test]
fn what_is_not_whole_is_refused() {
    let lists = Lists::new(64, 5, true);
    let (fits, other) = (Rotation::new(50, 1).unwrap(), Rotation::new(65, 1).unwrap());
    let whole = lists.as_centroids();
    for device in devices() {
        let load = |centroids: ListCentroids<'_>, rotation: Option<&Rotation>| {
            GpuCentroids::load(Arc::clone(&device), &centroids, rotation)
        };
        let refused = [
            load(ListCentroids { vectors: &[], norms_squared: &[], penalties: &[], ..whole }, None),
            load(ListCentroids { norms_squared: &lists.norms_squared[1..], ..whole }, None),
            load(ListCentroids { penalties: &lists.penalties[1..], ..whole }, None),
            load(whole, Some(&other)),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(GpuError::Shape(_))), "{refused:?}");
        }
        let loaded = load(whole, Some(&fits)).unwrap();
        assert!(loaded.nearest(&[0.0; 63]).is_err());
        assert!(loaded.nearest(&[]).unwrap().is_empty());
        assert!(loaded.rotate_and_find(&[0.0; 51], &mut [0.0; 64]).is_err());
        assert!(loaded.rotate_and_find(&[0.0; 50], &mut [0.0; 63]).is_err());
        assert!(load(whole, None).unwrap().rotate_and_find(&[0.0; 50], &mut [0.0; 64]).is_err());
    }
}

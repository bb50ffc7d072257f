//! The centres of k-means over vectors that a caller holds.
//!
//! What a segment does to its rows to make lists of them, for whoever looks at a collection as a whole: how
//! far a vector is from what is common, and which vectors belong together. It is the k-means of
//! [`bigrain_index::lists`], so groups are kept at like sizes.

use bigrain_binarize::{Binarizer, BinarizerError};
use bigrain_index::lists::{KMeans, NearestCentroid, Nearness, OwnedCentroids, train};
use bigrain_types::{Levels, Metric};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// Vectors whose nearest prototypes one task finds.
const CHUNK: usize = 256;

/// Centres of groups of vectors.
#[derive(Debug)]
pub struct Prototypes {
    rotation: Binarizer,
    by_distance: Binarizer,
    centroids: OwnedCentroids,
}

/// A vector's nearest prototype.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearestPrototype {
    /// Which one.
    pub prototype: usize,
    /// The Euclidean distance to it.
    pub distance: f32,
}

impl Prototypes {
    /// Trains at most `count` prototypes on `vectors`, of `dims` numbers each. The same vectors and seed
    /// give the same prototypes. Runs on the current thread pool.
    ///
    /// # Errors
    ///
    /// For no prototypes or no vectors, and vectors of another length or of lengths that have no codes.
    pub fn train(vectors: &[f32], dims: usize, count: usize, seed: u64) -> Result<Self> {
        if count == 0 || vectors.is_empty() || dims == 0 || !vectors.len().is_multiple_of(dims) {
            let values = vectors.len();
            let message = format!("{count} prototypes of {values} values in rows of {dims}");
            return Err(Error::invalid(format!("{message}: expected at least one of each")));
        }
        let (rotation, by_distance) =
            binarizers(dims, seed).map_err(|error| Error::invalid(error.to_string()))?;
        let rotated: Vec<f32> =
            vectors.par_chunks(dims).flat_map_iter(|vector| rotate(&rotation, vector)).collect();
        let trained = train(&rotated, &by_distance, &KMeans::new(count, seed), &|_, _| {});
        // Sizes were kept alike while training; what is nearest is a matter of distance alone.
        let centroids = trained.without_penalties(&by_distance, Nearness::Distance);
        Ok(Self { rotation, by_distance, centroids })
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.centroids.as_centroids().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the nearest prototype of each of `vectors`, which are of the length of those it was trained
    /// on. Where two are about as near, codes may choose the other; the distance is exact.
    ///
    /// # Errors
    ///
    /// For vectors of another length.
    pub fn nearest(&self, vectors: &[f32]) -> Result<Vec<NearestPrototype>> {
        let dims = self.rotation.dims();
        if !vectors.len().is_multiple_of(dims) {
            let message = format!("{} values are no vectors of {dims} dimensions", vectors.len());
            return Err(Error::invalid(message));
        }
        let nearest = |vectors: &[f32]| {
            let mut search = NearestCentroid::new(&self.centroids, &self.by_distance);
            let mut found = Vec::with_capacity(vectors.len() / dims);
            for vector in vectors.chunks_exact(dims) {
                let rotated = rotate(&self.rotation, vector);
                let list = search.of(&rotated);
                let squared = bigrain_kernels::l2_squared(&rotated, self.centroids.vector(list));
                found.push(NearestPrototype { prototype: list as usize, distance: squared.sqrt() });
            }
            found
        };
        Ok(vectors.par_chunks(CHUNK * dims).flat_map_iter(nearest).collect())
    }
}

/// The rotation, and what compares rotated rows.
fn binarizers(
    dims: usize,
    seed: u64,
) -> std::result::Result<(Binarizer, Binarizer), BinarizerError> {
    let rotation = Binarizer::new_rotation(dims, Levels::ONE, Metric::L2, seed)?;
    let by_distance = rotation.for_centroids(Metric::L2)?;
    Ok((rotation, by_distance))
}

fn rotate(rotation: &Binarizer, vector: &[f32]) -> Vec<f32> {
    let mut rotated = vec![0.0; rotation.layout().dims()];
    rotation.rotate(vector, &mut rotated);
    rotated
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows around `[±5, 0, 0, ...]`, which alternate; each is a little off along a dimension of its own.
    fn two_groups() -> Vec<f32> {
        let row = |at: usize| {
            let mut row = vec![0.0; 16];
            row[0] = if at.is_multiple_of(2) { 5.0 } else { -5.0 };
            row[1 + at % 15] = 0.5;
            row
        };
        (0..60).flat_map(row).collect()
    }

    #[test]
    fn groups_have_prototypes_of_their_own_and_distances_are_to_them() {
        let rows = two_groups();
        let prototypes = Prototypes::train(&rows, 16, 6, 1).unwrap();
        let nearest = prototypes.nearest(&rows).unwrap();
        assert_eq!((prototypes.len(), nearest.len()), (6, 60));
        let of_group = |group: usize| -> std::collections::BTreeSet<usize> {
            nearest.iter().skip(group).step_by(2).map(|found| found.prototype).collect()
        };
        assert!(of_group(0).is_disjoint(&of_group(1)), "{nearest:?}");
        assert!(nearest.iter().all(|found| found.distance < 0.8), "{nearest:?}");
        let mut far = vec![0.0; 16];
        far[0] = 9.0;
        let found = prototypes.nearest(&far).unwrap()[0];
        assert!(of_group(0).contains(&found.prototype));
        assert!((found.distance - 4.0).abs() < 0.2, "{found:?}");
    }

    #[test]
    fn what_is_no_vectors_is_refused() {
        for (values, dims, count) in [(0, 16, 1), (16, 16, 0), (17, 16, 1), (16, 0, 1)] {
            assert!(Prototypes::train(&vec![0.5; values], dims, count, 0).is_err());
        }
        let prototypes = Prototypes::train(&two_groups(), 16, 2, 0).unwrap();
        assert!(prototypes.nearest(&[0.0; 17]).is_err());
    }
}

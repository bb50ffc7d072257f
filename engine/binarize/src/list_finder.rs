//! What finds the lists of rows elsewhere than on this CPU, while an index is built: the other seam to a GPU.
//!
//! A [`ListFinder`] takes the centroids of lists once; then it is given some rows at a time, from any number of
//! threads. What it answers is the nearest centroid by exact distances. It never decides what a code is: whoever asks
//! encodes each row about the centroid that was found, as it does of centroids that it found itself.

use std::fmt::Debug;

use bigrain_types::DeviceError;

use crate::Rotation;

/// The centroids of lists, in rotated coordinates.
#[derive(Clone, Copy, Debug)]
pub struct ListCentroids<'a> {
    /// One centroid after the other, one at least, each of `dims` numbers.
    pub vectors: &'a [f32],
    /// The dimensions of a centroid.
    pub dims: usize,
    /// The squared length of each.
    pub norms_squared: &'a [f32],
    /// What is added to the squared distance of each; empty for nothing.
    pub penalties: &'a [f32],
}

/// Finds the lists of rows on a device that has its own memory.
pub trait ListFinder: Debug + Send + Sync {
    /// Copies centroids to the device, and the rotation of rows that are to come unrotated.
    ///
    /// # Errors
    ///
    /// [`DeviceError::DoesNotFit`] where its memory is too small; [`DeviceError::Unsupported`] for dimensions that it
    /// has no kernel for; [`DeviceError::Failed`].
    fn load_centroids(
        &self,
        centroids: &ListCentroids<'_>,
        rotation: Option<&Rotation>,
    ) -> Result<Box<dyn LoadedCentroids>, DeviceError>;
}

/// Centroids in the memory of a device.
pub trait LoadedCentroids: Debug + Send + Sync {
    /// Returns the nearest centroid of each rotated row: that of the least squared distance and penalty, and the first
    /// of those that are equally near. Which of two comes first that differ by no more than the rounding of a sum of
    /// `dims` products is the device's choice, and always the same one.
    ///
    /// # Errors
    ///
    /// [`DeviceError`], also where the rows do not fit beside the centroids.
    fn nearest(&self, rotated: &[f32]) -> Result<Vec<u32>, DeviceError>;

    /// Rotates rows into `rotated`, with the bits of [`Rotation::rotate`], and returns the nearest centroid of each.
    ///
    /// # Errors
    ///
    /// As [`LoadedCentroids::nearest`]; [`DeviceError::Unsupported`] where no rotation was loaded or `rotated` has
    /// another length.
    fn rotate_and_find(&self, rows: &[f32], rotated: &mut [f32]) -> Result<Vec<u32>, DeviceError>;
}

//! Lists that a device finds for rows, in place of this CPU.
//!
//! A device compares a row with all centroids exactly. This CPU compares it with those that codes say are worth it
//! ([`Centroids::nearest`](super::Centroids::nearest)), and so misses the nearest now and then: lists differ in that,
//! and where two centroids are equally near but for rounding. Codes do not differ: a row is rotated with the same bits,
//! and encoded about its centroid here.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bigrain_binarize::{DeviceError, ListCentroids, ListFinder, LoadedCentroids, Rotation};

use super::OwnedCentroids;

/// Bytes of rows that a device is given at a time, by each thread: several threads' rows are copied and compared at the
/// same time, which is what keeps a device busy.
const STAGE_BYTES: usize = 4 << 20;

/// Returns about how much memory each thread needs here for a device: rows on their way, as they are and rotated.
#[must_use]
pub const fn stage_bytes() -> usize {
    2 * STAGE_BYTES
}

/// A device that finds the lists of rows, for one build.
#[derive(Debug)]
pub struct DeviceLists<'a> {
    finder: &'a dyn ListFinder,
    least_pairs: u64,
    found: AtomicU64,
    failed: OnceLock<DeviceError>,
}

impl<'a> DeviceLists<'a> {
    /// Where rows times lists are fewer than `least_pairs`, they are left to the CPU.
    #[must_use]
    pub fn new(finder: &'a dyn ListFinder, least_pairs: u64) -> Self {
        Self { finder, least_pairs, found: AtomicU64::new(0), failed: OnceLock::new() }
    }

    /// Returns of how many rows the device found the list, those of each iteration of training included.
    #[must_use]
    pub fn rows_found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    /// Returns what the device refused, if it did; the CPU has found the lists of those rows, and all that followed.
    #[must_use]
    pub fn into_failure(self) -> Option<DeviceError> {
        self.failed.into_inner()
    }

    /// Copies centroids to the device, for so many rows that are to come; nothing where the CPU should find their lists.
    pub(crate) fn load(
        &self,
        centroids: &OwnedCentroids,
        rotation: Option<&Rotation>,
        rows: usize,
    ) -> Option<LoadedLists<'_>> {
        let of_lists = centroids.as_centroids();
        let (lists, dims) = (of_lists.len(), of_lists.mean.0.len());
        let pairs = rows as u64 * lists as u64;
        if lists < 2 || pairs < self.least_pairs.max(1) || self.failed.get().is_some() {
            return None;
        }
        let vectors = ListCentroids {
            vectors: of_lists.vectors,
            dims,
            norms_squared: of_lists.norms_squared,
            penalties: of_lists.penalties,
        };
        let loaded = self.taken(self.finder.load_centroids(&vectors, rotation))?;
        Some(LoadedLists { of: self, loaded, lists: lists as u32, dims })
    }

    /// Returns what the device answered, or notes why it did not.
    fn taken<T>(&self, answer: Result<T, DeviceError>) -> Option<T> {
        // Whoever comes second has nothing to add.
        answer.map_err(|error| self.failed.set(error)).ok()
    }
}

/// Centroids on a device, for the rows of one pass.
#[derive(Debug)]
pub(crate) struct LoadedLists<'a> {
    of: &'a DeviceLists<'a>,
    loaded: Box<dyn LoadedCentroids>,
    lists: u32,
    dims: usize,
}

impl LoadedLists<'_> {
    /// Cuts so many rows into those that are handed over together.
    pub fn parts(&self, rows: usize) -> Vec<Range<usize>> {
        let together = (STAGE_BYTES / (4 * self.dims)).max(1);
        (0..rows).step_by(together).map(|first| first..rows.min(first + together)).collect()
    }

    /// Returns the list of each rotated row; nothing where the CPU should find them.
    pub fn nearest(&self, rotated: &[f32]) -> Option<Vec<u32>> {
        self.ask(rotated.len() / self.dims, || self.loaded.nearest(rotated))
    }

    /// Rotates rows and returns the list of each; nothing, and `rotated` is anything, where the CPU should do so.
    pub fn rotate_and_find(&self, rows: &[f32], rotated: &mut [f32]) -> Option<Vec<u32>> {
        let count = rotated.len() / self.dims;
        self.ask(count, || self.loaded.rotate_and_find(rows, rotated))
    }

    fn ask(
        &self,
        rows: usize,
        ask: impl FnOnce() -> Result<Vec<u32>, DeviceError>,
    ) -> Option<Vec<u32>> {
        if self.of.failed.get().is_some() {
            return None;
        }
        let found = self.of.taken(ask().and_then(|found| self.checked(rows, found)))?;
        self.of.found.fetch_add(rows as u64, Ordering::Relaxed);
        Some(found)
    }

    /// Refuses an answer to something else than was asked.
    fn checked(&self, rows: usize, found: Vec<u32>) -> Result<Vec<u32>, DeviceError> {
        let lists = self.lists;
        if found.len() != rows {
            let answers = found.len();
            return Err(DeviceError::Unsupported(format!(
                "lists of {answers} rows, not of {rows}"
            )));
        }
        match found.iter().find(|&&list| list >= lists) {
            Some(list) => Err(DeviceError::Unsupported(format!("list {list} of {lists}"))),
            None => Ok(found),
        }
    }
}

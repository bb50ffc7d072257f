//! The device as the candidate index knows it.

use std::sync::Arc;

use bigrain_binarize::{
    CodeBlocks, CodeScanner, DeviceError, ListCentroids, ListFinder, LoadedCentroids, LoadedCodes,
    Rotation, ScanRequest, ScoredCode,
};

use crate::{Backend, GpuCentroids, GpuCodes};

/// Scans codes on a GPU, and finds the lists of rows there.
#[derive(Clone, Debug)]
pub struct GpuScanner(Arc<dyn Backend>);

impl GpuScanner {
    /// Scans on a device.
    #[must_use]
    pub fn new(device: Arc<dyn Backend>) -> Self {
        Self(device)
    }
}

impl CodeScanner for GpuScanner {
    fn device(&self) -> String {
        self.0.name()
    }

    fn load(&self, codes: &CodeBlocks<'_>) -> Result<Box<dyn LoadedCodes>, DeviceError> {
        Ok(Box::new(GpuCodes::load(Arc::clone(&self.0), codes)?))
    }

    fn list_finder(&self) -> Option<&dyn ListFinder> {
        Some(self)
    }
}

impl ListFinder for GpuScanner {
    fn load_centroids(
        &self,
        centroids: &ListCentroids<'_>,
        rotation: Option<&Rotation>,
    ) -> Result<Box<dyn LoadedCentroids>, DeviceError> {
        Ok(Box::new(GpuCentroids::load(Arc::clone(&self.0), centroids, rotation)?))
    }
}

impl LoadedCentroids for GpuCentroids {
    fn nearest(&self, rotated: &[f32]) -> Result<Vec<u32>, DeviceError> {
        Ok(Self::nearest(self, rotated)?)
    }

    fn rotate_and_find(&self, rows: &[f32], rotated: &mut [f32]) -> Result<Vec<u32>, DeviceError> {
        Ok(Self::rotate_and_find(self, rows, rotated)?)
    }
}

impl LoadedCodes for GpuCodes {
    fn memory_bytes(&self) -> u64 {
        Self::memory_bytes(self)
    }

    fn scan(&self, requests: &[ScanRequest<'_>]) -> Result<Vec<Vec<ScoredCode>>, DeviceError> {
        Ok(Self::scan(self, requests)?)
    }
}

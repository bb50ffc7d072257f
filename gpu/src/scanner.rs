//! The device as the candidate index knows it.

use std::sync::Arc;

use bigrain_binarize::{
    CodeBlocks, CodeScanner, LoadedCodes, ScanRequest, ScannerError, ScoredCode,
};

use crate::{Backend, GpuCodes, GpuError};

/// Scans codes on a GPU.
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

    fn load(&self, codes: &CodeBlocks<'_>) -> Result<Box<dyn LoadedCodes>, ScannerError> {
        Ok(Box::new(GpuCodes::load(Arc::clone(&self.0), codes)?))
    }
}

impl LoadedCodes for GpuCodes {
    fn memory_bytes(&self) -> u64 {
        Self::memory_bytes(self)
    }

    fn scan(&self, requests: &[ScanRequest<'_>]) -> Result<Vec<Vec<ScoredCode>>, ScannerError> {
        Ok(Self::scan(self, requests)?)
    }
}

impl From<GpuError> for ScannerError {
    fn from(error: GpuError) -> Self {
        match error {
            GpuError::OutOfMemory { needed, free, .. } => Self::DoesNotFit { needed, free },
            GpuError::Shape(reason) => Self::Unsupported(reason),
            failed @ (GpuError::Unavailable(_)
            | GpuError::Compile { .. }
            | GpuError::Device { .. }) => Self::Failed(Box::new(failed)),
        }
    }
}

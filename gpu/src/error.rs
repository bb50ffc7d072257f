//! What can go wrong with a GPU.

use bigrain_types::DeviceError;
use thiserror::Error;

/// Why a GPU did not do what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GpuError {
    /// There is no GPU, no driver or no compiler for its kernels; the text says which.
    #[error("no GPU can be used: {0}")]
    Unavailable(String),
    /// The memory of the device is too small.
    #[error("{what}: {needed} bytes do not fit, {free} are free on the device")]
    OutOfMemory {
        /// What was to be placed.
        what: &'static str,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// Arguments that no kernel takes.
    #[error("{0}")]
    Shape(String),
    /// The kernels could not be compiled.
    #[error("kernels could not be compiled for {architecture}: {log}")]
    Compile {
        /// For what.
        architecture: String,
        /// What the compiler said.
        log: String,
    },
    /// The driver refused something.
    #[error("{doing}: {reason}")]
    Device {
        /// What was being done.
        doing: &'static str,
        /// What the driver said.
        reason: String,
    },
}

impl From<GpuError> for DeviceError {
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

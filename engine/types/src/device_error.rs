//! What a device with its own memory may answer in place of what was asked.

use std::error::Error;

use thiserror::Error;

/// Why a device did not do what was asked. Whoever asked does it on the CPU.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The memory of the device is too small for what it holds and this.
    #[error("{needed} bytes do not fit into the device's memory, of which {free} are free")]
    DoesNotFit {
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The device has no kernel for what it was given.
    #[error("{0}")]
    Unsupported(String),
    /// The device failed.
    #[error("the device failed: {0}")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

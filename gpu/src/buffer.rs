//! Memory of a device.

use std::any::Any;
use std::fmt;

/// Bytes in the memory of a device; given back when dropped.
pub struct DeviceBuffer {
    address: u64,
    bytes: usize,
    _memory: Box<dyn Any + Send + Sync>,
}

impl DeviceBuffer {
    /// Wraps memory that lives as long as `memory`.
    #[must_use]
    pub fn new(address: u64, bytes: usize, memory: Box<dyn Any + Send + Sync>) -> Self {
        Self { address, bytes, _memory: memory }
    }

    /// Returns where it begins, as kernels see it.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Returns how long it is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl fmt::Debug for DeviceBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceBuffer of {} bytes", self.bytes)
    }
}

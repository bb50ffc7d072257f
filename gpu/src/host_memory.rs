//! Memory of the host that a device copies from and to.

#![expect(unsafe_code, reason = "a device writes into it")]

use std::any::Any;
use std::fmt;
use std::ptr::NonNull;

use crate::backend::check_range;
use crate::{DeviceBuffer, GpuError};

/// Bytes of the host, at a multiple of 8, that copies may be at work on after a call has returned; given back when
/// dropped.
pub struct HostMemory {
    address: NonNull<u8>,
    bytes: usize,
    _memory: Box<dyn Any + Send + Sync>,
}

// SAFETY: the memory is this value's alone, and so is where it points to.
unsafe impl Send for HostMemory {}
// SAFETY: a shared reference gives no access to the bytes but for who promises that nobody else has it.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// Wraps memory that lives as long as `memory`.
    ///
    /// # Safety
    ///
    /// `address` must be a multiple of 8 and that of so many bytes, which were written once and which nothing else
    /// refers to.
    #[must_use]
    pub unsafe fn new(
        address: NonNull<u8>,
        bytes: usize,
        memory: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self { address, bytes, _memory: memory }
    }

    /// Takes memory as programs have it, which the system may move elsewhere: a driver copies it through memory of its
    /// own, and waits for that.
    #[must_use]
    pub fn pageable(bytes: usize) -> Self {
        let mut words = vec![0_u64; bytes.div_ceil(8)];
        let address = NonNull::from(&mut words[..]).cast();
        Self { address, bytes, _memory: Box::new(words) }
    }

    /// Returns where it begins.
    #[must_use]
    pub fn address(&self) -> *mut u8 {
        self.address.as_ptr()
    }

    /// Returns how long it is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the first bytes.
    ///
    /// # Safety
    ///
    /// No copy into them may be at work while the reference lives.
    pub(crate) unsafe fn first(&self, bytes: usize) -> &[u8] {
        let bytes = bytes.min(self.bytes);
        // SAFETY: so many bytes are there and were written; the caller answers for nobody writing them.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), bytes) }
    }

    /// Returns the first bytes, to be written.
    ///
    /// # Safety
    ///
    /// No copy from or into them may be at work while the reference lives.
    pub(crate) unsafe fn first_mut(&mut self, bytes: usize) -> &mut [u8] {
        let bytes = bytes.min(self.bytes);
        // SAFETY: as above, and the reference to this value is the only one.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), bytes) }
    }
}

impl fmt::Debug for HostMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostMemory of {} bytes", self.bytes)
    }
}

/// Bytes to be copied between the host and a device.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// Here.
    pub host: &'a HostMemory,
    /// Where in it.
    pub host_at: usize,
    /// There.
    pub device: &'a DeviceBuffer,
    /// Where in it.
    pub device_at: usize,
    /// How many.
    pub bytes: usize,
}

impl Transfer<'_> {
    /// Checks that the bytes are there on both sides.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] when they are not.
    pub fn check(&self) -> Result<(), GpuError> {
        check_range(self.device.bytes(), self.device_at, self.bytes)?;
        check_range(self.host.bytes(), self.host_at, self.bytes)
    }

    /// Returns where it begins on the device.
    #[must_use]
    pub fn device_address(&self) -> u64 {
        self.device.address() + self.device_at as u64
    }

    /// Returns where it begins on the host.
    #[must_use]
    pub fn host_address(&self) -> *mut u8 {
        self.host.address().wrapping_add(self.host_at)
    }
}

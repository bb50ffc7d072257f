//! What runs kernels: the seam between what is computed and the machine that does it.

use std::fmt::Debug;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::{Arg, CodeShape, DeviceBuffer, GpuError, Kernel, Product};

/// A kernel with all that it takes to run it.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Which one.
    pub kernel: Kernel,
    /// The constants that it is compiled with.
    pub shape: CodeShape,
    /// Blocks in x and y.
    pub grid: [u32; 2],
    /// Threads of a block, a multiple of 32.
    pub threads: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared_bytes: u32,
    /// In the order of the kernel's parameters.
    pub args: &'a [Arg<'a>],
}

/// A device: memory, and kernels that work on it.
///
/// Work that one thread asks for is done in the order of its calls. Different threads' work may overlap; memory that a
/// thread has finished writing may be read by all.
#[expect(unsafe_code, reason = "kernels take pointers")]
pub trait Backend: Debug + Send + Sync {
    /// Names the device, for people.
    fn name(&self) -> String;

    /// Returns how many bytes of memory it has, free or not.
    ///
    /// # Errors
    ///
    /// [`GpuError::Device`].
    fn total_bytes(&self) -> Result<u64, GpuError>;

    /// Returns how many bytes of its memory are free.
    ///
    /// # Errors
    ///
    /// [`GpuError::Device`].
    fn free_bytes(&self) -> Result<u64, GpuError>;

    /// Returns how many bytes a second its memory gives at most, where that is known.
    fn memory_bandwidth(&self) -> Option<u64> {
        None
    }

    /// Reserves memory, all zeros.
    ///
    /// # Errors
    ///
    /// [`GpuError::OutOfMemory`], which names `what`; [`GpuError::Device`].
    fn allocate(&self, what: &'static str, bytes: usize) -> Result<DeviceBuffer, GpuError>;

    /// Copies bytes to the device. When this returns, they are there.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] when they do not fit behind `at`; [`GpuError::Device`].
    fn write(&self, buffer: &DeviceBuffer, at: usize, bytes: &[u8]) -> Result<(), GpuError>;

    /// Copies bytes from the device, after what this thread has launched.
    ///
    /// # Errors
    ///
    /// As [`Backend::write`], and what went wrong in a kernel.
    fn read(&self, buffer: &DeviceBuffer, at: usize, bytes: &mut [u8]) -> Result<(), GpuError>;

    /// Has a kernel run; it may not have ended when this returns.
    ///
    /// # Safety
    ///
    /// The arguments must be those of the kernel, by number and type, and no index that it makes of them may lie
    /// outside the buffers.
    ///
    /// # Errors
    ///
    /// [`GpuError`] when it could not be compiled or started.
    unsafe fn launch(&self, launch: &Launch<'_>) -> Result<(), GpuError>;

    /// Returns how many bytes a product may use beside its matrices.
    fn scratch_bytes(&self) -> usize;

    /// Has a product computed; it may not have ended when this returns.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for matrices that are not there in whole; [`GpuError::Unavailable`] where what multiplies
    /// them is missing; [`GpuError::Device`].
    fn multiply(&self, product: &Product<'_>) -> Result<(), GpuError>;
}

/// Copies values to new memory of a device.
pub(crate) fn upload<T: NoUninit>(
    backend: &dyn Backend,
    what: &'static str,
    values: &[T],
) -> Result<DeviceBuffer, GpuError> {
    let bytes: &[u8] = bytemuck::cast_slice(values);
    let buffer = backend.allocate(what, bytes.len().max(1))?;
    backend.write(&buffer, 0, bytes)?;
    Ok(buffer)
}

/// Copies the first values of a buffer from a device.
pub(crate) fn download<T: AnyBitPattern + NoUninit>(
    backend: &dyn Backend,
    buffer: &DeviceBuffer,
    count: usize,
) -> Result<Vec<T>, GpuError> {
    let mut values = vec![T::zeroed(); count];
    backend.read(buffer, 0, bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}

/// Refuses a copy past the end of a buffer.
pub(crate) fn check_range(buffer: &DeviceBuffer, at: usize, len: usize) -> Result<(), GpuError> {
    if at.checked_add(len).is_none_or(|end| end > buffer.bytes()) {
        let bytes = buffer.bytes();
        return Err(GpuError::Shape(format!(
            "copy of {len} bytes at {at} leaves a buffer of {bytes}"
        )));
    }
    Ok(())
}

//! What runs kernels: the seam between what is computed and the machine that does it.

use std::fmt::Debug;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::{
    Arg, CodeShape, DeviceBuffer, Event, GpuError, HostMemory, Kernel, Product, Staging, Stream,
    Transfer,
};

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
/// Each thread has a stream of its own: what it asks for is done in the order of its calls, unless it names another
/// stream. Work of different streams may overlap. Memory that a thread has written, and waited for ([`Backend::finish`],
/// or anything that says so), may be read by all.
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

    /// Returns the memory that copies pass through.
    fn staging(&self) -> &Staging;

    /// Copies bytes to the device. When this returns, they are there for every thread.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] when they do not fit behind `at`; [`GpuError::Device`].
    fn write(&self, buffer: &DeviceBuffer, at: usize, bytes: &[u8]) -> Result<(), GpuError> {
        self.send(buffer, at, bytes)?;
        self.finish()
    }

    /// Has bytes copied to the device. When this returns they may change; they are there for what this thread asks for
    /// after it, and for nobody else.
    ///
    /// # Errors
    ///
    /// As [`Backend::write`].
    fn send(&self, buffer: &DeviceBuffer, at: usize, bytes: &[u8]) -> Result<(), GpuError> {
        self.staging().send(self, (buffer, at), bytes)
    }

    /// Copies bytes from the device, after what this thread has asked for.
    ///
    /// # Errors
    ///
    /// As [`Backend::write`], and what went wrong in a kernel.
    fn read(&self, buffer: &DeviceBuffer, at: usize, bytes: &mut [u8]) -> Result<(), GpuError> {
        self.staging().read(self, (buffer, at), bytes)
    }

    /// Waits for all that this thread has asked for.
    ///
    /// # Errors
    ///
    /// What went wrong in it.
    fn finish(&self) -> Result<(), GpuError>;

    /// Reserves memory of the host that the system leaves where it is, so that the device copies from and to it by
    /// itself.
    ///
    /// # Errors
    ///
    /// [`GpuError::Device`] where there is no more of it; [`HostMemory::pageable`] takes its place.
    fn page_locked(&self, bytes: usize) -> Result<HostMemory, GpuError>;

    /// Makes a stream beside those of threads.
    ///
    /// # Errors
    ///
    /// [`GpuError::Device`].
    fn new_stream(&self) -> Result<Stream, GpuError>;

    /// Makes an event; until it was recorded nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`GpuError::Device`].
    fn new_event(&self) -> Result<Event, GpuError>;

    /// Has an event come when a stream has done what it was asked for so far. No stream is this thread's own; so it is
    /// everywhere.
    ///
    /// # Errors
    ///
    /// [`GpuError::Device`].
    fn record(&self, stream: Option<&Stream>, event: &Event) -> Result<(), GpuError>;

    /// Has a stream wait for an event, as it was recorded last.
    ///
    /// # Errors
    ///
    /// [`GpuError::Device`].
    fn wait(&self, stream: Option<&Stream>, event: &Event) -> Result<(), GpuError>;

    /// Waits for an event, as it was recorded last.
    ///
    /// # Errors
    ///
    /// What went wrong before it came.
    fn wait_here(&self, event: &Event) -> Result<(), GpuError>;

    /// Returns whether an event has come, as it was recorded last.
    ///
    /// # Errors
    ///
    /// What went wrong before it came.
    fn has_ended(&self, event: &Event) -> Result<bool, GpuError>;

    /// Has bytes copied to the device; they may not be there when this returns.
    ///
    /// # Safety
    ///
    /// Until they are there the host's bytes must not change, and both sides' memory must not go.
    ///
    /// # Errors
    ///
    /// As [`Transfer::check`]; [`GpuError::Device`].
    unsafe fn copy_in(
        &self,
        stream: Option<&Stream>,
        transfer: &Transfer<'_>,
    ) -> Result<(), GpuError>;

    /// Has bytes copied from the device; they may not be here when this returns.
    ///
    /// # Safety
    ///
    /// Until they are here nobody may look at the host's bytes, and both sides' memory must not go.
    ///
    /// # Errors
    ///
    /// As [`Transfer::check`]; [`GpuError::Device`].
    unsafe fn copy_out(
        &self,
        stream: Option<&Stream>,
        transfer: &Transfer<'_>,
    ) -> Result<(), GpuError>;

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

/// Copies values to new memory of a device, for every thread.
pub(crate) fn upload<T: NoUninit>(
    backend: &dyn Backend,
    what: &'static str,
    values: &[T],
) -> Result<DeviceBuffer, GpuError> {
    let buffer = send(backend, what, values)?;
    backend.finish()?;
    Ok(buffer)
}

/// Has values copied to new memory of a device, for what this thread asks for after it.
pub(crate) fn send<T: NoUninit>(
    backend: &dyn Backend,
    what: &'static str,
    values: &[T],
) -> Result<DeviceBuffer, GpuError> {
    let bytes: &[u8] = bytemuck::cast_slice(values);
    let buffer = backend.allocate(what, bytes.len().max(1))?;
    backend.send(&buffer, 0, bytes)?;
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

/// Refuses a copy past the end of memory.
pub(crate) fn check_range(bytes: usize, at: usize, len: usize) -> Result<(), GpuError> {
    if at.checked_add(len).is_none_or(|end| end > bytes) {
        return Err(GpuError::Shape(format!(
            "copy of {len} bytes at {at} leaves memory of {bytes}"
        )));
    }
    Ok(())
}

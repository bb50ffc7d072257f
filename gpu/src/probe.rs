//! Which GPUs there are, and opening one.

#![expect(unsafe_code, reason = "the driver is a C library")]

use std::sync::Arc;

use cudarc::driver::{CudaContext, DriverError, sys};

use crate::compile::is_available;
use crate::{Architecture, CodeShape, Cuda, DeviceChoice, GpuError, KernelCache, compile};

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Its number, `N` in `cuda:N`.
    pub number: usize,
    /// What its maker calls it.
    pub name: String,
    /// Its compute capability, as in (9, 0).
    pub capability: (u32, u32),
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of memory that nobody uses.
    pub free_bytes: u64,
    /// Bytes a second that its memory gives at most, where the driver tells its clock and width.
    pub memory_bandwidth: Option<u64>,
}

/// Returns the GPUs of this machine, at least one.
///
/// # Errors
///
/// [`GpuError::Unavailable`], which says what is missing: the driver, a device, or NVRTC.
pub fn devices() -> Result<Vec<DeviceInfo>, GpuError> {
    let count = check_driver()?;
    if !is_available() {
        // Names what is missing and how to get it.
        compile(Architecture::Virtual(80), CodeShape::ANY)?;
    }
    (0..count).map(|number| context(number).and_then(|context| info(number, &context))).collect()
}

/// Opens what was asked for; nothing is the CPU.
///
/// # Errors
///
/// [`GpuError::Unavailable`] when a GPU was asked for by its number and is missing. With [`DeviceChoice::Auto`] that is
/// no error.
pub fn open(choice: DeviceChoice, cache: KernelCache) -> Result<Option<Arc<Cuda>>, GpuError> {
    let number = match choice {
        DeviceChoice::Cpu => return Ok(None),
        DeviceChoice::Auto => 0,
        DeviceChoice::Cuda(number) => number,
    };
    let opened = devices().and_then(|devices| {
        let missing = || {
            let count = devices.len();
            GpuError::Unavailable(format!("there is no cuda:{number}, the driver knows {count}"))
        };
        let info = devices.get(number).cloned().ok_or_else(missing)?;
        Cuda::open(context(number)?, info, cache).map(Arc::new)
    });
    match opened {
        Err(GpuError::Unavailable(_)) if choice == DeviceChoice::Auto => Ok(None),
        opened => opened.map(Some),
    }
}

/// Returns how many GPUs the driver knows, one at least.
fn check_driver() -> Result<usize, GpuError> {
    // SAFETY: loads libraries by their names, whose initialisers are NVIDIA's; nothing of them is called.
    if !unsafe { sys::is_culib_present() } {
        let reason = "the NVIDIA driver is missing (libcuda.so.1)";
        return Err(GpuError::Unavailable(reason.to_owned()));
    }
    let unavailable = |error: DriverError| {
        GpuError::Unavailable(format!("the NVIDIA driver does not answer: {error}"))
    };
    cudarc::driver::result::init().map_err(unavailable)?;
    match CudaContext::device_count().map_err(unavailable)? {
        count @ 1.. => Ok(count as usize),
        _ => Err(GpuError::Unavailable("the NVIDIA driver knows no device".to_owned())),
    }
}

fn context(number: usize) -> Result<Arc<CudaContext>, GpuError> {
    CudaContext::new(number).map_err(|error| refused("open the device", error))
}

fn info(number: usize, context: &CudaContext) -> Result<DeviceInfo, GpuError> {
    let describe = |error| refused("describe the device", error);
    let (major, minor) = context.compute_capability().map_err(describe)?;
    let (free, total) = context.mem_get_info().map_err(describe)?;
    Ok(DeviceInfo {
        number,
        name: context.name().map_err(describe)?,
        capability: (major as u32, minor as u32),
        memory_bytes: total as u64,
        free_bytes: free as u64,
        memory_bandwidth: memory_bandwidth(context),
    })
}

/// Returns twice the clock of the memory, which moves data at both of its edges, times the width of its bus.
fn memory_bandwidth(context: &CudaContext) -> Option<u64> {
    use sys::CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH as WIDTH_BITS,
        CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE as CLOCK_KHZ,
    };
    // A driver that does not tell is no reason to refuse the device.
    let ask = |what| context.attribute(what).ok().filter(|&value| value > 0);
    Some(2 * 1000 * ask(CLOCK_KHZ)? as u64 * (ask(WIDTH_BITS)? as u64 / 8))
}

/// Says what the driver refused.
pub(crate) fn refused(doing: &'static str, error: DriverError) -> GpuError {
    GpuError::Device { doing, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_missing_is_an_error_that_says_what_is_missing() {
        let cache = KernelCache::none();
        assert!(open(DeviceChoice::Cpu, cache.clone()).unwrap().is_none());
        // Number 10,000 is missing on every machine, with a driver or without.
        let error = open(DeviceChoice::Cuda(10_000), cache.clone()).unwrap_err();
        assert!(matches!(error, GpuError::Unavailable(_)), "{error}");
        if let Err(error) = devices() {
            assert!(
                error.to_string().contains("lib") || error.to_string().contains("driver"),
                "{error}"
            );
            assert!(open(DeviceChoice::Auto, cache).unwrap().is_none());
        }
    }
}

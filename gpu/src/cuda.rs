//! A CUDA device.

#![expect(unsafe_code, reason = "the driver is a C library")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaContext, CudaModule, CudaSlice, CudaStream, DevicePtr, result, sys};
use cudarc::nvrtc::Ptx;

use crate::backend::check_range;
use crate::cublas::{Products, SCRATCH_BYTES};
use crate::probe::refused;
use crate::{
    Architecture, Backend, CodeShape, DeviceBuffer, DeviceInfo, GpuError, KernelCache, Launch,
    Product,
};

/// A CUDA device that was opened. Each thread that uses it has a stream of its own.
#[derive(Debug)]
pub struct Cuda {
    context: Arc<CudaContext>,
    info: DeviceInfo,
    cache: KernelCache,
    /// What is compiled and loaded. Held while compiling, so that concurrent searches compile once.
    modules: Mutex<HashMap<CodeShape, Arc<CudaModule>>>,
    /// What multiplies matrices, once that was wanted.
    products: Mutex<Option<Arc<Products>>>,
}

impl Cuda {
    pub(crate) fn open(
        context: Arc<CudaContext>,
        info: DeviceInfo,
        cache: KernelCache,
    ) -> Result<Self, GpuError> {
        if info.capability < (8, 0) {
            let (major, minor) = info.capability;
            return Err(GpuError::Unavailable(format!(
                "{} has compute capability {major}.{minor}, and 8.0 is needed",
                info.name
            )));
        }
        // SAFETY: nothing is shared between streams before a copy has waited for its own.
        unsafe { context.disable_event_tracking() };
        Ok(Self { context, info, cache, modules: Mutex::default(), products: Mutex::default() })
    }

    /// Returns what is known of the device.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Loads what multiplies matrices, which models take and scans do not.
    ///
    /// # Errors
    ///
    /// [`GpuError::Unavailable`] names the library that is missing; [`GpuError::Device`].
    pub fn check_products(&self) -> Result<(), GpuError> {
        self.products().map(|_| ())
    }

    fn products(&self) -> Result<Arc<Products>, GpuError> {
        // What was opened stays good if another thread panicked.
        let mut products = self.products.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*products {
            return Ok(Arc::clone(opened));
        }
        self.context.bind_to_thread().map_err(|error| refused("open cuBLASLt", error))?;
        Ok(Arc::clone(products.insert(Arc::new(Products::open()?))))
    }

    fn stream(&self) -> Arc<CudaStream> {
        self.context.per_thread_stream()
    }

    fn module(&self, shape: CodeShape) -> Result<Arc<CudaModule>, GpuError> {
        // What was loaded stays good if another thread panicked.
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(&shape) {
            return Ok(Arc::clone(module));
        }
        let (major, minor) = self.info.capability;
        // NVRTC 12 knows devices up to 9.0; later ones compile its PTX.
        let architecture = match 10 * major + minor {
            known @ ..=90 => Architecture::Real(known),
            _ => Architecture::Virtual(90),
        };
        let image = Ptx::from_binary(self.cache.image(architecture, shape)?);
        let module = self.context.load_module(image);
        let module = module.map_err(|error| refused("load the kernels", error))?;
        modules.insert(shape, Arc::clone(&module));
        Ok(module)
    }
}

impl Backend for Cuda {
    fn name(&self) -> String {
        format!("cuda:{} ({})", self.info.number, self.info.name)
    }

    fn total_bytes(&self) -> Result<u64, GpuError> {
        Ok(self.info.memory_bytes)
    }

    fn free_bytes(&self) -> Result<u64, GpuError> {
        let info = self.context.mem_get_info();
        let (free, _) = info.map_err(|error| refused("ask for free memory", error))?;
        Ok(free as u64)
    }

    fn memory_bandwidth(&self) -> Option<u64> {
        self.info.memory_bandwidth
    }

    fn allocate(&self, what: &'static str, bytes: usize) -> Result<DeviceBuffer, GpuError> {
        let stream = self.stream();
        let memory: CudaSlice<u8> = match stream.alloc_zeros(bytes) {
            Err(error) if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let free = self.free_bytes()?;
                return Err(GpuError::OutOfMemory { what, needed: bytes as u64, free });
            }
            memory => memory.map_err(|error| refused("reserve memory", error))?,
        };
        let address = memory.device_ptr(&stream).0;
        Ok(DeviceBuffer::new(address, bytes, Box::new(memory)))
    }

    fn write(&self, buffer: &DeviceBuffer, at: usize, bytes: &[u8]) -> Result<(), GpuError> {
        check_range(buffer, at, bytes.len())?;
        let stream = self.stream();
        let address = buffer.address() + at as u64;
        let copy = |error| refused("copy to the device", error);
        self.context.bind_to_thread().map_err(copy)?;
        // SAFETY: the range lies in the buffer, and the bytes live until the copy has ended.
        unsafe { result::memcpy_htod_async(address, bytes, stream.cu_stream()) }.map_err(copy)?;
        stream.synchronize().map_err(copy)
    }

    fn read(&self, buffer: &DeviceBuffer, at: usize, bytes: &mut [u8]) -> Result<(), GpuError> {
        check_range(buffer, at, bytes.len())?;
        let stream = self.stream();
        let address = buffer.address() + at as u64;
        let copy = |error| refused("copy from the device", error);
        self.context.bind_to_thread().map_err(copy)?;
        // SAFETY: the range lies in the buffer, and the bytes live until the copy has ended.
        unsafe { result::memcpy_dtoh_async(bytes, address, stream.cu_stream()) }.map_err(copy)?;
        stream.synchronize().map_err(copy)
    }

    unsafe fn launch(&self, launch: &Launch<'_>) -> Result<(), GpuError> {
        let start = |error| refused("start a kernel", error);
        let module = self.module(launch.shape)?;
        let function = module.load_function(launch.kernel.entry()).map_err(start)?;
        let mut cells: Vec<u64> = launch.args.iter().map(|arg| arg.cell()).collect();
        let mut pointers: Vec<*mut c_void> =
            cells.iter_mut().map(|cell| std::ptr::from_mut(cell).cast()).collect();
        let [x, y] = launch.grid;
        self.context.bind_to_thread().map_err(start)?;
        // SAFETY: the caller answers for the arguments; the driver copies them before it returns.
        unsafe {
            result::launch_kernel(
                function.cu_function(),
                (x, y, 1),
                (launch.threads, 1, 1),
                launch.shared_bytes,
                self.stream().cu_stream(),
                &mut pointers,
            )
        }
        .map_err(start)
    }

    fn scratch_bytes(&self) -> usize {
        SCRATCH_BYTES
    }

    fn multiply(&self, product: &Product<'_>) -> Result<(), GpuError> {
        product.check()?;
        let products = self.products()?;
        self.context.bind_to_thread().map_err(|error| refused("multiply matrices", error))?;
        let stream = self.stream().cu_stream();
        // SAFETY: the matrices were checked and are this device's; their owner frees none before this stream has ended
        // what was asked of it.
        unsafe { products.multiply(product, stream.cast()) }
    }
}

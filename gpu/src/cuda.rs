//! A CUDA device.

#![expect(unsafe_code, reason = "the driver is a C library")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{
    CudaContext, CudaModule, CudaSlice, CudaStream, DevicePtr, DriverError, result, sys,
};
use cudarc::nvrtc::Ptx;

use crate::cublas::{Products, SCRATCH_BYTES};
use crate::probe::refused;
use crate::{
    Architecture, Backend, CodeShape, DeviceBuffer, DeviceInfo, Event, GpuError, HostMemory,
    KernelCache, Launch, Product, Staging, Stream, Transfer,
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
    staging: Staging,
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
        // SAFETY: nothing is shared between streams before its own was waited for, by the host or by an event.
        unsafe { context.disable_event_tracking() };
        let (modules, products) = (Mutex::default(), Mutex::default());
        Ok(Self { context, info, cache, modules, products, staging: Staging::default() })
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

    /// Has the driver do something in a stream, or this thread's own, of this context.
    fn ask(
        &self,
        doing: &'static str,
        stream: Option<&Stream>,
        ask: impl FnOnce(sys::CUstream) -> Result<(), DriverError>,
    ) -> Result<(), GpuError> {
        let refuse = |error| refused(doing, error);
        self.context.bind_to_thread().map_err(refuse)?;
        let own = || self.stream().cu_stream();
        ask(stream.map_or_else(own, |stream| stream.handle() as sys::CUstream)).map_err(refuse)
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

    fn staging(&self) -> &Staging {
        &self.staging
    }

    fn finish(&self) -> Result<(), GpuError> {
        self.stream().synchronize().map_err(|error| refused("wait for the device", error))
    }

    fn page_locked(&self, bytes: usize) -> Result<HostMemory, GpuError> {
        let reserve = |error| refused("reserve page-locked memory", error);
        self.context.bind_to_thread().map_err(reserve)?;
        // Not write-combined, since copies from the device are read here.
        // SAFETY: nothing is asked of the memory before it was written.
        let address = unsafe { result::malloc_host(bytes, 0) }.map_err(reserve)?;
        let Some(address) = NonNull::new(address.cast::<u8>()) else {
            return Err(GpuError::Device {
                doing: "reserve page-locked memory",
                reason: "the driver gave none".to_owned(),
            });
        };
        let memory = PageLocked(Arc::clone(&self.context), address.as_ptr() as u64);
        // SAFETY: the driver has reserved so many bytes, at the begin of a page, for nobody else.
        unsafe {
            address.write_bytes(0, bytes);
            Ok(HostMemory::new(address, bytes, Box::new(memory)))
        }
    }

    fn new_stream(&self) -> Result<Stream, GpuError> {
        let stream = self.context.new_stream().map_err(|error| refused("make a stream", error))?;
        Ok(Stream::new(stream.cu_stream() as u64, Box::new(stream)))
    }

    fn new_event(&self) -> Result<Event, GpuError> {
        let event =
            self.context.new_event(None).map_err(|error| refused("make an event", error))?;
        Ok(Event::new(event.cu_event() as u64, Box::new(event)))
    }

    fn record(&self, stream: Option<&Stream>, event: &Event) -> Result<(), GpuError> {
        let event = event.handle() as sys::CUevent;
        // SAFETY: both are alive and of this context.
        self.ask("record an event", stream, |stream| unsafe {
            result::event::record(event, stream)
        })
    }

    fn wait(&self, stream: Option<&Stream>, event: &Event) -> Result<(), GpuError> {
        let event = event.handle() as sys::CUevent;
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: as above.
        self.ask("wait for an event", stream, |stream| unsafe {
            result::stream::wait_event(stream, event, flags)
        })
    }

    fn wait_here(&self, event: &Event) -> Result<(), GpuError> {
        // SAFETY: as above.
        self.ask("wait for the device", None, |_| unsafe {
            result::event::synchronize(event.handle() as sys::CUevent)
        })
    }

    fn has_ended(&self, event: &Event) -> Result<bool, GpuError> {
        self.context.bind_to_thread().map_err(|error| refused("ask for an event", error))?;
        // SAFETY: as above.
        match unsafe { result::event::query(event.handle() as sys::CUevent) } {
            Ok(()) => Ok(true),
            Err(DriverError(sys::CUresult::CUDA_ERROR_NOT_READY)) => Ok(false),
            Err(error) => Err(refused("ask for an event", error)),
        }
    }

    unsafe fn copy_in(
        &self,
        stream: Option<&Stream>,
        transfer: &Transfer<'_>,
    ) -> Result<(), GpuError> {
        transfer.check()?;
        // SAFETY: the range was checked; the caller answers for its bytes until the copy has ended.
        self.ask("copy to the device", stream, |stream| unsafe {
            let bytes = std::slice::from_raw_parts(transfer.host_address(), transfer.bytes);
            result::memcpy_htod_async(transfer.device_address(), bytes, stream)
        })
    }

    unsafe fn copy_out(
        &self,
        stream: Option<&Stream>,
        transfer: &Transfer<'_>,
    ) -> Result<(), GpuError> {
        transfer.check()?;
        // SAFETY: as above.
        self.ask("copy from the device", stream, |stream| unsafe {
            let bytes = std::slice::from_raw_parts_mut(transfer.host_address(), transfer.bytes);
            result::memcpy_dtoh_async(bytes, transfer.device_address(), stream)
        })
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

/// Memory of the host that the driver has locked, by its address.
struct PageLocked(Arc<CudaContext>, u64);

impl Drop for PageLocked {
    fn drop(&mut self) {
        // It goes with the device, and no copy may be at work on it then. There is nobody to tell of a failure.
        if self.0.synchronize().is_ok() {
            // SAFETY: the driver gave it, and has it back once.
            let _ = unsafe { result::free_host(self.1 as *mut c_void) };
        }
    }
}

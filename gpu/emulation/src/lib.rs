//! Runs the GPU's kernels on the host, from the same source.
//!
//! The text of `gpu/kernels` is compiled as C++ between two headers that supply what CUDA has beyond C++
//! (`gpu/emulation/cpp`): index arithmetic, shared memory, barriers and exchanges between lanes are those of the source.
//! What it cannot tell is what a GPU's compiler and its many threads at once do; it can take turns in two orders, so
//! that what depends on the order of threads shows. Copies and kernels are done at once, or as late as streams and events
//! allow ([`Emulated::late`]): a device does them at any time between.
//!
//! For tests: a C++ compiler must be there.

#![expect(unsafe_code, reason = "calls into a library of C++")]

mod late;
mod work;

use std::path::PathBuf;
use std::process::Command;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bigrain_gpu::{
    Backend, DeviceBuffer, Event, GpuError, HostMemory, Kernel, Launch, Product, SOURCE, Staging,
    Stream, Transfer,
};
use libloading::Library;

use crate::late::{Doing, Late, Owner};
use crate::work::Work;

const BEFORE: &str = include_str!("../cpp/emulated.h");
const AFTER: &str = include_str!("../cpp/launch.h");

/// Flags of the compiler; nothing is fused, as on the device.
const FLAGS: [&str; 7] =
    ["-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-Wno-unknown-pragmas", "-x"];

/// A device that is the host.
#[derive(Debug)]
pub struct Emulated {
    device: Arc<Device>,
    left_out: Option<Kernel>,
    has_page_locked: bool,
    staging: Staging,
    /// Of the next stream or event.
    number: AtomicU64,
}

/// What is done, and when.
#[derive(Debug)]
struct Device {
    library: Library,
    downwards: bool,
    memory_bytes: usize,
    used: AtomicUsize,
    /// Nothing where all is done at once.
    late: Option<Mutex<Late>>,
}

/// Words of memory, and where to say that they go.
struct Words {
    words: Vec<u64>,
    device: Arc<Device>,
    /// Whether they are the device's, and not the host's.
    is_counted: bool,
}

impl Drop for Words {
    fn drop(&mut self) {
        let bytes = 8 * self.words.len();
        if self.is_counted {
            self.device.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        let words = std::mem::take(&mut self.words);
        self.device.late(|late, _| late.free(here(), words));
    }
}

impl Device {
    /// Does a piece of work now, or has it done when somebody waits for it.
    fn ask(&self, stream: Option<&Stream>, work: &Work) -> Result<(), GpuError> {
        let later = self.late(|late, doing| late.ask(owner(stream), work.clone(), doing));
        later.unwrap_or_else(|| self.perform(work))
    }

    fn perform(&self, work: &Work) -> Result<(), GpuError> {
        // SAFETY: whoever asked has checked ranges and answers for arguments, and for memory that is there.
        unsafe { work.perform(&self.library, self.downwards) }
    }

    /// Does something with what is done late, if anything is.
    fn late<T>(&self, with: impl FnOnce(&mut Late, &Doing<'_>) -> T) -> Option<T> {
        // What a thread that panicked has left is what it has asked for.
        let mut late = self.late.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(with(&mut late, &|work| self.perform(work)))
    }
}

/// The thread's own stream.
fn here() -> Owner {
    Owner::Thread(thread::current().id())
}

fn owner(stream: Option<&Stream>) -> Owner {
    stream.map_or_else(here, |stream| Owner::Stream(stream.handle()))
}

impl Emulated {
    /// Compiles the kernels, or takes what was compiled before, from a folder under the system's for temporary files.
    ///
    /// # Errors
    ///
    /// [`GpuError::Unavailable`] without a C++ compiler; [`GpuError::Compile`] with what it said.
    pub fn open() -> Result<Self, GpuError> {
        let failed = |log: String| GpuError::Compile { architecture: "the host".to_owned(), log };
        let path = build().map_err(failed)?;
        // SAFETY: the library was compiled from the source in this repository and has no initialisers of its own.
        let library = unsafe { Library::new(&path) }.map_err(|error| failed(error.to_string()))?;
        let device = Device {
            library,
            downwards: false,
            memory_bytes: 1 << 30,
            used: AtomicUsize::new(0),
            late: None,
        };
        Ok(Self {
            device: Arc::new(device),
            left_out: None,
            has_page_locked: true,
            staging: Staging::default(),
            number: AtomicU64::new(1),
        })
    }

    /// Lets threads and blocks take turns from the last to the first.
    #[must_use]
    pub fn downwards(self) -> Self {
        self.with(|device| device.downwards = true)
    }

    /// Does what it is asked for as late as streams and events allow, in place of at once.
    #[must_use]
    pub fn late(self) -> Self {
        self.with(|device| device.late = Some(Mutex::default()))
    }

    /// As [`Emulated::late`], but streams beside threads' own do what they are asked for as early as events allow.
    #[must_use]
    pub fn hurrying_beside(self) -> Self {
        self.with(|device| device.late = Some(Mutex::new(Late::hurrying_beside())))
    }

    /// Has so many bytes of memory.
    #[must_use]
    pub fn with_memory(self, bytes: usize) -> Self {
        self.with(|device| device.memory_bytes = bytes)
    }

    /// Does nothing where a kernel should run, for tests of what notices that.
    #[must_use]
    pub fn without(mut self, kernel: Kernel) -> Self {
        self.left_out = Some(kernel);
        self
    }

    /// Has no page-locked memory.
    #[must_use]
    pub fn without_page_locked(mut self) -> Self {
        self.has_page_locked = false;
        self
    }

    /// Copies through slots of so many bytes.
    #[must_use]
    pub fn with_slots_of(mut self, bytes: usize) -> Self {
        self.staging = Staging::with_slots_of(bytes);
        self
    }

    /// Returns how many kernels ran while a stream beside their own could have made a copy; only where work is done late.
    #[must_use]
    pub fn overlapped(&self) -> u64 {
        self.device.late(|late, _| late.overlapped()).unwrap_or(0)
    }

    /// Changes what was just opened, before anybody else has it.
    fn with(mut self, change: impl FnOnce(&mut Device)) -> Self {
        if let Some(device) = Arc::get_mut(&mut self.device) {
            change(device);
        }
        self
    }

    /// Takes words, filled with what nobody should read.
    fn words(&self, bytes: usize, is_counted: bool) -> Words {
        let words = vec![0xa5a5_a5a5_a5a5_a5a5; bytes.div_ceil(8)];
        Words { words, device: Arc::clone(&self.device), is_counted }
    }

    fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        // Memory of slots goes after all copies. There is nobody to tell of a failure.
        let _ = self.device.late(|late, doing| late.finish_all(doing));
    }
}

impl Backend for Emulated {
    fn name(&self) -> String {
        "emulated".to_owned()
    }

    fn total_bytes(&self) -> Result<u64, GpuError> {
        Ok(self.device.memory_bytes as u64)
    }

    fn free_bytes(&self) -> Result<u64, GpuError> {
        let used = self.device.used.load(Ordering::Relaxed);
        Ok(self.device.memory_bytes.saturating_sub(used) as u64)
    }

    fn allocate(&self, what: &'static str, bytes: usize) -> Result<DeviceBuffer, GpuError> {
        let free = self.free_bytes()?;
        let whole = bytes.next_multiple_of(8);
        if whole as u64 > free {
            return Err(GpuError::OutOfMemory { what, needed: bytes as u64, free });
        }
        self.device.used.fetch_add(whole, Ordering::Relaxed);
        let mut words = self.words(bytes, true);
        let address = words.words.as_mut_ptr() as u64;
        let buffer = DeviceBuffer::new(address, bytes, Box::new(words));
        self.device.ask(None, &Work::Clear { at: address as usize, bytes: whole })?;
        Ok(buffer)
    }

    fn staging(&self) -> &Staging {
        &self.staging
    }

    fn finish(&self) -> Result<(), GpuError> {
        self.device.late(|late, doing| late.finish(here(), doing)).unwrap_or(Ok(()))
    }

    fn page_locked(&self, bytes: usize) -> Result<HostMemory, GpuError> {
        if !self.has_page_locked {
            return Err(GpuError::Device {
                doing: "reserve page-locked memory",
                reason: "there is none".to_owned(),
            });
        }
        let mut words = self.words(bytes, false);
        let address = NonNull::from(&mut words.words[..]).cast();
        // SAFETY: the words are as many, were written, and are nobody else's.
        Ok(unsafe { HostMemory::new(address, bytes, Box::new(words)) })
    }

    fn new_stream(&self) -> Result<Stream, GpuError> {
        Ok(Stream::new(self.next_number(), Box::new(())))
    }

    fn new_event(&self) -> Result<Event, GpuError> {
        Ok(Event::new(self.next_number(), Box::new(())))
    }

    fn record(&self, stream: Option<&Stream>, event: &Event) -> Result<(), GpuError> {
        let later =
            |late: &mut Late, doing: &Doing<'_>| late.record(owner(stream), event.handle(), doing);
        self.device.late(later).unwrap_or(Ok(()))
    }

    fn wait(&self, stream: Option<&Stream>, event: &Event) -> Result<(), GpuError> {
        let later =
            |late: &mut Late, doing: &Doing<'_>| late.wait(owner(stream), event.handle(), doing);
        self.device.late(later).unwrap_or(Ok(()))
    }

    fn wait_here(&self, event: &Event) -> Result<(), GpuError> {
        let waited = self.device.late(|late, doing| late.wait_here(event.handle(), doing));
        waited.unwrap_or(Ok(()))
    }

    fn has_ended(&self, event: &Event) -> Result<bool, GpuError> {
        Ok(self.device.late(|late, _| late.has_come(event.handle())).unwrap_or(true))
    }

    unsafe fn copy_in(
        &self,
        stream: Option<&Stream>,
        transfer: &Transfer<'_>,
    ) -> Result<(), GpuError> {
        transfer.check()?;
        let (from, to) = (transfer.host_address() as usize, transfer.device_address() as usize);
        self.device.ask(stream, &Work::Copy { from, to, bytes: transfer.bytes })
    }

    unsafe fn copy_out(
        &self,
        stream: Option<&Stream>,
        transfer: &Transfer<'_>,
    ) -> Result<(), GpuError> {
        transfer.check()?;
        let (from, to) = (transfer.device_address() as usize, transfer.host_address() as usize);
        self.device.ask(stream, &Work::Copy { from, to, bytes: transfer.bytes })
    }

    unsafe fn launch(&self, launch: &Launch<'_>) -> Result<(), GpuError> {
        if self.left_out == Some(launch.kernel) {
            return Ok(());
        }
        self.device.ask(None, &Work::launch(launch))
    }

    fn scratch_bytes(&self) -> usize {
        0
    }

    fn multiply(&self, product: &Product<'_>) -> Result<(), GpuError> {
        product.check()?;
        self.device.ask(None, &Work::multiply(product))
    }
}

/// Compiles the library unless there is one of the same source; other processes may do so at the same time.
#[expect(
    clippy::disallowed_methods,
    reason = "of a folder for temporary files nothing outlives a crash"
)]
fn build() -> Result<PathBuf, String> {
    let source = [BEFORE, SOURCE, AFTER].concat();
    let hash = blake3::hash(format!("{FLAGS:?}{source}").as_bytes()).to_hex();
    let folder = std::env::temp_dir();
    let library = folder.join(format!("bigrain-emulation-{hash}.so"));
    if library.try_exists().map_err(|error| error.to_string())? {
        return Ok(library);
    }
    let part = |ending: &str| folder.join(format!("bigrain-{}.{ending}", std::process::id()));
    let (text, output) = (part("cpp"), part("so"));
    std::fs::write(&text, source).map_err(|error| error.to_string())?;
    let mut compiler = Command::new("g++");
    compiler.args(FLAGS).arg("c++").arg(&text).arg("-o").arg(&output);
    let compiled = compiler.output().map_err(|error| format!("g++ does not run: {error}"))?;
    if !compiled.status.success() {
        return Err(String::from_utf8_lossy(&compiled.stderr).into_owned());
    }
    std::fs::rename(&output, &library).map_err(|error| error.to_string())?;
    // A text that stays is in nobody's way.
    let _ = std::fs::remove_file(&text);
    Ok(library)
}

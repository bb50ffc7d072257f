//! Runs the GPU's kernels on the host, from the same source.
//!
//! The text of `gpu/kernels` is compiled as C++ between two headers that supply what CUDA has beyond C++
//! (`gpu/emulation/cpp`): index arithmetic, shared memory, barriers and exchanges between lanes are those of the source.
//! What it cannot tell is what a GPU's compiler and its many threads at once do; it can take turns in two orders, so
//! that what depends on the order of threads shows.
//!
//! For tests: a C++ compiler must be there.

#![expect(unsafe_code, reason = "calls into a library of C++")]

use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bigrain_gpu::{Backend, DeviceBuffer, GpuError, Kernel, Launch, Product, SOURCE};
use bigrain_kernels::half_to_f32;
use half::f16;
use libloading::Library;

const BEFORE: &str = include_str!("../cpp/emulated.h");
const AFTER: &str = include_str!("../cpp/launch.h");

/// Flags of the compiler; nothing is fused, as on the device.
const FLAGS: [&str; 7] =
    ["-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-Wno-unknown-pragmas", "-x"];

type LaunchFn = unsafe extern "C" fn(
    *const c_char,
    *const c_uint,
    c_uint,
    c_uint,
    *mut *mut c_void,
    c_int,
    c_int,
    c_int,
) -> *const c_char;

/// A device that is the host.
#[derive(Debug)]
pub struct Emulated {
    library: Library,
    downwards: bool,
    left_out: Option<Kernel>,
    memory: Arc<Memory>,
}

/// How much memory is in use, of how much.
#[derive(Debug)]
struct Memory {
    bytes: usize,
    used: AtomicUsize,
}

/// Words of a buffer, and what to say when they go.
struct Words(Box<[u64]>, Arc<Memory>);

impl Drop for Words {
    fn drop(&mut self) {
        self.1.used.fetch_sub(8 * self.0.len(), Ordering::Relaxed);
    }
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
        let memory = Arc::new(Memory { bytes: 1 << 30, used: AtomicUsize::new(0) });
        Ok(Self { library, downwards: false, left_out: None, memory })
    }

    /// Lets threads and blocks take turns from the last to the first.
    #[must_use]
    pub fn downwards(mut self) -> Self {
        self.downwards = true;
        self
    }

    /// Does nothing where a kernel should run, for tests of what notices that.
    #[must_use]
    pub fn without(mut self, kernel: Kernel) -> Self {
        self.left_out = Some(kernel);
        self
    }

    /// Has so many bytes of memory.
    #[must_use]
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.memory = Arc::new(Memory { bytes, used: AtomicUsize::new(0) });
        self
    }
}

impl Backend for Emulated {
    fn name(&self) -> String {
        "emulated".to_owned()
    }

    fn total_bytes(&self) -> Result<u64, GpuError> {
        Ok(self.memory.bytes as u64)
    }

    fn free_bytes(&self) -> Result<u64, GpuError> {
        Ok(self.memory.bytes.saturating_sub(self.memory.used.load(Ordering::Relaxed)) as u64)
    }

    fn allocate(&self, what: &'static str, bytes: usize) -> Result<DeviceBuffer, GpuError> {
        let words = bytes.div_ceil(8);
        let free = self.free_bytes()?;
        if 8 * words as u64 > free {
            return Err(GpuError::OutOfMemory { what, needed: bytes as u64, free });
        }
        self.memory.used.fetch_add(8 * words, Ordering::Relaxed);
        let mut words = vec![0_u64; words].into_boxed_slice();
        let address = words.as_mut_ptr() as u64;
        let words: Box<dyn Any + Send + Sync> = Box::new(Words(words, Arc::clone(&self.memory)));
        Ok(DeviceBuffer::new(address, bytes, words))
    }

    fn write(&self, buffer: &DeviceBuffer, at: usize, bytes: &[u8]) -> Result<(), GpuError> {
        let to = place(buffer, at, bytes.len())?;
        // SAFETY: the range lies in the buffer, which is alive, and nobody else has a reference into it.
        unsafe { std::ptr::copy(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    fn read(&self, buffer: &DeviceBuffer, at: usize, bytes: &mut [u8]) -> Result<(), GpuError> {
        let from = place(buffer, at, bytes.len())?;
        // SAFETY: as above.
        unsafe { std::ptr::copy(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    unsafe fn launch(&self, launch: &Launch<'_>) -> Result<(), GpuError> {
        let refused = |reason: String| GpuError::Device { doing: "emulate a kernel", reason };
        if self.left_out == Some(launch.kernel) {
            return Ok(());
        }
        // SAFETY: `launch.h` declares it with this signature.
        let run = unsafe { self.library.get::<LaunchFn>(b"emulated_launch\0") }
            .map_err(|error| refused(error.to_string()))?;
        let name = CString::new(launch.kernel.entry()).map_err(|e| refused(e.to_string()))?;
        let mut cells: Vec<u64> = launch.args.iter().map(|arg| arg.cell()).collect();
        let mut pointers: Vec<*mut c_void> =
            cells.iter_mut().map(|cell| std::ptr::from_mut(cell).cast()).collect();
        // SAFETY: the caller answers for the arguments; the others are read only during the call.
        let problem = unsafe {
            run(
                name.as_ptr(),
                launch.grid.as_ptr(),
                launch.threads,
                launch.shared_bytes,
                pointers.as_mut_ptr(),
                c_int::from(launch.shape.levels),
                c_int::from(launch.shape.width),
                c_int::from(self.downwards),
            )
        };
        if problem.is_null() {
            return Ok(());
        }
        // SAFETY: what is not null is a text that lives as long as the library.
        let problem = unsafe { CStr::from_ptr(problem) };
        Err(refused(format!("{}: {}", launch.kernel.entry(), problem.to_string_lossy())))
    }

    fn scratch_bytes(&self) -> usize {
        0
    }

    /// Sums in floats, in an order of its own, and rounds once, as a device does.
    fn multiply(&self, product: &Product<'_>) -> Result<(), GpuError> {
        product.check()?;
        let Product { a, weights, bias, out, rows, inputs, outputs, .. } = *product;
        let weights = self.floats(weights, 0, outputs * inputs)?;
        let bias = self.floats(bias, 0, outputs)?;
        let mut results = Vec::with_capacity(2 * outputs);
        for row in 0..rows {
            let a = self.floats(a.buffer, a.at + row * a.stride, inputs)?;
            results.clear();
            for (weights, bias) in weights.chunks_exact(inputs).zip(&bias) {
                results.extend(f16::from_f32(dot(&a, weights) + bias).to_le_bytes());
            }
            self.write(out.buffer, 2 * (out.at + row * out.stride), &results)?;
        }
        Ok(())
    }
}

impl Emulated {
    /// Returns halves of a buffer, widened.
    fn floats(&self, buffer: &DeviceBuffer, at: usize, count: usize) -> Result<Vec<f32>, GpuError> {
        let mut bytes = vec![0; 2 * count];
        self.read(buffer, 2 * at, &mut bytes)?;
        let halves = bytes.as_chunks::<2>().0.iter();
        Ok(halves.map(|&half| half_to_f32(u16::from_le_bytes(half))).collect())
    }
}

/// Several running sums, so that an addition need not wait for the one before it.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += x * y;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// Returns where a range of a buffer begins.
fn place(buffer: &DeviceBuffer, at: usize, len: usize) -> Result<*mut u8, GpuError> {
    if at.checked_add(len).is_none_or(|end| end > buffer.bytes()) {
        let bytes = buffer.bytes();
        return Err(GpuError::Shape(format!("{len} bytes at {at} of a buffer of {bytes}")));
    }
    Ok((buffer.address() + at as u64) as *mut u8)
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

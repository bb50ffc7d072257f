//! What a device is asked for, as something that can be done at once or later.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

use bigrain_gpu::{GpuError, Kernel, Launch, Product};
use bigrain_kernels::half_to_f32;
use half::f16;
use libloading::Library;

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

/// Something that a device does, with all that it takes; memory is told by its address.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Zeros for new memory.
    Clear { at: usize, bytes: usize },
    /// A copy, in either direction.
    Copy { from: usize, to: usize, bytes: usize },
    /// A kernel.
    Launch {
        kernel: Kernel,
        grid: [u32; 2],
        threads: u32,
        shared_bytes: u32,
        levels: u8,
        width: u8,
        cells: Vec<u64>,
    },
    /// A product of halves: addresses of its matrices, how many halves their rows are apart, and their sizes.
    Multiply {
        a: (usize, usize),
        weights: usize,
        bias: usize,
        out: (usize, usize),
        rows: usize,
        inputs: usize,
        outputs: usize,
    },
}

impl Work {
    pub fn launch(launch: &Launch<'_>) -> Self {
        Self::Launch {
            kernel: launch.kernel,
            grid: launch.grid,
            threads: launch.threads,
            shared_bytes: launch.shared_bytes,
            levels: launch.shape.levels,
            width: launch.shape.width,
            cells: launch.args.iter().map(|arg| arg.cell()).collect(),
        }
    }

    pub fn multiply(product: &Product<'_>) -> Self {
        let Product { a, weights, bias, out, rows, inputs, outputs, .. } = *product;
        let [weights, bias] = [weights, bias].map(|of| of.address() as usize);
        let [a, out] = [a, out].map(|of| (of.address() as usize, of.stride));
        Self::Multiply { a, weights, bias, out, rows, inputs, outputs }
    }

    /// Whether it looks at memory of so many bytes, or at where that begins.
    pub fn touches(&self, memory: usize, bytes: usize) -> bool {
        let within = |at: &usize| (memory..memory + bytes).contains(at);
        match self {
            Self::Clear { at, .. } => within(at),
            Self::Copy { from, to, .. } => within(from) || within(to),
            Self::Launch { cells, .. } => cells.iter().any(|&cell| within(&(cell as usize))),
            Self::Multiply { a, weights, bias, out, .. } => {
                [&a.0, weights, bias, &out.0].into_iter().any(within)
            }
        }
    }

    /// Does it.
    ///
    /// # Safety
    ///
    /// The memory must be there, and nobody may use it meanwhile; arguments must be those of the kernel.
    pub unsafe fn perform(&self, library: &Library, downwards: bool) -> Result<(), GpuError> {
        match self {
            Self::Clear { at, bytes } => {
                // SAFETY: the caller answers for the memory.
                unsafe { (*at as *mut u8).write_bytes(0, *bytes) };
                Ok(())
            }
            Self::Copy { from, to, bytes } => {
                // SAFETY: as above.
                unsafe { std::ptr::copy(*from as *const u8, *to as *mut u8, *bytes) };
                Ok(())
            }
            Self::Launch { .. } => {
                // SAFETY: as above.
                unsafe { self.run(library, downwards) }
            }
            &Self::Multiply { a, weights, bias, out, rows, inputs, outputs } => {
                // SAFETY: as above.
                let [weights, bias] =
                    unsafe { [floats(weights, outputs * inputs), floats(bias, outputs)] };
                for row in 0..rows {
                    // SAFETY: as above; strides are in halves.
                    let a = unsafe { floats(a.0 + 2 * row * a.1, inputs) };
                    let out = (out.0 + 2 * row * out.1) as *mut [u8; 2];
                    // SAFETY: as above.
                    let out = unsafe { std::slice::from_raw_parts_mut(out, outputs) };
                    multiply(&a, &weights, &bias, out);
                }
                Ok(())
            }
        }
    }

    /// Runs a kernel.
    ///
    /// # Safety
    ///
    /// As [`Work::perform`].
    unsafe fn run(&self, library: &Library, downwards: bool) -> Result<(), GpuError> {
        let Self::Launch { kernel, grid, threads, shared_bytes, levels, width, cells } = self
        else {
            return Ok(());
        };
        let refused = |reason: String| GpuError::Device { doing: "emulate a kernel", reason };
        // SAFETY: `launch.h` declares it with this signature.
        let run = unsafe { library.get::<LaunchFn>(b"emulated_launch\0") }
            .map_err(|error| refused(error.to_string()))?;
        let name = CString::new(kernel.entry()).map_err(|e| refused(e.to_string()))?;
        let mut cells = cells.clone();
        let mut pointers: Vec<*mut c_void> =
            cells.iter_mut().map(|cell| std::ptr::from_mut(cell).cast()).collect();
        // SAFETY: the caller answers for the arguments; the others are read only during the call.
        let problem = unsafe {
            run(
                name.as_ptr(),
                grid.as_ptr(),
                *threads,
                *shared_bytes,
                pointers.as_mut_ptr(),
                c_int::from(*levels),
                c_int::from(*width),
                c_int::from(downwards),
            )
        };
        if problem.is_null() {
            return Ok(());
        }
        // SAFETY: what is not null is a text that lives as long as the library.
        let problem = unsafe { CStr::from_ptr(problem) };
        Err(refused(format!("{}: {}", kernel.entry(), problem.to_string_lossy())))
    }
}

/// Returns halves, widened.
///
/// # Safety
///
/// So many must be there.
unsafe fn floats(at: usize, count: usize) -> Vec<f32> {
    // SAFETY: the caller answers for it; pairs of bytes may lie anywhere.
    let halves = unsafe { std::slice::from_raw_parts(at as *const [u8; 2], count) };
    halves.iter().map(|&half| half_to_f32(u16::from_le_bytes(half))).collect()
}

/// Multiplies a row with weights. Sums in floats, in an order of its own, and rounds once, as a device does.
fn multiply(a: &[f32], weights: &[f32], bias: &[f32], out: &mut [[u8; 2]]) {
    for (out, (weights, bias)) in out.iter_mut().zip(weights.chunks_exact(a.len()).zip(bias)) {
        *out = f16::from_f32(dot(a, weights) + bias).to_le_bytes();
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

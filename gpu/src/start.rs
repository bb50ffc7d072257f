//! How models and learned binarizers start their kernels and products.

use crate::codes::THREADS;
use crate::encode::run;
use crate::weights::Linear;
use crate::{Arg, Backend, CodeShape, DeviceBuffer, GpuError, Kernel, Launch, Matrix, Product};

/// Blocks of threads, and the bytes of shared memory of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    pub(crate) grid: [u32; 2],
    pub(crate) threads: u32,
    pub(crate) shared_bytes: u32,
}

impl Blocks {
    /// Blocks without shared memory of their own size.
    pub(crate) fn new(grid: [u32; 2], threads: u32) -> Self {
        Self { grid, threads, shared_bytes: 0 }
    }
}

/// Starts a kernel.
pub(crate) fn start(
    backend: &dyn Backend,
    kernel: Kernel,
    blocks: Blocks,
    args: &[Arg<'_>],
) -> Result<(), GpuError> {
    let Blocks { grid, threads, shared_bytes } = blocks;
    run(backend, &Launch { kernel, shape: CodeShape::ANY, grid, threads, shared_bytes, args })
}

/// Starts a kernel that takes a warp for each row.
pub(crate) fn start_rows(
    backend: &dyn Backend,
    kernel: Kernel,
    rows: usize,
    args: &[Arg<'_>],
) -> Result<(), GpuError> {
    let blocks = (rows as u32).div_ceil(THREADS / 32);
    start(backend, kernel, Blocks::new([blocks, 1], THREADS), args)
}

/// Multiplies `rows` rows with the weights of a layer.
pub(crate) fn multiply(
    backend: &dyn Backend,
    layer: &Linear,
    (a, out): (Matrix<'_>, Matrix<'_>),
    rows: usize,
    scratch: &DeviceBuffer,
) -> Result<(), GpuError> {
    let Linear { weights, bias, inputs, outputs } = layer;
    let (inputs, outputs) = (*inputs, *outputs);
    backend.multiply(&Product { a, weights, bias, out, rows, inputs, outputs, scratch })
}

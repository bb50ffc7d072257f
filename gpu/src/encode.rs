//! Rotating and rounding many rows.

use bigrain_binarize::Rotation;
use bigrain_kernels::QuantizeSums;
use bigrain_types::Levels;

use crate::backend::{download, send, upload};
use crate::codes::{THREADS, shared_bytes};
use crate::{Arg, Backend, CodeShape, DeviceBuffer, GpuError, Kernel, Launch};

/// Rotates rows of [`Rotation::dims`] numbers into rows of [`Rotation::rotated_dims`]; bit for bit as
/// [`Rotation::rotate`] does.
///
/// # Errors
///
/// [`GpuError::Shape`] for rows that are not whole, or of more dimensions than shared memory holds (12,288); what the
/// device reports.
pub fn rotate_rows(
    backend: &dyn Backend,
    rotation: &Rotation,
    rows: &[f32],
) -> Result<Vec<f32>, GpuError> {
    let count = whole_rows(rows.len(), rotation.dims())?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let loaded = LoadedRotation::load(backend, rotation)?;
    let rows = send(backend, "rows", rows)?;
    let rotated = backend.allocate("rotated rows", 4 * count * rotation.rotated_dims())?;
    loaded.rotate(backend, &rows, count, &rotated)?;
    download(backend, &rotated, count * rotation.rotated_dims())
}

/// A rotation in the memory of a device.
#[derive(Debug)]
pub(crate) struct LoadedRotation {
    multipliers: DeviceBuffer,
    dims: usize,
    padded: usize,
}

impl LoadedRotation {
    pub fn load(backend: &dyn Backend, rotation: &Rotation) -> Result<Self, GpuError> {
        let (dims, padded) = (rotation.dims(), rotation.rotated_dims());
        // Asked here too, so that a rotation that is there can be used.
        shared_bytes(4 * padded)?;
        let multipliers = upload(backend, "signs of the rotation", rotation.multipliers())?;
        Ok(Self { multipliers, dims, padded })
    }

    /// Returns the dimensions of rows before they are rotated.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Has so many rows rotated, one at least, into memory for as many rotated ones.
    pub fn rotate(
        &self,
        backend: &dyn Backend,
        rows: &DeviceBuffer,
        count: usize,
        rotated: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        self.turn(backend, (Kernel::RotateRows, count), (rows, &[self.dims, self.padded]), rotated)
    }

    /// Returns the dimensions of rotated rows.
    pub fn rotated_dims(&self) -> usize {
        self.padded
    }

    /// Turns rows of `given` rotated numbers, at most [`Self::rotated_dims`], back; those that are not given are 0. Rows
    /// stay on the device.
    pub fn rotate_back(
        &self,
        backend: &dyn Backend,
        rotated: &DeviceBuffer,
        (given, count): (usize, usize),
        rows: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        let dims = [given, self.dims, self.padded];
        self.turn(backend, (Kernel::RotateRowsBack, count), (rotated, &dims), rows)
    }

    /// Has a block of threads turn each of `count` vectors. `dims` are those that the kernel takes.
    fn turn(
        &self,
        backend: &dyn Backend,
        (kernel, count): (Kernel, usize),
        (from, dims): (&DeviceBuffer, &[usize]),
        to: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        let mut args = vec![Arg::Buffer(from), Arg::Buffer(&self.multipliers)];
        args.extend(dims.iter().map(|&dims| Arg::I32(dims as i32)));
        args.push(Arg::Buffer(to));
        let launch = Launch {
            kernel,
            shape: CodeShape::ANY,
            grid: [count as u32, 1],
            threads: THREADS,
            shared_bytes: shared_bytes(4 * self.padded)?,
            args: &args,
        };
        run(backend, &launch)
    }
}

/// What rounding gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// Codes, one after the other, plane after plane.
    pub planes: Vec<u64>,
    /// The sums of each row.
    pub sums: Vec<QuantizeSums>,
}

/// Rounds rows, each times its own number, to the nearest odd integers. Planes are those of
/// [`bigrain_kernels::quantize`] bit for bit, sums are added up in another order.
///
/// # Errors
///
/// [`GpuError::Shape`] unless `rows` is `dims` numbers for each of `inverse_scales`; what the device reports.
pub fn quantize_rows(
    backend: &dyn Backend,
    rows: &[f32],
    inverse_scales: &[f32],
    levels: Levels,
) -> Result<Quantized, GpuError> {
    let count = inverse_scales.len();
    if count == 0 {
        return Ok(Quantized { planes: Vec::new(), sums: Vec::new() });
    }
    let dims = rows.len() / count;
    if dims == 0 || rows.len() != dims * count {
        return Err(GpuError::Shape(format!("{} numbers for {count} rows", rows.len())));
    }
    let words = dims.div_ceil(64);
    let rows = send(backend, "rows", rows)?;
    let scales = send(backend, "scales", inverse_scales)?;
    let planes = backend.allocate("planes", 8 * count * levels.count() * words)?;
    let sums = backend.allocate("sums", 8 * count)?;
    let launch = Launch {
        kernel: Kernel::QuantizeRows,
        shape: CodeShape { levels: levels.get(), ..CodeShape::ANY },
        grid: [(count as u32).div_ceil(THREADS / 32), 1],
        threads: THREADS,
        shared_bytes: 0,
        args: &[
            Arg::Buffer(&rows),
            Arg::Buffer(&scales),
            Arg::U32(count as u32),
            Arg::I32(dims as i32),
            Arg::I32(2 * words as i32),
            Arg::Buffer(&planes),
            Arg::Buffer(&sums),
        ],
    };
    run(backend, &launch)?;
    let sums: Vec<[f32; 2]> = download(backend, &sums, count)?;
    let sums = sums.iter().map(|&[dot, norm_squared]| QuantizeSums { dot, norm_squared }).collect();
    Ok(Quantized { planes: download(backend, &planes, count * levels.count() * words)?, sums })
}

/// Returns how many rows of `dims` numbers there are.
pub(crate) fn whole_rows(numbers: usize, dims: usize) -> Result<usize, GpuError> {
    if dims == 0 || !numbers.is_multiple_of(dims) {
        return Err(GpuError::Shape(format!("{numbers} numbers are no rows of {dims}")));
    }
    Ok(numbers / dims)
}

/// Starts a kernel of this file, of `verify.rs` or of `lists.rs`, or of those that models have.
#[expect(unsafe_code, reason = "kernels take pointers")]
pub(crate) fn run(backend: &dyn Backend, launch: &Launch<'_>) -> Result<(), GpuError> {
    // SAFETY: the callers pass what the kernels declare, and reserve buffers by the numbers that they pass beside them.
    unsafe { backend.launch(launch) }
}

//! Learned codes of many rows: the forward pass of BEBR's recurrent binarizer (arXiv 2302.08714, section 3.2).

use std::sync::Arc;

use bigrain_binarize::{Recurrent, ResidualMap, Rotation, rebuilt_length};
use bigrain_types::Levels;

use crate::backend::{download, send, upload};
use crate::codes::THREADS;
use crate::encode::{LoadedRotation, whole_rows};
use crate::lists::TILE;
use crate::start::{Blocks, start, start_rows};
use crate::{Arg, Backend, DeviceBuffer, GpuError, Kernel};

/// Rows that are on the device at a time.
const ROWS: usize = 8192;

/// A recurrent binarizer in the memory of a device.
#[derive(Debug)]
pub struct GpuRecurrent {
    backend: Arc<dyn Backend>,
    dims: usize,
    code_dims: usize,
    levels: Levels,
    rotation: LoadedRotation,
    first: LoadedMap,
    /// Of each level above the first: back to the embedding, and from what is left to signs.
    loops: Vec<[LoadedMap; 2]>,
}

/// The codes of some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentCodes {
    /// Codes, one after the other, plane after plane, as [`CodeLayout`](bigrain_binarize::CodeLayout) has them.
    pub planes: Vec<u64>,
    /// What [`Recurrent::project`] gives of each row, `[rows, code dims]`.
    pub projected: Vec<f32>,
}

impl GpuRecurrent {
    /// Copies a binarizer to a device.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for more dimensions than shared memory holds (12,288); [`GpuError::OutOfMemory`]; what the
    /// device reports.
    pub fn load(backend: Arc<dyn Backend>, recurrent: &Recurrent) -> Result<Self, GpuError> {
        let parts = recurrent.parts();
        let (dims, code_dims) = (parts.dims, parts.code_dims);
        let rotation = Rotation::new(dims, parts.seed);
        let rotation = rotation.map_err(|error| GpuError::Shape(error.to_string()))?;
        let narrow = |map| LoadedMap::load(&*backend, map, dims, code_dims);
        let widen = |map| LoadedMap::load(&*backend, map, code_dims, dims);
        let loops = parts.loops.iter();
        let loops = loops.map(|each| Ok([widen(&each.rebuild)?, narrow(&each.residual)?]));
        Ok(Self {
            dims,
            code_dims,
            levels: parts.levels,
            rotation: LoadedRotation::load(&*backend, &rotation)?,
            first: narrow(&parts.first)?,
            loops: loops.collect::<Result<_, GpuError>>()?,
            backend,
        })
    }

    /// Returns the codes of rows of `d` numbers, each of length one. Planes are those of the CPU
    /// ([`Binarizer::encode`](bigrain_binarize::Binarizer::encode)) but where a number lies so near to zero that the order
    /// of a sum decides its sign; projections are the CPU's within rounding.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for rows that are not whole; [`GpuError::OutOfMemory`]; what the device reports.
    pub fn code(&self, rows: &[f32]) -> Result<RecurrentCodes, GpuError> {
        whole_rows(rows.len(), self.dims)?;
        let mut codes = RecurrentCodes { planes: Vec::new(), projected: Vec::new() };
        for rows in rows.chunks(ROWS * self.dims) {
            let some = self.code_some(rows, rows.len() / self.dims)?;
            codes.planes.extend(some.planes);
            codes.projected.extend(some.projected);
        }
        Ok(codes)
    }

    fn code_some(&self, rows: &[f32], count: usize) -> Result<RecurrentCodes, GpuError> {
        let Self { dims, code_dims, levels, rotation, .. } = self;
        let backend = &*self.backend;
        let rotated_dims = rotation.rotated_dims();
        let rows = send(backend, "rows", rows)?;
        let wide = backend.allocate("rotated rows", 4 * count * rotated_dims)?;
        rotation.rotate(backend, &rows, count, &wide)?;
        self.first.add_to(backend, &rows, count, (&wide, rotated_dims))?;
        let projected = backend.allocate("projected rows", 4 * count * code_dims)?;
        self.unit_rows(&wide, count, &projected)?;
        let codes = backend.allocate("codes", 4 * count * code_dims)?;
        let words = levels.count() * code_dims / 64;
        let planes = backend.allocate("planes", 8 * count * words)?;
        self.add_signs((&projected, *code_dims), count, 0, &codes, &planes)?;
        let rebuilt = backend.allocate("rebuilt rows", 4 * count * dims)?;
        for (index, [rebuild, residual]) in self.loops.iter().enumerate() {
            rotation.rotate_back(backend, &codes, (*code_dims, count), &rebuilt)?;
            rebuild.add_to(backend, &codes, count, (&rebuilt, *dims))?;
            self.leave_over(&rows, &rebuilt, count, rebuilt_length(*levels, index))?;
            rotation.rotate(backend, &rebuilt, count, &wide)?;
            residual.add_to(backend, &rebuilt, count, (&wide, rotated_dims))?;
            self.add_signs((&wide, rotated_dims), count, index + 1, &codes, &planes)?;
        }
        Ok(RecurrentCodes {
            planes: download(backend, &planes, count * words)?,
            projected: download(backend, &projected, count * code_dims)?,
        })
    }

    fn unit_rows(
        &self,
        rows: &DeviceBuffer,
        count: usize,
        units: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        start_rows(
            &*self.backend,
            Kernel::UnitRows,
            count,
            &[
                Arg::Buffer(rows),
                Arg::U32(count as u32),
                Arg::I32(self.rotation.rotated_dims() as i32),
                Arg::I32(self.code_dims as i32),
                Arg::Buffer(units),
            ],
        )
    }

    fn leave_over(
        &self,
        rows: &DeviceBuffer,
        rebuilt: &DeviceBuffer,
        count: usize,
        length: f32,
    ) -> Result<(), GpuError> {
        start_rows(
            &*self.backend,
            Kernel::LeaveOver,
            count,
            &[
                Arg::Buffer(rows),
                Arg::Buffer(rebuilt),
                Arg::U32(count as u32),
                Arg::I32(self.dims as i32),
                Arg::F32(length),
            ],
        )
    }

    /// `rows` come with how far apart they are.
    fn add_signs(
        &self,
        rows: (&DeviceBuffer, usize),
        count: usize,
        level: usize,
        codes: &DeviceBuffer,
        planes: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        let weight = 0.5_f32.powi(level as i32);
        start_rows(
            &*self.backend,
            Kernel::AddSigns,
            count,
            &[
                Arg::Buffer(rows.0),
                Arg::U32(count as u32),
                Arg::I32(rows.1 as i32),
                Arg::I32(self.code_dims as i32),
                Arg::I32(level as i32),
                Arg::I32(self.levels.count() as i32),
                Arg::F32(weight),
                Arg::Buffer(codes),
                Arg::Buffer(planes),
            ],
        )
    }
}

/// A [`ResidualMap`] in the memory of a device.
#[derive(Debug)]
struct LoadedMap {
    linear: Option<Layer>,
    hidden: Option<[Layer; 2]>,
}

/// A matrix with a bias.
#[derive(Debug)]
struct Layer {
    weights: DeviceBuffer,
    bias: DeviceBuffer,
    inputs: usize,
    outputs: usize,
}

impl LoadedMap {
    fn load(
        backend: &dyn Backend,
        map: &ResidualMap,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, GpuError> {
        let layer = |weights: &[f32], bias: &[f32], inputs, outputs| {
            let (no_weights, no_bias);
            let weights = if weights.is_empty() {
                no_weights = vec![0.0; inputs * outputs];
                &no_weights
            } else {
                weights
            };
            let bias = if bias.is_empty() {
                no_bias = vec![0.0; outputs];
                &no_bias
            } else {
                bias
            };
            let weights = upload(backend, "weights of a binarizer", weights)?;
            let bias = upload(backend, "weights of a binarizer", bias)?;
            Ok::<_, GpuError>(Layer { weights, bias, inputs, outputs })
        };
        let ResidualMap { delta, bias, hidden } = map;
        let is_linear = !delta.is_empty() || !bias.is_empty();
        let linear = is_linear.then(|| layer(delta, bias, inputs, outputs)).transpose()?;
        let hidden = hidden.as_ref().map(|hidden| {
            let units = hidden.bias.len();
            let into = layer(&hidden.into, &hidden.bias, inputs, units)?;
            Ok::<_, GpuError>([into, layer(&hidden.out, &[], units, outputs)?])
        });
        Ok(Self { linear, hidden: hidden.transpose()? })
    }

    /// Adds the map of rows to `sums`, whose rows are as far apart as is said beside them.
    fn add_to(
        &self,
        backend: &dyn Backend,
        rows: &DeviceBuffer,
        count: usize,
        sums: (&DeviceBuffer, usize),
    ) -> Result<(), GpuError> {
        if let Some(linear) = &self.linear {
            linear.map(backend, rows, count, After::Add, sums)?;
        }
        let Some([into, out]) = &self.hidden else { return Ok(()) };
        let units = backend.allocate("hidden units", 4 * count * into.outputs)?;
        into.map(backend, rows, count, After::Rectify, (&units, into.outputs))?;
        out.map(backend, &units, count, After::Add, sums)
    }
}

/// What becomes of a product.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// It is added to what is there.
    Add,
    /// What is below 0 becomes 0.
    Rectify,
}

impl Layer {
    fn map(
        &self,
        backend: &dyn Backend,
        rows: &DeviceBuffer,
        count: usize,
        after: After,
        (out, stride): (&DeviceBuffer, usize),
    ) -> Result<(), GpuError> {
        let (outputs, inputs) = (self.outputs as u32, self.inputs as i32);
        let grid = [(count as u32).div_ceil(TILE), outputs.div_ceil(TILE)];
        let args = [
            Arg::Buffer(rows),
            Arg::U32(count as u32),
            Arg::Buffer(&self.weights),
            Arg::U32(outputs),
            Arg::I32(inputs),
            Arg::Buffer(&self.bias),
            Arg::I32(i32::from(after == After::Add)),
            Arg::I32(i32::from(after == After::Rectify)),
            Arg::I32(stride as i32),
            Arg::Buffer(out),
        ];
        start(backend, Kernel::MapRows, Blocks::new(grid, THREADS), &args)
    }
}

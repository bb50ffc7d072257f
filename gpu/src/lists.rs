//! The nearest list of each row.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bigrain_binarize::{ListCentroids, Rotation};

use crate::backend::upload;
use crate::codes::THREADS;
use crate::encode::{LoadedRotation, run, whole_rows};
use crate::staging::{Lease, TURNS};
use crate::{Arg, Backend, CodeShape, DeviceBuffer, GpuError, Kernel, Launch};

/// Vectors of a tile, of either side, as in tiles.cuh.
pub(crate) const TILE: u32 = 64;

/// Blocks of threads that a launch should have, about: few rows are compared with centroids in several parts.
const BLOCKS: u32 = 1024;

/// Bytes of what is found of a row: see `key_of` in common.cuh.
const KEY_BYTES: usize = 8;

/// Centroids of lists in the memory of a device.
#[derive(Debug)]
pub struct GpuCentroids {
    backend: Arc<dyn Backend>,
    dims: usize,
    lists: u32,
    vectors: DeviceBuffer,
    shortfalls: DeviceBuffer,
    rotation: Option<LoadedRotation>,
}

impl GpuCentroids {
    /// Copies centroids to a device, and a rotation, if rows are to come that are not rotated.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for no centroids, such that are not whole, or dimensions that no kernel takes;
    /// [`GpuError::OutOfMemory`]; what the device reports.
    pub fn load(
        backend: Arc<dyn Backend>,
        centroids: &ListCentroids<'_>,
        rotation: Option<&Rotation>,
    ) -> Result<Self, GpuError> {
        let ListCentroids { vectors, dims, norms_squared, penalties } = *centroids;
        let lists = whole_rows(vectors.len(), dims)?;
        let penalized = penalties.is_empty() || penalties.len() == lists;
        if lists == 0 || norms_squared.len() != lists || !penalized {
            let (lengths, penalties) = (norms_squared.len(), penalties.len());
            return Err(GpuError::Shape(format!(
                "{lists} centroids with {lengths} lengths and {penalties} penalties"
            )));
        }
        if let Some(rotated) =
            rotation.map(Rotation::rotated_dims).filter(|&rotated| rotated != dims)
        {
            return Err(GpuError::Shape(format!(
                "centroids of {dims} dimensions, and rows that have {rotated} when rotated"
            )));
        }
        let penalty = |list: usize| penalties.get(list).copied().unwrap_or(0.0);
        let shortfalls: Vec<f32> =
            norms_squared.iter().enumerate().map(|(list, norm)| norm + penalty(list)).collect();
        Ok(Self {
            dims,
            lists: lists as u32,
            vectors: upload(&*backend, "centroids", vectors)?,
            shortfalls: upload(&*backend, "centroids", &shortfalls)?,
            rotation: rotation.map(|of| LoadedRotation::load(&*backend, of)).transpose()?,
            backend,
        })
    }

    /// Returns the nearest centroid of each rotated row; see
    /// [`LoadedCentroids::nearest`](bigrain_binarize::LoadedCentroids::nearest).
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for rows that are not whole; [`GpuError::OutOfMemory`]; what the device reports.
    pub fn nearest(&self, rotated: &[f32]) -> Result<Vec<u32>, GpuError> {
        let count = whole_rows(rotated.len(), self.dims)?;
        self.find(Rows { numbers: rotated, dims: self.dims, count, rotation: None })
    }

    /// Rotates rows into `rotated`, bit for bit as [`Rotation::rotate`] does, and returns the nearest centroid of each.
    ///
    /// # Errors
    ///
    /// As [`GpuCentroids::nearest`]; [`GpuError::Shape`] without a rotation, or where `rotated` has another length than
    /// the rows have.
    pub fn rotate_and_find(&self, rows: &[f32], rotated: &mut [f32]) -> Result<Vec<u32>, GpuError> {
        let Some(rotation) = &self.rotation else {
            return Err(GpuError::Shape("rows to be rotated, and no rotation".to_owned()));
        };
        let count = whole_rows(rows.len(), rotation.dims())?;
        if rotated.len() != count * self.dims {
            let (numbers, dims) = (rotated.len(), self.dims);
            return Err(GpuError::Shape(format!(
                "room for {numbers} numbers of {count} rotated rows of {dims}"
            )));
        }
        let (dims, rotation) = (rotation.dims(), Some((rotation, rotated)));
        self.find(Rows { numbers: rows, dims, count, rotation })
    }

    /// Finds the nearest centroids of rows in turns: while some are compared, the next are copied to the device, and what
    /// was found of those before is copied back.
    fn find(&self, mut rows: Rows<'_>) -> Result<Vec<u32>, GpuError> {
        let mut found = Vec::with_capacity(rows.count);
        if rows.count == 0 {
            return Ok(found);
        }
        let backend = &*self.backend;
        let together = self.rows_together(&rows)?.min(rows.count);
        let turns = Turn::all(self, &rows, together)?;
        let mut at_work: VecDeque<AtWork> = VecDeque::with_capacity(TURNS);
        let mut lease = backend.staging().lease(backend)?;
        lease.begin_turns()?;
        for (first, turn) in (0..rows.count).step_by(together).zip((0..TURNS).cycle()) {
            let part = first..rows.count.min(first + together);
            let begun = self.begin(&mut lease, turn, &turns[turn], &rows, part)?;
            at_work.push_back(begun);
            if at_work.len() == TURNS
                && let Some(before) = at_work.pop_front()
            {
                before.end(&mut lease, &mut rows, &mut found)?;
            }
        }
        for before in at_work.drain(..) {
            before.end(&mut lease, &mut rows, &mut found)?;
        }
        Ok(found)
    }

    /// Returns how many rows a slot has room for, and for what is found of them.
    fn rows_together(&self, rows: &Rows<'_>) -> Result<usize, GpuError> {
        let back = KEY_BYTES + if rows.rotation.is_some() { 4 * self.dims } else { 0 };
        let room = self.backend.staging().slot_bytes();
        match room / back.max(4 * rows.dims) {
            0 => {
                let dims = rows.dims.max(self.dims);
                Err(GpuError::Shape(format!("rows of {dims} dimensions pass {room} bytes")))
            }
            together => Ok(together),
        }
    }

    /// Has some rows copied to the device, compared, and what was found copied back.
    fn begin(
        &self,
        lease: &mut Lease<'_, dyn Backend>,
        turn: usize,
        buffers: &Turn,
        rows: &Rows<'_>,
        part: Range<usize>,
    ) -> Result<AtWork, GpuError> {
        let (backend, count) = (&*self.backend, part.len());
        let numbers = &rows.numbers[part.start * rows.dims..part.end * rows.dims];
        let keys = backend.allocate("keys", KEY_BYTES * count)?;
        lease.bring(turn, &buffers.rows, bytemuck::cast_slice(numbers))?;
        let mut back = vec![(&keys, 0..KEY_BYTES * count)];
        let compared = match (&rows.rotation, &buffers.rotated) {
            (Some((rotation, _)), Some(rotated)) => {
                rotation.rotate(backend, &buffers.rows, count, rotated)?;
                back.push((rotated, 0..4 * count * self.dims));
                rotated
            }
            _ => &buffers.rows,
        };
        self.compare(compared, count, &keys)?;
        lease.worked(turn)?;
        let slot = lease.fetch(turn, &back)?;
        Ok(AtWork { slot, part, _keys: keys })
    }

    /// Has rows that are on the device compared with all centroids; keys are zeros before that.
    fn compare(
        &self,
        rows: &DeviceBuffer,
        count: usize,
        keys: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        let (row_tiles, list_tiles) = ((count as u32).div_ceil(TILE), self.lists.div_ceil(TILE));
        let parts = (BLOCKS / row_tiles).clamp(1, list_tiles);
        let part = list_tiles.div_ceil(parts) * TILE;
        let launch = Launch {
            kernel: Kernel::NearestLists,
            shape: CodeShape::ANY,
            grid: [row_tiles, self.lists.div_ceil(part)],
            threads: THREADS,
            shared_bytes: 0,
            args: &[
                Arg::Buffer(rows),
                Arg::U32(count as u32),
                Arg::Buffer(&self.vectors),
                Arg::Buffer(&self.shortfalls),
                Arg::U32(self.lists),
                Arg::U32(part),
                Arg::I32(self.dims as i32),
                Arg::Buffer(keys),
            ],
        };
        run(&*self.backend, &launch)
    }
}

/// Rows whose lists are wanted.
struct Rows<'a> {
    numbers: &'a [f32],
    /// Of a row as it comes.
    dims: usize,
    count: usize,
    /// What rotates them, and where the rotated ones belong.
    rotation: Option<(&'a LoadedRotation, &'a mut [f32])>,
}

/// The memory of a turn on the device.
struct Turn {
    rows: DeviceBuffer,
    rotated: Option<DeviceBuffer>,
}

impl Turn {
    /// Reserves what so many rows together need, for each turn.
    fn all(of: &GpuCentroids, rows: &Rows<'_>, together: usize) -> Result<Vec<Self>, GpuError> {
        let turn = |_| {
            let allocate = |what, dims| of.backend.allocate(what, 4 * together * dims);
            let is_rotated = rows.rotation.is_some();
            let rotated = is_rotated.then(|| allocate("rotated rows", of.dims)).transpose()?;
            Ok(Self { rows: allocate("rows", rows.dims)?, rotated })
        };
        (0..TURNS).map(turn).collect()
    }
}

/// Rows that a device is at.
struct AtWork {
    /// Where what is found arrives.
    slot: usize,
    part: Range<usize>,
    /// Until it is there.
    _keys: DeviceBuffer,
}

impl AtWork {
    /// Waits for what was found of them.
    fn end(
        self,
        lease: &mut Lease<'_, dyn Backend>,
        rows: &mut Rows<'_>,
        found: &mut Vec<u32>,
    ) -> Result<(), GpuError> {
        let Self { slot, part, .. } = &self;
        lease.taken(*slot, |bytes| {
            let (keys, rotated) = bytes.split_at(KEY_BYTES * part.len());
            let keys: &[u64] = bytemuck::cast_slice(keys);
            // The list is in the lower half, turned over; see `key_of` in common.cuh. Where nothing is a number any list
            // will do.
            found.extend(keys.iter().map(|&key| if key == 0 { 0 } else { !(key as u32) }));
            if let Some((_, to)) = &mut rows.rotation {
                let dims = to.len() / rows.count;
                let to: &mut [u8] =
                    bytemuck::cast_slice_mut(&mut to[part.start * dims..part.end * dims]);
                to.copy_from_slice(&rotated[..to.len()]);
            }
        })
    }
}

//! The nearest list of each row.

use std::sync::Arc;

use bigrain_binarize::{ListCentroids, Rotation};

use crate::backend::{download, upload};
use crate::codes::THREADS;
use crate::encode::{LoadedRotation, run, whole_rows};
use crate::{Arg, Backend, CodeShape, DeviceBuffer, GpuError, Kernel, Launch};

/// Rows and centroids of a tile, as in lists.cu.
const TILE_ROWS: u32 = 64;
const TILE_LISTS: u32 = 64;

/// Blocks of threads that a launch should have, about: few rows are compared with centroids in several parts.
const BLOCKS: u32 = 1024;

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
        if count == 0 {
            return Ok(Vec::new());
        }
        self.find(&upload(&*self.backend, "rows", rotated)?, count)
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
        if count == 0 {
            return Ok(Vec::new());
        }
        let on_device = rotation.rotate(&*self.backend, rows)?;
        let found = self.find(&on_device, count)?;
        self.backend.read(&on_device, 0, bytemuck::cast_slice_mut(rotated))?;
        Ok(found)
    }

    /// Finds the nearest centroids of rows that are on the device.
    fn find(&self, rows: &DeviceBuffer, count: usize) -> Result<Vec<u32>, GpuError> {
        let best = self.backend.allocate("keys", 8 * count)?;
        let (row_tiles, list_tiles) =
            ((count as u32).div_ceil(TILE_ROWS), self.lists.div_ceil(TILE_LISTS));
        let parts = (BLOCKS / row_tiles).clamp(1, list_tiles);
        let part = list_tiles.div_ceil(parts) * TILE_LISTS;
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
                Arg::Buffer(&best),
            ],
        };
        run(&*self.backend, &launch)?;
        let keys: Vec<u64> = download(&*self.backend, &best, count)?;
        // The list is in the lower half, turned over; see `key_of` in common.cuh. Where nothing is a number any list
        // will do.
        Ok(keys.iter().map(|&key| if key == 0 { 0 } else { !(key as u32) }).collect())
    }
}

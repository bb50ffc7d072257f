//! The memory of a forward pass, to be used again.

use super::BertShape;
use crate::{Backend, DeviceBuffer, GpuError};

/// Tokens that memory is reserved for at a time: a smaller number would have it grow often.
const STEP: usize = 256;

/// Buffers for a number of tokens.
#[derive(Debug)]
pub(super) struct Buffers {
    capacity: usize,
    /// [`super::shape::Packed`].
    pub(super) tokens: DeviceBuffer,
    pub(super) tiles: DeviceBuffer,
    /// Rows of the tables, where those are of another width than the model's.
    pub(super) embedded: Option<DeviceBuffer>,
    pub(super) x: DeviceBuffer,
    /// Queries, keys and values, and later what lies between the layers of the feed-forward block.
    pub(super) broad: DeviceBuffer,
    pub(super) context: DeviceBuffer,
    pub(super) sum: DeviceBuffer,
    /// The last rows, in floats.
    pub(super) rows: DeviceBuffer,
    pub(super) scratch: DeviceBuffer,
}

impl Buffers {
    fn new(backend: &dyn Backend, shape: &BertShape, tokens: usize) -> Result<Self, GpuError> {
        let capacity = tokens.next_multiple_of(STEP);
        let allocate = |bytes: usize| backend.allocate("memory of a forward pass", bytes);
        // Whole pairs of halves, which is what kernels read.
        let halves = |width: usize| allocate((2 * capacity * width).next_multiple_of(4));
        let has_projection = shape.embedding != shape.hidden;
        Ok(Self {
            capacity,
            tokens: allocate(12 * capacity)?,
            tiles: allocate(12 * capacity)?,
            embedded: if has_projection { Some(halves(shape.embedding)?) } else { None },
            x: halves(shape.hidden)?,
            broad: halves((3 * shape.hidden).max(shape.intermediate))?,
            context: halves(shape.hidden)?,
            sum: halves(shape.hidden)?,
            rows: allocate(4 * capacity * shape.hidden)?,
            scratch: allocate(backend.scratch_bytes().max(1))?,
        })
    }

    /// Returns buffers for `tokens`: those that are there, if they are large enough.
    pub(super) fn at_least<'a>(
        kept: &'a mut Option<Self>,
        backend: &dyn Backend,
        shape: &BertShape,
        tokens: usize,
    ) -> Result<&'a Self, GpuError> {
        if kept.as_ref().is_some_and(|buffers| buffers.capacity < tokens) {
            // Before the larger ones are there: both together might not fit.
            *kept = None;
        }
        match kept {
            Some(buffers) => Ok(buffers),
            None => Ok(kept.insert(Self::new(backend, shape, tokens)?)),
        }
    }
}

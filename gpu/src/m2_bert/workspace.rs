//! The memory of a forward pass, to be used again.

use super::M2BertShape;
use crate::{Backend, DeviceBuffer, GpuError};

/// Tokens whose wide rows are there at a time: enough that products are large, few enough that they take less memory than
/// the rest.
pub(super) const WIDE_TOKENS: usize = 8192;

/// What a pass takes: tokens, and bytes of transforms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needed {
    pub(super) tokens: usize,
    pub(super) transform_bytes: usize,
}

/// Buffers for a number of tokens.
#[derive(Debug)]
pub(super) struct Buffers {
    has: Needed,
    /// Rows of each in the tables.
    pub(super) tokens: DeviceBuffer,
    pub(super) x: DeviceBuffer,
    /// Projections; later what the convolutions gave, by token, and the wide rows.
    pub(super) broad: DeviceBuffer,
    /// `v x1` and `x`, by channel.
    pub(super) signals: DeviceBuffer,
    /// `x2`, by channel, and later what the convolutions gave.
    pub(super) gate: DeviceBuffer,
    /// Wide rows after the gate.
    pub(super) gated: DeviceBuffer,
    pub(super) sum: DeviceBuffer,
    /// The last rows, in floats.
    pub(super) rows: DeviceBuffer,
    /// Between the passes of transforms.
    pub(super) transforms: DeviceBuffer,
    /// Of products.
    pub(super) scratch: DeviceBuffer,
}

impl Buffers {
    fn new(backend: &dyn Backend, shape: &M2BertShape, needed: Needed) -> Result<Self, GpuError> {
        let Needed { tokens, transform_bytes } = needed;
        let M2BertShape { hidden, intermediate, .. } = *shape;
        let allocate =
            |bytes: usize| backend.allocate("memory of a forward pass", bytes.next_multiple_of(4));
        let wide = tokens.min(WIDE_TOKENS) * intermediate;
        Ok(Self {
            has: needed,
            tokens: allocate(12 * tokens)?,
            x: allocate(2 * tokens * hidden)?,
            broad: allocate((6 * tokens * hidden).max(4 * wide))?,
            signals: allocate(4 * tokens * hidden)?,
            gate: allocate(2 * tokens * hidden)?,
            gated: allocate(2 * wide)?,
            sum: allocate(2 * tokens * hidden)?,
            rows: allocate(4 * tokens * hidden)?,
            transforms: allocate(transform_bytes.max(1))?,
            scratch: allocate(backend.scratch_bytes().max(1))?,
        })
    }

    /// Returns buffers for what is needed: those that are there, if they are large enough.
    pub(super) fn at_least<'a>(
        kept: &'a mut Option<Self>,
        backend: &dyn Backend,
        shape: &M2BertShape,
        needed: Needed,
    ) -> Result<&'a Self, GpuError> {
        let is_enough = |has: Needed| {
            has.tokens >= needed.tokens && has.transform_bytes >= needed.transform_bytes
        };
        if kept.as_ref().is_some_and(|buffers| !is_enough(buffers.has)) {
            // Before the larger ones are there: both together might not fit.
            *kept = None;
        }
        match kept {
            Some(buffers) => Ok(buffers),
            None => Ok(kept.insert(Self::new(backend, shape, needed)?)),
        }
    }
}

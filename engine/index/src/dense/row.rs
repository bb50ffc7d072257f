//! A stored row.

use bigrain_kernels::{
    dot, dot_f16, dot_i8, l2_squared, l2_squared_f16, l2_squared_i8, prefetch_stream,
};
use bigrain_types::{DenseFormat, Metric};
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use super::SCALE_BYTES;

/// A row as it is stored, wherever its bytes lie.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum DenseRow<'a> {
    /// The components.
    F32(&'a [f32]),
    /// The bits of the components as halves.
    F16(&'a [u16]),
    /// Each component is `scale` times an integer of -127..=127.
    I8 {
        /// The value of one.
        scale: f32,
        /// The integers.
        components: &'a [i8],
    },
}

impl<'a> DenseRow<'a> {
    /// Reads the bytes of one row; nothing when they are too few or not aligned for the format.
    pub(super) fn from_bytes(format: DenseFormat, bytes: &'a [u8]) -> Option<Self> {
        match format {
            DenseFormat::F32 => bytemuck::try_cast_slice(bytes).ok().map(Self::F32),
            DenseFormat::F16 => bytemuck::try_cast_slice(bytes).ok().map(Self::F16),
            DenseFormat::I8 => {
                let (scale, components) = bytes.split_first_chunk::<SCALE_BYTES>()?;
                let components = bytemuck::cast_slice(components);
                Some(Self::I8 { scale: f32::from_le_bytes(*scale), components })
            }
            _ => None,
        }
    }

    /// Returns the exact similarity of a query and this row under `metric`, larger is better.
    ///
    /// Under cosine the query has length one, as the stored vectors had before they were rounded.
    ///
    /// # Panics
    ///
    /// When the query has another dimension.
    #[inline]
    #[must_use]
    pub fn similarity(&self, metric: Metric, query: &[f32]) -> f32 {
        let distance = metric == Metric::L2;
        match *self {
            Self::F32(row) if distance => -l2_squared(query, row),
            Self::F32(row) => dot(query, row),
            Self::F16(row) if distance => -l2_squared_f16(query, row),
            Self::F16(row) => dot_f16(query, row),
            Self::I8 { scale, components } if distance => -l2_squared_i8(query, components, scale),
            Self::I8 { scale, components } => dot_i8(query, components, scale),
        }
    }

    /// Returns the vector.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f32> {
        match *self {
            Self::F32(row) => row.to_vec(),
            Self::F16(row) => row.reinterpret_cast::<f16>().to_f32_vec(),
            Self::I8 { scale, components } => {
                components.iter().map(|&component| scale * f32::from(component)).collect()
            }
        }
    }

    /// Asks for the row before it is scored.
    #[inline]
    pub(crate) fn prefetch(&self) {
        match *self {
            Self::F32(row) => prefetch_stream(bytemuck::cast_slice(row)),
            Self::F16(row) => prefetch_stream(bytemuck::cast_slice(row)),
            Self::I8 { components, .. } => prefetch_stream(bytemuck::cast_slice(components)),
        }
    }
}

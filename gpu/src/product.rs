//! Products of matrices of halves.

use crate::{DeviceBuffer, GpuError};

/// A product with the weights of a layer: `out = a weightsᵀ + bias`, all of IEEE binary16 and row-major.
///
/// Sums run in floats; each result is rounded once, after the bias was added.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// `[rows, inputs]`.
    pub a: &'a DeviceBuffer,
    /// `[outputs, inputs]`.
    pub weights: &'a DeviceBuffer,
    /// `[outputs]`.
    pub bias: &'a DeviceBuffer,
    /// `[rows, outputs]`.
    pub out: &'a DeviceBuffer,
    /// Rows of `a`.
    pub rows: usize,
    /// Columns of `a`.
    pub inputs: usize,
    /// Columns of `out`.
    pub outputs: usize,
    /// Memory that nobody else uses meanwhile, of [`Backend::scratch_bytes`](crate::Backend::scratch_bytes).
    pub scratch: &'a DeviceBuffer,
}

impl Product<'_> {
    /// Checks that every matrix is there in whole.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] names the one that is not, or a product of nothing.
    pub fn check(&self) -> Result<(), GpuError> {
        let Self { rows, inputs, outputs, .. } = *self;
        if rows == 0 || inputs == 0 || outputs == 0 {
            return Err(GpuError::Shape(format!("a product of {rows} x {inputs} x {outputs}")));
        }
        for (name, buffer, count) in [
            ("left factor", self.a, rows.saturating_mul(inputs)),
            ("weights", self.weights, outputs.saturating_mul(inputs)),
            ("bias", self.bias, outputs),
            ("result", self.out, rows.saturating_mul(outputs)),
        ] {
            if buffer.bytes() / 2 < count {
                let bytes = buffer.bytes();
                return Err(GpuError::Shape(format!("{name} of {count} halves in {bytes} bytes")));
            }
        }
        Ok(())
    }
}

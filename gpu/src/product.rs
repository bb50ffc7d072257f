//! Products of matrices of halves.

use crate::{DeviceBuffer, GpuError};

/// Rows of halves in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Where they lie.
    pub buffer: &'a DeviceBuffer,
    /// The half that the first row begins with.
    pub at: usize,
    /// Halves from one row to the next.
    pub stride: usize,
}

impl<'a> Matrix<'a> {
    /// A buffer's rows of `columns` halves, one after the other from its beginning.
    #[must_use]
    pub fn whole(buffer: &'a DeviceBuffer, columns: usize) -> Self {
        Self { buffer, at: 0, stride: columns }
    }

    /// Returns where the first row begins, as kernels see it.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.buffer.address() + 2 * self.at as u64
    }

    /// Returns how many halves of the buffer `rows` of `columns` reach to.
    fn end(&self, rows: usize, columns: usize) -> usize {
        let last = self.stride.saturating_mul(rows.saturating_sub(1));
        self.at.saturating_add(last).saturating_add(columns)
    }
}

/// A product with the weights of a layer: `out = a weightsᵀ + bias`, all of IEEE binary16 and row by row.
///
/// Sums run in floats; each result is rounded once, after the bias was added.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// `[rows, inputs]`.
    pub a: Matrix<'a>,
    /// `[outputs, inputs]`.
    pub weights: &'a DeviceBuffer,
    /// `[outputs]`.
    pub bias: &'a DeviceBuffer,
    /// `[rows, outputs]`.
    pub out: Matrix<'a>,
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
    /// [`GpuError::Shape`] names the one that is not, or whose rows overlap, or a product of nothing.
    pub fn check(&self) -> Result<(), GpuError> {
        let Self { rows, inputs, outputs, .. } = *self;
        if rows == 0 || inputs == 0 || outputs == 0 {
            return Err(GpuError::Shape(format!("a product of {rows} x {inputs} x {outputs}")));
        }
        for (name, matrix, columns) in
            [("left factor", self.a, inputs), ("result", self.out, outputs)]
        {
            if matrix.stride < columns {
                let stride = matrix.stride;
                return Err(GpuError::Shape(format!(
                    "{name}: rows of {columns} every {stride} halves"
                )));
            }
        }
        for (name, buffer, count) in [
            ("left factor", self.a.buffer, self.a.end(rows, inputs)),
            ("weights", self.weights, outputs.saturating_mul(inputs)),
            ("bias", self.bias, outputs),
            ("result", self.out.buffer, self.out.end(rows, outputs)),
        ] {
            if buffer.bytes() / 2 < count {
                let bytes = buffer.bytes();
                return Err(GpuError::Shape(format!("{name} of {count} halves in {bytes} bytes")));
            }
        }
        Ok(())
    }
}

//! `y = x Wᵀ + b`, in `f32` or in int8.

use bigrain_kernels::{Int8Matrix, Int8Rows, PANEL_COLUMNS, multiply_i8};
use pulp::Arch;

use super::observer::Observer;
use super::packed_linear::PackedLinear;

/// A linear layer.
#[derive(Debug)]
pub(crate) enum Linear {
    /// Weights as they were trained.
    F32(PackedLinear),
    /// Weights of a byte each, for rows that are quantised as they come.
    Int8(Int8Matrix),
    /// As `F32`, with its inputs noted down.
    Observed(PackedLinear, Observer),
}

impl Linear {
    /// Packs `weight`, `[outputs, inputs]` row by row, and `bias`, one value an output.
    pub(crate) fn new(arch: Arch, weight: &[f32], bias: &[f32], inputs: usize) -> Self {
        Self::F32(PackedLinear::new(arch, weight, bias, inputs))
    }

    /// The same layer, which tells `observer` of its inputs if it is in `f32`.
    pub(crate) fn observed(self, observer: Observer) -> Self {
        match self {
            Self::F32(layer) | Self::Observed(layer, _) => Self::Observed(layer, observer),
            Self::Int8(matrix) => Self::Int8(matrix),
        }
    }

    /// Values a row of the result has.
    pub(crate) fn outputs(&self) -> usize {
        match self {
            Self::F32(layer) | Self::Observed(layer, _) => layer.outputs(),
            Self::Int8(matrix) => matrix.cols(),
        }
    }

    /// Values a row of the input has.
    pub(crate) fn inputs(&self) -> usize {
        match self {
            Self::F32(layer) | Self::Observed(layer, _) => layer.inputs(),
            Self::Int8(matrix) => matrix.depth(),
        }
    }

    /// Writes `x Wᵀ + b` for the rows of `x`, `[rows, inputs]`, to `out`, `[rows, outputs]`;
    /// `quantized` is memory for the rows in bytes.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32], quantized: &mut Int8Rows) {
        match self {
            Self::F32(layer) => layer.forward(x, out),
            Self::Observed(layer, observer) => {
                observer.see(x);
                layer.forward(x, out);
            }
            Self::Int8(matrix) => {
                quantized.quantize(matrix, x);
                let panels = matrix.cols().div_ceil(PANEL_COLUMNS);
                multiply_i8(quantized, matrix, 0..panels, out, matrix.cols());
            }
        }
    }
}

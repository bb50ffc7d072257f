//! `y = x Wᵀ + b` on packed `f32` weights.

use std::ops::Range;

use pulp::Arch;

use super::activation::Activation;
use super::buffer::AlignedBuffer;
use super::gemm::{Gemm, PackedMatrix, Rows, Start};

/// A linear layer in `f32`: packed weight and padded bias.
#[derive(Debug)]
pub(crate) struct PackedLinear {
    weight: PackedMatrix,
    bias: AlignedBuffer,
}

impl PackedLinear {
    /// Packs `weight`, `[outputs, inputs]` row by row, and `bias`, one value an output.
    pub(crate) fn new(arch: Arch, weight: &[f32], bias: &[f32], inputs: usize) -> Self {
        let weight = PackedMatrix::from_transposed(arch, weight, bias.len(), inputs);
        let mut padded = AlignedBuffer::zeroed(bias.len().next_multiple_of(weight.width()));
        padded[..bias.len()].copy_from_slice(bias);
        Self { weight, bias: padded }
    }

    /// Values a row of the result has.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.cols()
    }

    /// Values a row of the input has.
    pub(crate) fn inputs(&self) -> usize {
        self.weight.depth()
    }

    /// Writes `x Wᵀ + b` for the rows of `x`, `[rows, inputs]`, to `out`, `[rows, outputs]`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) {
        let inputs = self.inputs();
        let rows = Rows { data: x, stride: inputs, count: x.len() / inputs };
        self.forward_columns(rows, 0..self.outputs(), Activation::None, out, self.outputs());
    }

    /// Writes the columns `columns` of the result, activated, to `out`, one row every `out_stride`
    /// values; the first column is a multiple of [`MAX_WIDTH`](super::gemm::MAX_WIDTH).
    pub(crate) fn forward_columns(
        &self,
        x: Rows<'_>,
        columns: Range<usize>,
        activation: Activation,
        out: &mut [f32],
        out_stride: usize,
    ) {
        for (k_start, depth) in self.weight.blocks() {
            let last = k_start + depth == self.weight.depth();
            self.weight.arch().dispatch(Gemm {
                a: Rows { data: x.data.get(k_start..).unwrap_or_default(), ..x },
                b: self.weight.panels(k_start, columns.start, columns.len()),
                start: if k_start == 0 {
                    Start::Bias(&self.bias[columns.start..])
                } else {
                    Start::Out
                },
                activation: if last { activation } else { Activation::None },
                out,
                out_stride,
            });
        }
    }

    /// Adds to `out` what the inputs from `k_start` on give, one block of the weight deep; the first
    /// block starts from the bias. `x` holds these inputs alone.
    pub(crate) fn forward_block(
        &self,
        x: Rows<'_>,
        k_start: usize,
        out: &mut [f32],
        out_stride: usize,
    ) {
        self.weight.arch().dispatch(Gemm {
            a: x,
            b: self.weight.panels(k_start, 0, self.outputs()),
            start: if k_start == 0 { Start::Bias(&self.bias) } else { Start::Out },
            activation: Activation::None,
            out,
            out_stride,
        });
    }

    /// The blocks of inputs [`PackedLinear::forward_block`] takes: where each starts and how wide it
    /// is.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        self.weight.blocks()
    }
}

//! `y = x Wᵀ + b` on packed `f32` weights.

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

    pub(super) fn weight(&self) -> &PackedMatrix {
        &self.weight
    }

    pub(super) fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Writes `x Wᵀ + b` for the rows of `x`, `[rows, inputs]`, to `out`, `[rows, outputs]`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) {
        self.forward_columns(x, 0, self.outputs(), Activation::None, out);
    }

    /// Writes the columns `start..start + width` of the result, activated, to `out`, `[rows, width]`;
    /// they start at a panel.
    pub(super) fn forward_columns(
        &self,
        x: &[f32],
        start: usize,
        width: usize,
        activation: Activation,
        out: &mut [f32],
    ) {
        let inputs = self.weight.depth();
        for (k_start, depth) in self.weight.blocks() {
            let last = k_start + depth == inputs;
            self.weight.arch().dispatch(Gemm {
                a: Rows {
                    data: x.get(k_start..).unwrap_or_default(),
                    stride: inputs,
                    count: x.len() / inputs,
                },
                b: self.weight.panels(k_start, start, width),
                start: if k_start == 0 { Start::Bias(&self.bias[start..]) } else { Start::Out },
                activation: if last { activation } else { Activation::None },
                out,
                out_stride: width,
            });
        }
    }
}

//! The two layers between attentions: widen, activate, narrow.
//!
//! The wide intermediate (four times the hidden width) is never held whole, so that it does not leave
//! the second-level cache. In `f32` a slice of it, as wide as one block of the second weight is deep,
//! is computed for all rows, activated in registers and multiplied on at once. In int8 the scale of a
//! row follows from all of its values, so there it is whole, for a part of the rows.

use bigrain_kernels::Int8Rows;
use pulp::Arch;

use super::activation::{Activation, activate};
use super::buffer::AlignedBuffer;
use super::gemm::Rows;
use super::linear::Linear;
use super::packed_linear::PackedLinear;

/// Rows whose whole intermediate is computed at a time, in int8: weights are read from the third-level
/// cache once for each such part.
const WHOLE_ROWS: usize = 96;

/// `activation(x W₁ᵀ + b₁) W₂ᵀ + b₂`.
#[derive(Debug)]
pub(crate) struct FeedForward {
    arch: Arch,
    up: Linear,
    down: Linear,
    activation: Activation,
}

/// The part of the intermediate that is being worked on.
#[derive(Debug, Default)]
pub(crate) struct FeedForwardScratch {
    part: AlignedBuffer,
    quantized: Int8Rows,
}

impl FeedForward {
    /// Joins two layers; `down` takes what `up` gives.
    pub(crate) fn new(arch: Arch, up: Linear, down: Linear, activation: Activation) -> Self {
        debug_assert_eq!(up.outputs(), down.inputs());
        Self { arch, up, down, activation }
    }

    /// Writes the result for the rows of `x`, `[rows, hidden]`, to `out` of the same shape.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32], scratch: &mut FeedForwardScratch) {
        if let (Linear::F32(up), Linear::F32(down)) = (&self.up, &self.down) {
            return self.forward_in_slices(up, down, x, out, scratch);
        }
        let hidden = self.down.outputs();
        let rows = WHOLE_ROWS * hidden;
        for (x, out) in x.chunks(rows).zip(out.chunks_mut(rows)) {
            let wide = scratch.part.grow(x.len() / hidden * self.up.outputs());
            self.widen(x, wide, &mut scratch.quantized);
            self.down.forward(wide, out, &mut scratch.quantized);
        }
    }

    /// Writes the whole intermediate of the rows of `x`, activated, to `wide`.
    pub(crate) fn widen(&self, x: &[f32], wide: &mut [f32], quantized: &mut Int8Rows) {
        self.up.forward(x, wide, quantized);
        activate(self.arch, self.activation, wide);
    }

    fn forward_in_slices(
        &self,
        up: &PackedLinear,
        down: &PackedLinear,
        x: &[f32],
        out: &mut [f32],
        scratch: &mut FeedForwardScratch,
    ) {
        let hidden = down.outputs();
        let x = Rows { data: x, stride: hidden, count: x.len() / hidden };
        for (start, width) in down.blocks() {
            let slice = scratch.part.grow(x.count * width);
            up.forward_columns(x, start..start + width, self.activation, slice, width);
            let slice = Rows { data: slice, stride: width, count: x.count };
            down.forward_block(slice, start, out, hidden);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_add_up_to_the_two_layers() {
        let (hidden, wide, rows) = (40, 1_000, 9);
        let wave = |len: usize, step: f32| -> Vec<f32> {
            (0..len).map(|i| (i as f32 * step).sin() * 0.1).collect()
        };
        let (w1, b1) = (wave(wide * hidden, 0.37), wave(wide, 0.11));
        let (w2, b2) = (wave(hidden * wide, 0.23), wave(hidden, 0.19));
        let x = wave(rows * hidden, 0.71);

        let arch = Arch::new();
        let up = Linear::new(arch, &w1, &b1, hidden);
        let mut middle = vec![0.0; rows * wide];
        let mut quantized = Int8Rows::default();
        up.forward(&x, &mut middle, &mut quantized);
        for value in &mut middle {
            *value = value.max(0.0);
        }
        let mut expected = vec![0.0; rows * hidden];
        let down = Linear::new(arch, &w2, &b2, wide);
        down.forward(&middle, &mut expected, &mut quantized);

        let mut out = vec![f32::NAN; rows * hidden];
        let layer = FeedForward::new(arch, up, down, Activation::Relu);
        layer.forward(&x, &mut out, &mut FeedForwardScratch::default());
        assert_eq!(out, expected);
    }
}

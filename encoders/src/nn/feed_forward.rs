//! The two layers between attentions: widen, activate, narrow.
//!
//! The wide intermediate (four times the hidden width) is never held whole. A slice of it, as wide
//! as one block of the second weight is deep, is computed, activated in registers and multiplied
//! on at once, so it does not leave the second-level cache.

use super::buffer::AlignedBuffer;
use super::gemm::{Activation, Rows};
use super::linear::Linear;

/// `activation(x W₁ᵀ + b₁) W₂ᵀ + b₂`.
#[derive(Debug)]
pub(crate) struct FeedForward {
    up: Linear,
    down: Linear,
    activation: Activation,
}

/// The slice of the intermediate that is being worked on.
#[derive(Debug, Default)]
pub(crate) struct FeedForwardScratch {
    slice: AlignedBuffer,
}

impl FeedForward {
    /// Joins two layers; `down` takes what `up` gives.
    pub(crate) fn new(up: Linear, down: Linear, activation: Activation) -> Self {
        debug_assert_eq!(up.outputs(), down.inputs());
        Self { up, down, activation }
    }

    /// Writes the result for the rows of `x`, `[rows, hidden]`, to `out` of the same shape.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32], scratch: &mut FeedForwardScratch) {
        let hidden = self.down.outputs();
        let x = Rows { data: x, stride: hidden, count: x.len() / hidden };
        for (start, width) in self.down.blocks() {
            let slice = scratch.slice.grow(x.count * width);
            self.up.forward_columns(x, start..start + width, self.activation, slice, width);
            let slice = Rows { data: slice, stride: width, count: x.count };
            self.down.forward_block(slice, start, out, hidden);
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::Arch;

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
        up.forward(&x, &mut middle);
        for value in &mut middle {
            *value = value.max(0.0);
        }
        let mut expected = vec![0.0; rows * hidden];
        let down = Linear::new(arch, &w2, &b2, wide);
        down.forward(&middle, &mut expected);

        let mut out = vec![f32::NAN; rows * hidden];
        let layer = FeedForward::new(up, down, Activation::Relu);
        layer.forward(&x, &mut out, &mut FeedForwardScratch::default());
        assert_eq!(out, expected);
    }
}

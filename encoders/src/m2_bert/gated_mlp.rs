//! The block-diagonal feed-forward layer: `blockdiag(gelu(a) · b) + bias`, `a, b = blockdiag(h)`.
//!
//! The first half of the widened values is what passes, the second half what it is multiplied by.
//! With four blocks each half comes from two: part `p` of the first layer, as wide as the input of
//! a block of the second, meets part `blocks + p`, and both feed block `p` of the second layer.
//! As in [`crate::nn::FeedForward`] the wide rows are computed and used a slice at a time.

use pulp::Arch;

use crate::nn::{Activation, AlignedBuffer, BlockDiagonal, Rows, multiply};

/// Both layers.
#[derive(Debug)]
pub(crate) struct GatedMlp {
    arch: Arch,
    hidden: usize,
    widen: BlockDiagonal,
    narrow: BlockDiagonal,
}

/// The slices that are being worked on.
#[derive(Debug, Default)]
pub(crate) struct GatedMlpScratch {
    passing: AlignedBuffer,
    gate: AlignedBuffer,
}

impl GatedMlp {
    /// Takes `widen`, `[blocks, 2 wide / blocks, hidden / blocks]` without bias, and `narrow`,
    /// `[blocks, hidden / blocks, wide / blocks]`, with one bias value an output.
    pub(crate) fn new(
        arch: Arch,
        blocks: usize,
        widen: &[f32],
        narrow: &[f32],
        bias: &[f32],
    ) -> Self {
        let wide = widen.len() * blocks / bias.len() / 2;
        let none = vec![0.0; 2 * wide];
        Self {
            arch,
            hidden: bias.len(),
            widen: BlockDiagonal::new(arch, widen, &none, blocks, 2 * blocks),
            narrow: BlockDiagonal::new(arch, narrow, bias, blocks, blocks),
        }
    }

    /// Writes the result for the rows of `h`, `[rows, hidden]`, to `out` of the same shape.
    pub(crate) fn forward(&self, h: &[f32], out: &mut [f32], scratch: &mut GatedMlpScratch) {
        let hidden = self.hidden;
        let count = h.len() / hidden;
        let (passing, gates) = self.widen.parts().split_at(self.narrow.parts().len());
        let mut column = 0;
        for ((up, gate), down) in passing.iter().zip(gates).zip(self.narrow.parts()) {
            for (start, width) in down.linear.blocks() {
                let columns = start..start + width;
                let x = |input: usize| Rows { data: &h[input..], stride: hidden, count };
                let slice = scratch.passing.grow(count * width);
                let (act, none) = (Activation::Gelu, Activation::None);
                up.linear.forward_columns(x(up.input), columns.clone(), act, slice, width);
                let factors = scratch.gate.grow(count * width);
                gate.linear.forward_columns(x(gate.input), columns, none, factors, width);
                multiply(self.arch, slice, factors);
                let slice = Rows { data: slice, stride: width, count };
                down.linear.forward_block(slice, start, &mut out[column..], hidden);
            }
            column += down.linear.outputs();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(len: usize, step: f64) -> Vec<f32> {
        (0..len).map(|i| (i as f64 * step).sin() as f32 * 0.5).collect()
    }

    /// A block-diagonal product in `f64`.
    fn product(weight: &[f32], blocks: usize, outputs: usize, x: &[f64]) -> Vec<f64> {
        let (block_out, block_in) = (outputs / blocks, x.len() / blocks);
        (0..outputs)
            .map(|output| {
                let row = &weight[output * block_in..][..block_in];
                let x = &x[output / block_out * block_in..];
                row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum()
            })
            .collect()
    }

    /// `x Φ(x)`, with `Φ` integrated by Simpson's rule.
    fn gelu(x: f64) -> f64 {
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let step = x / 400.0;
        let sum: f64 = (0..200)
            .map(|i| {
                let at = |half: f64| density((2.0 * f64::from(i) + half) * step);
                at(0.0) + 4.0 * at(1.0) + at(2.0)
            })
            .sum();
        x * (0.5 + sum * step / 3.0)
    }

    #[test]
    fn the_gate_is_the_second_half_of_all_blocks_together() {
        let rows = 5;
        // An odd number of blocks cuts one of them in the middle; 900 is more than one slice.
        for (blocks, hidden, wide) in [(1, 10, 900), (3, 24, 60), (4, 48, 192)] {
            let (widen, narrow) =
                (wave(2 * wide * hidden / blocks, 0.37), wave(hidden * wide / blocks, 0.23));
            let (bias, h) = (wave(hidden, 0.7), wave(rows * hidden, 0.59));
            let mlp = GatedMlp::new(Arch::new(), blocks, &widen, &narrow, &bias);
            let mut out = vec![f32::NAN; rows * hidden];
            mlp.forward(&h, &mut out, &mut GatedMlpScratch::default());
            for (h, out) in h.chunks(hidden).zip(out.chunks(hidden)) {
                let h: Vec<f64> = h.iter().map(|&value| f64::from(value)).collect();
                let g = product(&widen, blocks, 2 * wide, &h);
                let a: Vec<f64> = (0..wide).map(|i| gelu(g[i]) * g[wide + i]).collect();
                let expected = product(&narrow, blocks, hidden, &a);
                for ((out, expected), bias) in out.iter().zip(expected).zip(&bias) {
                    let expected = expected + f64::from(*bias);
                    assert!(
                        (f64::from(*out) - expected).abs() < 1e-4,
                        "{blocks}: {out} {expected}"
                    );
                }
            }
        }
    }
}

//! A linear layer whose weight matrix is block-diagonal.
//!
//! Block `b` of `n` takes the `b`-th `n`-th of the inputs and gives the `b`-th `n`-th of the outputs,
//! which is all there is of the weight: `[n, outputs / n, inputs / n]`.
//!
//! The outputs are cut into *parts*, a whole number of them a block, so that a caller can compute
//! the columns it needs next and nothing else:
//!
//! ```text
//! inputs   |  block 0  |  block 1  |
//! outputs  | 0   | 1   | 2   | 3   |      four parts of two blocks
//! ```

use pulp::Arch;

use super::packed_linear::PackedLinear;

/// The parts of a block-diagonal layer.
#[derive(Debug)]
pub(crate) struct BlockDiagonal {
    parts: Vec<Part>,
}

/// Consecutive outputs of one block.
#[derive(Debug)]
pub(crate) struct Part {
    /// From the inputs of the block to the outputs of the part.
    pub(crate) linear: PackedLinear,
    /// The first input of the block.
    pub(crate) input: usize,
}

impl BlockDiagonal {
    /// Takes `weight`, `[blocks, outputs / blocks, inputs / blocks]` row by row, and one bias value
    /// an output; cuts the outputs into `parts`, a multiple of `blocks`.
    pub(crate) fn new(
        arch: Arch,
        weight: &[f32],
        bias: &[f32],
        blocks: usize,
        parts: usize,
    ) -> Self {
        debug_assert!(parts.is_multiple_of(blocks) && bias.len().is_multiple_of(parts));
        let outputs = bias.len() / parts;
        let inputs = weight.len() / bias.len();
        let parts = weight.chunks_exact(outputs * inputs).zip(bias.chunks_exact(outputs));
        let per_block = parts.len() / blocks;
        let parts = parts.enumerate().map(|(index, (weight, bias))| Part {
            linear: PackedLinear::new(arch, weight, bias, inputs),
            input: index / per_block * inputs,
        });
        Self { parts: parts.collect() }
    }

    /// The parts, in the order of their outputs.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Activation, Rows};

    #[test]
    fn parts_side_by_side_are_the_whole_block_diagonal_product() {
        let wave = |len: usize, step: f32| -> Vec<f32> {
            (0..len).map(|i| (i as f32 * step).sin()).collect()
        };
        let (rows, inputs) = (7, 30);
        for (blocks, cuts, outputs) in [(1, 1, 20), (3, 1, 60), (3, 2, 60), (2, 5, 130)] {
            let weight = wave(outputs * inputs / blocks, 0.31);
            let (bias, x) = (wave(outputs, 0.77), wave(rows * inputs, 0.17));
            let layer = BlockDiagonal::new(Arch::new(), &weight, &bias, blocks, blocks * cuts);
            assert_eq!(layer.parts().len(), blocks * cuts);
            let width = outputs / layer.parts().len();
            let mut out = vec![f32::NAN; rows * outputs];
            for (index, part) in layer.parts().iter().enumerate() {
                let x = Rows { data: &x[part.input..], stride: inputs, count: rows };
                let out = &mut out[index * width..];
                part.linear.forward_columns(x, 0..width, Activation::None, out, outputs);
            }
            let (block_in, block_out) = (inputs / blocks, outputs / blocks);
            for (row, x) in x.chunks(inputs).enumerate() {
                for output in 0..outputs {
                    let block = output / block_out;
                    let mut expected = f64::from(bias[output]);
                    for input in 0..block_in {
                        expected += f64::from(weight[output * block_in + input])
                            * f64::from(x[block * block_in + input]);
                    }
                    let got = f64::from(out[row * outputs + output]);
                    assert!((got - expected).abs() < 1e-5, "{blocks} {row} {output}");
                }
            }
        }
    }
}

//! What a tower is made of.

use crate::nn::{Activation, Padding};

/// Colours of a picture.
pub(crate) const COLORS: usize = 3;

/// The shape of a tower.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TowerShape {
    /// Channels after the first convolution.
    pub(crate) stem: usize,
    pub(crate) blocks: Vec<BlockShape>,
    /// Of the stem and of the wide part of each block.
    pub(crate) activation: Activation,
    /// Added to variances.
    pub(crate) eps: f64,
}

/// The shape of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockShape {
    pub(crate) inputs: usize,
    /// Channels of the depthwise convolution; `inputs` where nothing widens.
    pub(crate) wide: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: Padding,
    /// Channels that the weighing squeezes to.
    pub(crate) squeezed: Option<usize>,
    /// Whether the input is added to the result.
    pub(crate) residual: bool,
}

/// A row of blocks of one size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) widening: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) repeats: usize,
    /// The share of a block's input channels that its weighing squeezes to.
    pub(crate) squeezed: Option<f64>,
}

impl Stage {
    /// The blocks of the stage: the first changes size, the others add their input.
    pub(crate) fn blocks(self) -> impl Iterator<Item = BlockShape> {
        (0..self.repeats).map(move |index| {
            let first = index == 0;
            let inputs = if first { self.inputs } else { self.outputs };
            let stride = if first { self.stride } else { 1 };
            BlockShape {
                inputs,
                wide: inputs * self.widening,
                outputs: self.outputs,
                kernel: self.kernel,
                stride,
                padding: static_padding(self.kernel, stride),
                squeezed: self.squeezed.map(|share| ((inputs as f64 * share) as usize).max(1)),
                residual: !first,
            }
        })
    }
}

/// The border of a convolution, whatever the size of the picture.
pub(crate) fn static_padding(kernel: usize, stride: usize) -> Padding {
    let half = kernel / 2;
    let before = if stride == 1 { half } else { half.saturating_sub(1) };
    Padding { before, after: half }
}

impl TowerShape {
    /// EfficientNet-Lite0.
    pub(crate) fn lite0() -> Self {
        // Kernel, stride, widening, inputs, outputs, blocks.
        const STAGES: [[usize; 6]; 7] = [
            [3, 1, 1, 32, 16, 1],
            [3, 2, 6, 16, 24, 2],
            [5, 2, 6, 24, 40, 2],
            [3, 2, 6, 40, 80, 3],
            [5, 1, 6, 80, 112, 3],
            [5, 2, 6, 112, 192, 4],
            [3, 1, 6, 192, 320, 1],
        ];
        let stage = |[kernel, stride, widening, inputs, outputs, repeats]: [usize; 6]| {
            let squeezed = None;
            Stage { kernel, stride, widening, inputs, outputs, repeats, squeezed }.blocks()
        };
        let blocks = STAGES.into_iter().flat_map(stage).collect();
        Self { stem: 32, blocks, activation: Activation::Relu6, eps: 1e-3 }
    }

    /// Channels of what the tower gives.
    pub(crate) fn outputs(&self) -> usize {
        self.blocks.last().map_or(self.stem, |block| block.outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_changes_size_once_and_then_adds_its_input() {
        let stage = Stage {
            kernel: 5,
            stride: 2,
            widening: 6,
            inputs: 80,
            outputs: 160,
            repeats: 2,
            squeezed: Some(0.25),
        };
        let blocks: Vec<BlockShape> = stage.blocks().collect();
        let first = BlockShape {
            inputs: 80,
            wide: 480,
            outputs: 160,
            kernel: 5,
            stride: 2,
            padding: Padding { before: 1, after: 2 },
            squeezed: Some(20),
            residual: false,
        };
        let rest = BlockShape {
            inputs: 160,
            wide: 960,
            stride: 1,
            padding: Padding { before: 2, after: 2 },
            squeezed: Some(40),
            residual: true,
            ..first
        };
        assert_eq!(blocks, [first, rest]);
        assert_eq!((TowerShape::lite0().blocks.len(), TowerShape::lite0().outputs()), (16, 320));
    }
}

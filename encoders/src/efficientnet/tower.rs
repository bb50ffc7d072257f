//! The tower: stem and blocks.

use pulp::Arch;

use super::block::{self, Block, BlockScratch};
use super::conv;
use super::names::Dialect;
use super::shape::{COLORS, TowerShape, static_padding};
use crate::batch::Sharing;
use crate::image::Pixels;
use crate::nn::{Activation, AlignedBuffer, PackedLinear};
use crate::weights::{TensorSpec, Tensors, WeightsError};

/// Kernel and stride of the stem.
const STEM_KERNEL: usize = 3;
const STEM_STRIDE: usize = 2;
/// Values that a pixel of the stem is computed from.
const STEM_INPUTS: usize = COLORS * STEM_KERNEL * STEM_KERNEL;

/// A tower, ready to run.
#[derive(Debug)]
pub(crate) struct Tower {
    stem: PackedLinear,
    blocks: Vec<Block>,
    channels: usize,
    activation: Activation,
}

/// Memory of one forward pass, to be used again.
#[derive(Debug, Default)]
pub(crate) struct TowerScratch {
    patches: AlignedBuffer,
    x: AlignedBuffer,
    out: AlignedBuffer,
    block: BlockScratch,
}

/// What a tower gives: `[rows, columns, channels]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeatureMap<'a> {
    pub(crate) data: &'a [f32],
    /// Rows and columns.
    pub(crate) size: (usize, usize),
    pub(crate) channels: usize,
}

impl FeatureMap<'_> {
    /// The mean of each channel.
    pub(crate) fn mean(&self) -> Vec<f32> {
        block::mean(self.data, self.channels)
    }
}

/// What a tower is built from.
#[derive(Clone, Copy)]
pub(super) struct BuildTower<'t, 'a> {
    pub(super) arch: Arch,
    pub(super) tensors: &'t Tensors<'a>,
    pub(super) dialect: Dialect,
    pub(super) shape: &'t TowerShape,
}

impl Tower {
    /// The tensors of a tower.
    pub(crate) fn specs(shape: &TowerShape, dialect: Dialect) -> Vec<TensorSpec> {
        let stem = [shape.stem, COLORS, STEM_KERNEL, STEM_KERNEL];
        let mut specs = conv::specs(&dialect.stem(), &stem);
        for (index, block) in shape.blocks.iter().enumerate() {
            specs.extend(Block::specs(dialect, index, block));
        }
        specs
    }

    /// Folds and packs the tensors of a tower, which were checked.
    pub(crate) fn build(
        shape: &TowerShape,
        dialect: Dialect,
        tensors: &Tensors<'_>,
    ) -> Result<Self, WeightsError> {
        let build = BuildTower { arch: Arch::new(), tensors, dialect, shape };
        let stem = conv::read(tensors, &dialect.stem(), shape.eps)?;
        let blocks = shape.blocks.iter().enumerate();
        Ok(Self {
            stem: PackedLinear::new(build.arch, &stem.weight, &stem.bias, STEM_INPUTS),
            blocks: blocks
                .map(|(index, &block)| Block::build(&build, index, block))
                .collect::<Result<_, _>>()?,
            channels: shape.outputs(),
            activation: shape.activation,
        })
    }

    /// Rows and columns that a picture of that size ends with: none, if it is too small.
    pub(crate) fn output_size(&self, height: usize, width: usize) -> (usize, usize) {
        let stem = (stem_side(height), stem_side(width));
        self.blocks.iter().fold(stem, |size, block| block.output_size(size))
    }

    /// Runs a whole picture.
    pub(crate) fn forward<'s>(
        &self,
        pixels: &Pixels,
        sharing: Sharing,
        scratch: &'s mut TowerScratch,
    ) -> FeatureMap<'s> {
        let TowerScratch { patches, x, out, block } = scratch;
        let mut size = (stem_side(pixels.height), stem_side(pixels.width));
        let mut channels = self.stem.outputs();
        self.stem_of(pixels, size, (sharing, patches), x);
        for layer in &self.blocks {
            let next = layer.output_size(size);
            let outputs = layer.outputs();
            let input: &[f32] = x;
            layer.forward(input, size, out.grow(next.0 * next.1 * outputs), (sharing, &mut *block));
            std::mem::swap(x, out);
            (size, channels) = (next, outputs);
        }
        debug_assert_eq!(channels, self.channels);
        FeatureMap { data: &x[..size.0 * size.1 * channels], size, channels }
    }

    /// The first convolution: the values that each pixel is computed from side by side, then a product.
    fn stem_of(
        &self,
        pixels: &Pixels,
        size: (usize, usize),
        (sharing, patches): (Sharing, &mut AlignedBuffer),
        x: &mut AlignedBuffer,
    ) {
        let patches = patches.grow(size.0 * size.1 * STEM_INPUTS);
        block::for_each(sharing, patches, size.1 * STEM_INPUTS, |row, line| {
            patches_of_row(pixels, row, line);
        });
        let (patches, channels): (&[f32], _) = (patches, self.stem.outputs());
        block::for_pixels(sharing, x.grow(size.0 * size.1 * channels), channels, |first, x| {
            block::linear(&self.stem, &patches[first * STEM_INPUTS..], x, self.activation);
        });
    }
}

/// Length of a side after the stem.
fn stem_side(side: usize) -> usize {
    let padded = static_padding(STEM_KERNEL, STEM_STRIDE).padded(side);
    (padded + STEM_STRIDE).saturating_sub(STEM_KERNEL) / STEM_STRIDE
}

/// Writes what the pixels of a row of the stem are computed from, colour by colour and row by row, as the
/// weight has it. The border is below and to the right.
fn patches_of_row(pixels: &Pixels, row: usize, line: &mut [f32]) {
    let plane = pixels.height * pixels.width;
    for (column, patch) in line.chunks_exact_mut(STEM_INPUTS).enumerate() {
        for (at, value) in patch.iter_mut().enumerate() {
            let (color, tap) = (at / (STEM_KERNEL * STEM_KERNEL), at % (STEM_KERNEL * STEM_KERNEL));
            let y = row * STEM_STRIDE + tap / STEM_KERNEL;
            let x = column * STEM_STRIDE + tap % STEM_KERNEL;
            *value = if y < pixels.height && x < pixels.width {
                pixels.data[color * plane + y * pixels.width + x]
            } else {
                0.0
            };
        }
    }
}

//! One block of a tower.

use pulp::Arch;
use rayon::prelude::*;

use super::conv;
use super::names::{Dialect, Part};
use super::shape::BlockShape;
use super::tower::BuildTower;
use crate::batch::Sharing;
use crate::nn::{
    Activation, AlignedBuffer, Depthwise, PackedLinear, Rows, TILE_ROWS, activate, dense, multiply,
};
use crate::weights::{TensorSpec, WeightsError};

/// Pixels that go through a product together: what they become stays in the cache.
const BLOCK_PIXELS: usize = 32 * TILE_ROWS;

/// A block, ready to run.
#[derive(Debug)]
pub(super) struct Block {
    arch: Arch,
    shape: BlockShape,
    activation: Activation,
    widen: Option<PackedLinear>,
    depthwise: Depthwise,
    weighing: Option<Weighing>,
    narrow: PackedLinear,
}

/// Squeeze and excite: a weight for each channel, from the means of all of them.
#[derive(Debug)]
struct Weighing {
    squeeze: (Vec<f32>, Vec<f32>),
    expand: (Vec<f32>, Vec<f32>),
}

/// Memory of a block, to be used again.
#[derive(Debug, Default)]
pub(super) struct BlockScratch {
    wide: AlignedBuffer,
    padded: AlignedBuffer,
    deep: AlignedBuffer,
}

impl Block {
    /// The tensors of block `index`.
    pub(super) fn specs(dialect: Dialect, index: usize, shape: &BlockShape) -> Vec<TensorSpec> {
        let BlockShape { inputs, wide, outputs, kernel, .. } = *shape;
        let part = |part| dialect.part(index, part);
        let mut specs = Vec::new();
        if wide != inputs {
            specs.extend(conv::specs(&part(Part::Widen), &[wide, inputs, 1, 1]));
        }
        specs.extend(conv::specs(&part(Part::Depthwise), &[wide, 1, kernel, kernel]));
        specs.extend(conv::specs(&part(Part::Narrow), &[outputs, wide, 1, 1]));
        if let Some(squeezed) = shape.squeezed {
            let sizes = [(squeezed, wide), (wide, squeezed)];
            for (name, (to, from)) in dialect.weighing(index).into_iter().zip(sizes) {
                specs.push(conv::spec(format!("{name}.weight"), &[to, from, 1, 1]));
                specs.push(conv::spec(format!("{name}.bias"), &[to]));
            }
        }
        specs
    }

    pub(super) fn build(
        build: &BuildTower<'_, '_>,
        index: usize,
        shape: BlockShape,
    ) -> Result<Self, WeightsError> {
        let BuildTower { arch, tensors, dialect, shape: tower } = *build;
        let BlockShape { inputs, wide, kernel, stride, padding, .. } = shape;
        let part = |part| conv::read(tensors, &dialect.part(index, part), tower.eps);
        let widen = if wide == inputs { None } else { Some(part(Part::Widen)?) };
        let (depthwise, narrow) = (part(Part::Depthwise)?, part(Part::Narrow)?);
        let layer = |name: &str| {
            let weight = tensors.read(&format!("{name}.weight"))?;
            Ok::<_, WeightsError>((weight, tensors.read(&format!("{name}.bias"))?))
        };
        let weighing = match (shape.squeezed, dialect.weighing(index)) {
            (None, _) => None,
            (Some(_), [squeeze, expand]) => {
                Some(Weighing { squeeze: layer(&squeeze)?, expand: layer(&expand)? })
            }
        };
        let kernel = (kernel, stride, padding);
        Ok(Self {
            arch,
            shape,
            activation: tower.activation,
            widen: widen.map(|conv| PackedLinear::new(arch, &conv.weight, &conv.bias, inputs)),
            depthwise: Depthwise::new(
                arch,
                &depthwise.weight,
                depthwise.bias,
                kernel,
                tower.activation,
            ),
            weighing,
            narrow: PackedLinear::new(arch, &narrow.weight, &narrow.bias, wide),
        })
    }

    /// Height and width of what a picture becomes.
    pub(super) fn output_size(&self, (height, width): (usize, usize)) -> (usize, usize) {
        (self.depthwise.output_side(height), self.depthwise.output_side(width))
    }

    /// Channels of what a picture becomes.
    pub(super) fn outputs(&self) -> usize {
        self.shape.outputs
    }

    /// Writes what the picture `x` of that height and width becomes to `out`.
    pub(super) fn forward(
        &self,
        x: &[f32],
        size: (usize, usize),
        out: &mut [f32],
        (sharing, scratch): (Sharing, &mut BlockScratch),
    ) {
        let BlockScratch { wide, padded, deep } = scratch;
        let (channels, padding) = (self.shape.wide, self.depthwise.padding());
        let wide: &[f32] = match &self.widen {
            None => x,
            Some(layer) => {
                let wide = wide.grow(size.0 * size.1 * channels);
                for_pixels(sharing, wide, channels, |first, wide| {
                    linear(layer, &x[first * self.shape.inputs..], wide, self.activation);
                });
                wide
            }
        };
        let columns = padding.padded(size.1);
        let padded = padded.grow(padding.padded(size.0) * columns * channels);
        for_each(sharing, padded, columns * channels, |row, line| {
            let row = row.checked_sub(padding.before).filter(|&row| row < size.0);
            pad_line(
                line,
                row.map(|row| &wide[row * size.1 * channels..][..size.1 * channels]),
                padding.before * channels,
            );
        });
        let (rows, columns_out) = self.output_size(size);
        let deep = deep.grow(rows * columns_out * channels);
        for_each(sharing, deep, columns_out * channels, |row, line| {
            self.depthwise.row(padded, columns, row, line);
        });
        if let Some(weighing) = &self.weighing {
            let weights = weighing.weights(self.arch, deep);
            for_each(sharing, deep, channels, |_, pixel| multiply(self.arch, pixel, &weights));
        }
        let deep: &[f32] = deep;
        for_pixels(sharing, out, self.shape.outputs, |first, out| {
            linear(&self.narrow, &deep[first * channels..], out, Activation::None);
            if self.shape.residual {
                let x = &x[first * self.shape.outputs..][..out.len()];
                out.iter_mut().zip(x).for_each(|(out, x)| *out += x);
            }
        });
    }
}

impl Weighing {
    /// A weight for each channel, between 0 and 1.
    fn weights(&self, arch: Arch, pixels: &[f32]) -> Vec<f32> {
        let channels = self.expand.1.len();
        let mut squeezed = dense(&mean(pixels, channels), &self.squeeze.0, &self.squeeze.1);
        activate(arch, Activation::Swish, &mut squeezed);
        let mut weights = dense(&squeezed, &self.expand.0, &self.expand.1);
        weights.iter_mut().for_each(|weight| *weight = 1.0 / (1.0 + (-*weight).exp()));
        weights
    }
}

/// The mean of each channel over all pixels.
pub(super) fn mean(pixels: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0; channels];
    for pixel in pixels.chunks_exact(channels) {
        sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
    }
    let count = (pixels.len() / channels).max(1) as f32;
    sums.iter_mut().for_each(|sum| *sum /= count);
    sums
}

/// Fills a line of a padded picture: zeros, and `line` from `start` on.
pub(super) fn pad_line(padded: &mut [f32], line: Option<&[f32]>, start: usize) {
    let Some(line) = line else { return padded.fill(0.0) };
    padded[..start].fill(0.0);
    padded[start..start + line.len()].copy_from_slice(line);
    padded[start + line.len()..].fill(0.0);
}

/// Multiplies as many rows as `out` has.
pub(super) fn linear(layer: &PackedLinear, x: &[f32], out: &mut [f32], activation: Activation) {
    let (inputs, outputs) = (layer.inputs(), layer.outputs());
    let rows = Rows { data: x, stride: inputs, count: out.len() / outputs };
    layer.forward_columns(rows, 0..outputs, activation, out, outputs);
}

/// Calls `work(first pixel, pixels)` for blocks of the pixels of a picture.
pub(super) fn for_pixels(
    sharing: Sharing,
    pixels: &mut [f32],
    channels: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    let count = pixels.len() / channels;
    let block = match sharing {
        Sharing::OneThread => BLOCK_PIXELS,
        Sharing::Pool => {
            let share = count.div_ceil(rayon::current_num_threads());
            share.next_multiple_of(TILE_ROWS).clamp(TILE_ROWS, BLOCK_PIXELS)
        }
    };
    for_each(sharing, pixels, block * channels, |index, pixels| work(index * block, pixels));
}

/// Calls `work(index, part)` for parts of `len` values.
pub(super) fn for_each(
    sharing: Sharing,
    values: &mut [f32],
    len: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    match sharing {
        Sharing::OneThread => {
            values.chunks_mut(len).enumerate().for_each(|(index, part)| work(index, part));
        }
        Sharing::Pool => {
            values.par_chunks_mut(len).enumerate().for_each(|(index, part)| work(index, part));
        }
    }
}

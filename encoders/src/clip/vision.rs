//! The image tower.

use bigrain_kernels::Int8Rows;
use pulp::Arch;

use super::config::VisionConfig;
use super::names::Names;
use super::transformer::{Transformer, TransformerScratch, read_norm};
use crate::batch::{RowBlocks, Sharing};
use crate::image::{CHANNELS, Pixels};
use crate::nn::{AlignedBuffer, LayerNorm, Linear};
use crate::weights::{Tensors, WeightsError};

/// Which rows of an image are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageRows {
    /// The class row, which stands for the image.
    Class,
    /// Those of the patches, from left to right, then down.
    Patches,
}

/// A vision transformer, to before its last layer norm.
#[derive(Debug)]
pub(super) struct VisionTower {
    width: usize,
    patch_size: usize,
    grid: usize,
    patches: Linear,
    class: Vec<f32>,
    positions: Vec<f32>,
    first_norm: LayerNorm,
    transformer: Transformer,
}

/// Memory of one forward pass, to be used again.
#[derive(Debug, Default)]
pub(super) struct VisionScratch {
    patches: AlignedBuffer,
    embedded: AlignedBuffer,
    x: AlignedBuffer,
    quantized: Vec<Int8Rows>,
    transformer: TransformerScratch,
}

impl VisionTower {
    /// Packs the tensors, which were checked.
    pub(super) fn build(
        arch: Arch,
        tensors: &Tensors<'_>,
        names: &Names,
        config: &VisionConfig,
    ) -> Result<Self, WeightsError> {
        let width = config.tower.width;
        let inputs = CHANNELS * config.patch_size * config.patch_size;
        let blocks = (names.image_blocks, names.block);
        Ok(Self {
            width,
            patch_size: config.patch_size,
            grid: config.grid(),
            // Kernels lie in the order colour, row, column: so do the patches.
            patches: Linear::new(arch, &tensors.read(names.patches)?, &vec![0.0; width], inputs),
            class: tensors.read(names.class)?,
            positions: tensors.read(names.image_positions)?,
            first_norm: read_norm(arch, tensors, names.first_norm, &config.tower)?,
            transformer: Transformer::build(arch, tensors, blocks, &config.tower, false)?,
        })
    }

    /// Rows of an image.
    pub(super) fn rows(&self) -> usize {
        1 + self.grid * self.grid
    }

    /// Returns the wanted rows of images, one image after the other: `[rows, width]`. The images are
    /// whole and of the tower's size.
    pub(super) fn forward<'a>(
        &self,
        images: &[&Pixels],
        wanted: ImageRows,
        sharing: Sharing,
        scratch: &'a mut VisionScratch,
    ) -> &'a [f32] {
        let (rows, width) = (self.rows(), self.width);
        let VisionScratch { patches, embedded, x, quantized, transformer } = scratch;
        let count = images.len() * (rows - 1);
        let depth = self.patches.inputs();
        let patches = patches.grow(count * depth);
        for (image, out) in images.iter().zip(patches.chunks_exact_mut((rows - 1) * depth)) {
            self.lay_out(image, out);
        }
        let blocks = RowBlocks::new(count, sharing);
        quantized.resize_with(quantized.len().max(blocks.count()), Int8Rows::default);
        let embedded = embedded.grow(count * width);
        blocks.for_each(
            (patches, depth),
            (embedded, width),
            quantized,
            |_, patches, out, quantized| self.patches.forward(patches, out, quantized),
        );

        let x = x.grow(images.len() * rows * width);
        let images_of = x.chunks_exact_mut(rows * width);
        for (x, embedded) in images_of.zip(embedded.chunks_exact((rows - 1) * width)) {
            x[..width].copy_from_slice(&self.class);
            x[width..].copy_from_slice(embedded);
            for (x, position) in x.iter_mut().zip(&self.positions) {
                *x += position;
            }
        }
        self.first_norm.normalize(x);

        let bounds: Vec<usize> = (0..=images.len()).map(|image| image * rows).collect();
        let wanted: Vec<usize> = match wanted {
            ImageRows::Class => bounds[..images.len()].to_vec(),
            ImageRows::Patches => (0..images.len() * rows).filter(|row| row % rows != 0).collect(),
        };
        self.transformer.forward(x, &bounds, &wanted, sharing, transformer)
    }

    /// Writes a row for each patch: its values by colour, row, column.
    fn lay_out(&self, image: &Pixels, out: &mut [f32]) {
        let (patch, grid) = (self.patch_size, self.grid);
        let size = image.height * image.width;
        for (index, out) in out.chunks_exact_mut(CHANNELS * patch * patch).enumerate() {
            let (top, left) = (index / grid * patch, index % grid * patch);
            for (line, out) in out.chunks_exact_mut(patch).enumerate() {
                let (channel, row) = (line / patch, top + line % patch);
                let start = channel * size + row * image.width + left;
                out.copy_from_slice(&image.data[start..][..patch]);
            }
        }
    }
}

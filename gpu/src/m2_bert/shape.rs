//! What a model is like.

use crate::GpuError;

/// More than any published model has; kernels count in 32 bits.
pub(super) const MAX_SIZE: usize = 1 << 24;
/// Channels at most: tiles of them are the second dimension of a grid.
const MAX_HIDDEN: usize = 1 << 20;

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct M2BertShape {
    /// Rows of the table of words.
    pub vocabulary: usize,
    /// Rows of the table of positions: the most tokens of a text.
    pub positions: usize,
    /// Rows of the table of types, of which every token has the first.
    pub types: usize,
    /// Values of a token's row: the channels of the convolutions.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Values between the two layers of a feed-forward block, after the gate.
    pub intermediate: usize,
    /// Blocks of the weights of these layers.
    pub blocks: usize,
    /// Added to the variance in norms.
    pub eps: f32,
}

impl M2BertShape {
    /// Refuses what no kernel takes.
    pub(super) fn check(&self) -> Result<(), GpuError> {
        let Self { hidden, intermediate, blocks, .. } = *self;
        for (name, size, most) in [
            ("vocabulary", self.vocabulary, MAX_SIZE),
            ("positions", self.positions, MAX_SIZE),
            ("types", self.types, MAX_SIZE),
            ("hidden", hidden, MAX_HIDDEN),
            ("layers", self.layers, MAX_SIZE),
            ("intermediate", intermediate, MAX_SIZE),
            ("blocks", blocks, MAX_SIZE),
        ] {
            if !(1..=most).contains(&size) {
                return Err(GpuError::Shape(format!("{name} {size}: expected 1 to {most}")));
            }
        }
        if !hidden.is_multiple_of(blocks) || !intermediate.is_multiple_of(blocks) {
            let values = format!("{hidden} and {intermediate} values");
            return Err(GpuError::Shape(format!("{blocks} blocks of {values}")));
        }
        if !intermediate.is_multiple_of(2) {
            return Err(GpuError::Shape(format!("intermediate {intermediate}: expected even")));
        }
        Ok(())
    }
}

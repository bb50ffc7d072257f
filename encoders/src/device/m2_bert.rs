//! M2-BERT, as devices take it.

use std::fmt;

use bigrain_types::DeviceError;

/// An M2-BERT model, but for its filters.
#[derive(Clone, Copy)]
pub struct DeviceM2Bert<'a> {
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
    /// Added to the variance in layer norms.
    pub eps: f32,
    /// Reads a tensor by the name that it has in published checkpoints.
    pub read: &'a dyn Fn(&str) -> Option<Vec<f32>>,
}

impl fmt::Debug for DeviceM2Bert<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = (self.layers, self.hidden, self.positions);
        f.debug_struct("DeviceM2Bert")
            .field("layers, hidden, positions", &sizes)
            .finish_non_exhaustive()
    }
}

/// Gives both filters of every channel of a layer: `[channels, size]`, where `size` is the first power of two from twice the
/// length of texts on.
///
/// Value `d` of a channel is what a token weighs in the result of the one `d` after it, and value `size - d` of the one `d`
/// before it: in `longconv1(v · x1)` and in `longconv2(x)`.
pub type DeviceFilters<'a> = &'a dyn Fn(usize) -> Vec<[f32; 2]>;

/// An M2-BERT model in the memory of a device.
pub trait DeviceM2BertModel: fmt::Debug + Send + Sync {
    /// Makes the model ready for texts of `length` tokens; does nothing where it is. Filters that do not fit are not asked
    /// for.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    fn prepare(&self, length: usize, filters: DeviceFilters<'_>) -> Result<(), DeviceError>;

    /// Returns last rows, before any pooling: `[texts, hidden]` or `[texts, length, hidden]`. Rows may differ from those of
    /// the CPU by the rounding of 16 bits.
    ///
    /// # Errors
    ///
    /// [`DeviceError`], also where what the texts need beside the model does not fit.
    fn rows(&self, texts: &DevicePaddedTexts<'_>) -> Result<Vec<f32>, DeviceError>;
}

/// Texts of one length, padding included, one after the other; all of them within the model's tables.
#[derive(Clone, Copy, Debug)]
pub struct DevicePaddedTexts<'a> {
    /// Of each token, its row in the table of words.
    pub ids: &'a [u32],
    /// Tokens of each text; the model was made ready for it.
    pub length: usize,
    /// Which rows are wanted.
    pub wanted: DeviceRows,
}

/// Which of the last rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceRows {
    /// That of the first token of each text.
    First,
    /// All.
    All,
}

//! The seam between an encoder and a device with its own memory.

use std::fmt;

use bigrain_types::DeviceError;

use super::{DeviceM2Bert, DeviceM2BertModel};

/// What runs text models in place of this CPU.
pub trait EncoderDevice: fmt::Debug + Send + Sync {
    /// Names the device, for people.
    fn name(&self) -> String;

    /// Copies a model of BERT's family to the device.
    ///
    /// # Errors
    ///
    /// [`DeviceError::DoesNotFit`] where its memory is too small; [`DeviceError::Unsupported`] for a model that it has
    /// no kernels for; [`DeviceError::Failed`].
    fn load(&self, model: &DeviceBert<'_>) -> Result<Box<dyn DeviceModel>, DeviceError>;

    /// Copies an M2-BERT model to the device.
    ///
    /// # Errors
    ///
    /// As [`EncoderDevice::load`]; [`DeviceError::Unsupported`] of a device that runs none.
    fn load_m2_bert(
        &self,
        _model: &DeviceM2Bert<'_>,
    ) -> Result<Box<dyn DeviceM2BertModel>, DeviceError> {
        Err(DeviceError::Unsupported("the device does not run M2-BERT".to_owned()))
    }
}

/// A model of BERT's family in the memory of a device.
pub trait DeviceModel: fmt::Debug + Send + Sync {
    /// Returns the last row of each token, `[tokens, hidden]`, before any pooling. Rows may differ from those of the
    /// CPU by the rounding of 16 bits.
    ///
    /// # Errors
    ///
    /// [`DeviceError`], also where what the batch needs beside the model does not fit.
    fn rows(&self, batch: &DeviceBatch<'_>) -> Result<Vec<f32>, DeviceError>;
}

/// A model of BERT's family, as devices take it.
#[derive(Clone, Copy)]
pub struct DeviceBert<'a> {
    /// Rows of the table of words.
    pub vocabulary: usize,
    /// The row of the table of positions that the first token of a text has.
    pub first_position: usize,
    /// Rows of that table from there on: the most tokens of a text.
    pub positions: usize,
    /// Rows of the table of types; 0 of a model without.
    pub types: usize,
    /// Values of a row of the tables.
    pub embedding: usize,
    /// Values of a token's row.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Values between the two layers of a feed-forward block.
    pub intermediate: usize,
    /// Added to the variance in layer norms.
    pub eps: f32,
    /// What happens between the two layers of a feed-forward block.
    pub activation: DeviceActivation,
    /// What attention adds to scores before they are divided by the root of a head's dimensions: `[heads, 2 positions -
    /// 1]`, from a key as far before its query as there is to one as far behind.
    pub distances: Option<&'a [f32]>,
    /// Reads a tensor by the name that it has in BERT's own checkpoints, whatever the family.
    pub read: &'a dyn Fn(&str) -> Option<Vec<f32>>,
}

impl fmt::Debug for DeviceBert<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = (self.layers, self.hidden, self.heads);
        f.debug_struct("DeviceBert").field("layers, hidden, heads", &sizes).finish_non_exhaustive()
    }
}

/// What happens between the two layers of a feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceActivation {
    /// `x Φ(x)`.
    Gelu,
    /// The approximation of it by `tanh`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// The tokens of some texts, one text after the other; all of them within the model's tables.
#[derive(Clone, Copy, Debug)]
pub struct DeviceBatch<'a> {
    /// Of each token, its row in the table of words.
    pub ids: &'a [u32],
    /// Of each token, its row in the table of types; 0 of a model without.
    pub types: &'a [u32],
    /// Where each text begins, and the end of the last.
    pub bounds: &'a [usize],
}

//! An M2-BERT model as devices take it.

use super::config::M2BertConfig;
use super::model::{M2BertModel, PaddedTexts, WantedRows};
use crate::device::{
    DeviceM2Bert, DeviceM2BertModel, DevicePaddedTexts, DeviceRows, EncoderDevice, OnDevice,
};
use crate::weights::Tensors;

/// A model on a device.
pub(super) type M2BertOnDevice = OnDevice<dyn DeviceM2BertModel>;

/// Copies a model, whose tensors were checked, to a device, or says why not.
pub(super) fn load(
    device: &dyn EncoderDevice,
    config: &M2BertConfig,
    tensors: &Tensors<'_>,
) -> M2BertOnDevice {
    // What is missing was refused before; a device says which it could not read.
    let read = |name: &str| tensors.read(name).ok();
    let model = DeviceM2Bert {
        vocabulary: config.vocab_size,
        positions: config.max_position_embeddings,
        types: config.type_vocab_size,
        hidden: config.hidden_size,
        layers: config.num_hidden_layers,
        intermediate: config.intermediate_size,
        blocks: config.monarch_mlp_nblocks,
        eps: config.layer_norm_eps as f32,
        read: &read,
    };
    OnDevice::new(device, device.load_m2_bert(&model), config.hidden_size)
}

/// Makes a device ready for texts of `length` tokens, or leaves the model to the CPU. Runs on all threads of the rayon pool
/// the caller runs in.
pub(super) fn prepare(on_device: &M2BertOnDevice, model: &M2BertModel, length: usize) {
    on_device
        .check(|device| device.prepare(length, &|layer| model.circular_filters(layer, length)));
}

/// Returns the wanted last rows from the device, or nothing where the CPU is to run the texts.
pub(super) fn rows(
    on_device: &M2BertOnDevice,
    model: &M2BertModel,
    texts: PaddedTexts<'_>,
    wanted: WantedRows,
) -> Option<Vec<f32>> {
    let PaddedTexts { ids, length } = texts;
    let (wanted, rows) = match wanted {
        WantedRows::First => (DeviceRows::First, ids.len() / length),
        WantedRows::All => (DeviceRows::All, ids.len()),
    };
    on_device.answer(ids.len(), rows, |device| {
        device.prepare(length, &|layer| model.circular_filters(layer, length))?;
        device.rows(&DevicePaddedTexts { ids, length, wanted })
    })
}

//! A BERT-family model as devices take it.

use super::config::BertConfig;
use crate::architecture::Head;
use crate::device::{DeviceActivation, DeviceBert, DeviceModel, EncoderDevice, OnDevice};
use crate::nn::{Activation, PositionBias};
use crate::weights::Tensors;

/// Copies a model, whose tensors were checked, to a device, or says why not.
pub(super) fn load(
    device: &dyn EncoderDevice,
    config: &BertConfig,
    tensors: &Tensors<'_>,
    distances: Option<&PositionBias>,
) -> OnDevice<dyn DeviceModel> {
    let refused = |why: &str| OnDevice::refused(device, why);
    let family = config.family();
    // The layers of such a model round their inputs, which are part of its embedding space.
    if config.tensors(Head::None).iter().any(|tensor| tensors.is_int8(&tensor.name)) {
        return refused("layers in int8 run on the CPU");
    }
    let activation = match config.activation() {
        Ok(Activation::Gelu) => DeviceActivation::Gelu,
        Ok(Activation::GeluTanh) => DeviceActivation::GeluTanh,
        Ok(Activation::Relu) => DeviceActivation::Relu,
        _ => return refused("its activation is not one of a device's"),
    };
    // What is missing was refused before; a device says which it could not read.
    let read = |name: &str| tensors.read(&family.own_name(name)).ok();
    let model = DeviceBert {
        vocabulary: config.vocab_size,
        first_position: config.position_offset(),
        positions: config.max_tokens(),
        types: if family.has_types() { config.type_vocab_size } else { 0 },
        embedding: config.embedding_size(),
        hidden: config.hidden_size,
        layers: config.num_hidden_layers,
        heads: config.num_attention_heads,
        intermediate: config.intermediate_size,
        eps: config.layer_norm_eps as f32,
        activation,
        distances: distances.map(PositionBias::table),
        read: &read,
    };
    OnDevice::load(device, &model)
}

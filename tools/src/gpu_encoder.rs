//! The GPU as encoders know it.

use std::sync::Arc;

use bigrain_encoders::{
    DeviceActivation, DeviceBatch, DeviceBert, DeviceError, DeviceModel, EncoderDevice,
};
use bigrain_gpu::{Backend, BertActivation, BertBatch, BertShape, GpuBert};

/// Runs models on a GPU.
#[derive(Clone, Debug)]
pub struct GpuEncoder(Arc<dyn Backend>);

/// A model in the memory of a GPU.
#[derive(Debug)]
struct GpuModel(GpuBert);

impl GpuEncoder {
    /// Runs models on a device.
    #[must_use]
    pub fn new(device: Arc<dyn Backend>) -> Self {
        Self(device)
    }
}

impl EncoderDevice for GpuEncoder {
    fn name(&self) -> String {
        self.0.name()
    }

    fn load(&self, model: &DeviceBert<'_>) -> Result<Box<dyn DeviceModel>, DeviceError> {
        let shape = BertShape {
            vocabulary: model.vocabulary,
            first_position: model.first_position,
            positions: model.positions,
            types: model.types,
            embedding: model.embedding,
            hidden: model.hidden,
            layers: model.layers,
            heads: model.heads,
            intermediate: model.intermediate,
            eps: model.eps,
            activation: match model.activation {
                DeviceActivation::Gelu => BertActivation::Gelu,
                DeviceActivation::GeluTanh => BertActivation::GeluTanh,
                DeviceActivation::Relu => BertActivation::Relu,
            },
        };
        let loaded = GpuBert::load(Arc::clone(&self.0), shape, model.distances, model.read);
        Ok(Box::new(GpuModel(loaded?)))
    }
}

impl DeviceModel for GpuModel {
    fn rows(&self, batch: &DeviceBatch<'_>) -> Result<Vec<f32>, DeviceError> {
        let DeviceBatch { ids, types, bounds } = *batch;
        Ok(self.0.forward(&BertBatch { ids, types, bounds })?)
    }
}

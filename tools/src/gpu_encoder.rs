//! The GPU as encoders know it.

use std::sync::Arc;

use bigrain_encoders::{
    DeviceActivation, DeviceBatch, DeviceBert, DeviceError, DeviceFilters, DeviceM2Bert,
    DeviceM2BertModel, DeviceModel, DevicePaddedTexts, DeviceRows, EncoderDevice,
};
use bigrain_gpu::{
    Backend, BertActivation, BertBatch, BertShape, GpuBert, GpuM2Bert, M2BertBatch, M2BertRows,
    M2BertShape,
};

/// Runs models on a GPU.
#[derive(Clone, Debug)]
pub struct GpuEncoder(Arc<dyn Backend>);

/// A model in the memory of a GPU.
#[derive(Debug)]
struct GpuModel(GpuBert);

/// An M2-BERT model in the memory of a GPU.
#[derive(Debug)]
struct GpuM2BertModel(GpuM2Bert);

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

    fn load_m2_bert(
        &self,
        model: &DeviceM2Bert<'_>,
    ) -> Result<Box<dyn DeviceM2BertModel>, DeviceError> {
        let shape = M2BertShape {
            vocabulary: model.vocabulary,
            positions: model.positions,
            types: model.types,
            hidden: model.hidden,
            layers: model.layers,
            intermediate: model.intermediate,
            blocks: model.blocks,
            eps: model.eps,
        };
        let loaded = GpuM2Bert::load(Arc::clone(&self.0), shape, model.read);
        Ok(Box::new(GpuM2BertModel(loaded?)))
    }
}

impl DeviceModel for GpuModel {
    fn rows(&self, batch: &DeviceBatch<'_>) -> Result<Vec<f32>, DeviceError> {
        let DeviceBatch { ids, types, bounds } = *batch;
        Ok(self.0.forward(&BertBatch { ids, types, bounds })?)
    }
}

impl DeviceM2BertModel for GpuM2BertModel {
    fn prepare(&self, length: usize, filters: DeviceFilters<'_>) -> Result<(), DeviceError> {
        Ok(self.0.prepare(length, filters)?)
    }

    fn rows(&self, texts: &DevicePaddedTexts<'_>) -> Result<Vec<f32>, DeviceError> {
        let DevicePaddedTexts { ids, length, wanted } = *texts;
        let wanted = match wanted {
            DeviceRows::First => M2BertRows::First,
            DeviceRows::All => M2BertRows::All,
        };
        Ok(self.0.forward(&M2BertBatch { ids, length, wanted })?)
    }
}

//! A BERT-family model behind the seam that all families share.

use parking_lot::Mutex;

use super::config::BertConfig;
use super::model::{BertModel, BertScratch};
use super::on_device;
use crate::architecture::{BuildModelError, Head, TextModel, TokenRows};
use crate::batch::{BatchPlan, PackedBatch, Sharing, plan_batches, plan_for_device};
use crate::device::{DeviceModel, DeviceReport, EncoderDevice, OnDevice};
use crate::pooling::Pooling;
use crate::weights::Tensors;

/// A model, and the memory of its forward passes, to be used again.
#[derive(Debug)]
pub(crate) struct BertTextModel {
    model: BertModel,
    hidden: usize,
    scratch: Mutex<Vec<BertScratch>>,
    /// The same model on a device, where one was asked for.
    device: Option<OnDevice<dyn DeviceModel>>,
}

impl BertTextModel {
    /// Checks and packs the tensors of a model with a head.
    pub(crate) fn build(
        config: &BertConfig,
        tensors: &Tensors<'_>,
        head: Head,
    ) -> Result<Self, BuildModelError> {
        let model = BertModel::build(config, tensors, head)?;
        let hidden = config.hidden_size;
        Ok(Self { model, hidden, scratch: Mutex::default(), device: None })
    }
}

impl BertTextModel {
    /// Has the model run on a device, if there is one.
    pub(crate) fn on(
        self,
        device: Option<&dyn EncoderDevice>,
        config: &BertConfig,
        tensors: &Tensors<'_>,
    ) -> Self {
        let load = |device| on_device::load(device, config, tensors, self.model.position_bias());
        let device = device.map(load);
        Self { device, ..self }
    }

    /// Returns the rows of a batch from the device, or nothing where the CPU is to run it.
    fn device_rows(&self, batch: &PackedBatch) -> Option<Vec<f32>> {
        self.device.as_ref()?.rows(batch)
    }

    /// Pools the rows of each text.
    fn pool(&self, rows: &[f32], bounds: &[usize], pooling: Pooling) -> Vec<f32> {
        let hidden = self.hidden;
        let mut pooled = vec![0.0; (bounds.len() - 1) * hidden];
        for (text, out) in bounds.windows(2).zip(pooled.chunks_exact_mut(hidden)) {
            pooling.pool(&rows[text[0] * hidden..text[1] * hidden], out);
        }
        pooled
    }
}

impl TextModel for BertTextModel {
    fn device(&self) -> Option<DeviceReport> {
        self.device.as_ref().map(OnDevice::report)
    }

    fn plan(&self, lengths: &[usize], threads: usize) -> BatchPlan {
        match self.device.as_ref().is_some_and(OnDevice::is_working) {
            true => plan_for_device(lengths),
            false => plan_batches(lengths, threads),
        }
    }

    fn embed(&self, batch: &PackedBatch, pooling: Pooling, sharing: Sharing) -> Vec<f32> {
        let pooled = match self.device_rows(batch) {
            Some(rows) => self.pool(&rows, batch.bounds(), pooling),
            None => {
                let mut scratch = self.scratch.lock().pop().unwrap_or_default();
                let rows = self.model.forward(batch, sharing, &mut scratch);
                let pooled = self.pool(rows, batch.bounds(), pooling);
                self.scratch.lock().push(scratch);
                pooled
            }
        };
        if pooling == Pooling::Pooler { self.model.pool(pooled) } else { pooled }
    }

    fn token_rows(&self) -> Option<&dyn TokenRows> {
        Some(self)
    }

    fn first_token_attention(&self, batch: &PackedBatch, sharing: Sharing) -> Option<Vec<f32>> {
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let attention = self.model.first_token_attention(batch, sharing, &mut scratch);
        self.scratch.lock().push(scratch);
        Some(attention)
    }
}

impl TokenRows for BertTextModel {
    fn rows(&self, batch: &PackedBatch, sharing: Sharing) -> Vec<f32> {
        if let Some(rows) = self.device_rows(batch) {
            return rows;
        }
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let rows = self.model.forward(batch, sharing, &mut scratch).to_vec();
        self.scratch.lock().push(scratch);
        rows
    }
}

//! A BERT-family model behind the seam that all families share.

use parking_lot::Mutex;

use super::config::BertConfig;
use super::model::{BertModel, BertScratch};
use crate::architecture::{BuildModelError, Head, TextModel, TokenRows};
use crate::batch::{PackedBatch, Sharing};
use crate::pooling::Pooling;
use crate::weights::Tensors;

/// A model, and the memory of its forward passes, to be used again.
#[derive(Debug)]
pub(crate) struct BertTextModel {
    model: BertModel,
    hidden: usize,
    scratch: Mutex<Vec<BertScratch>>,
}

impl BertTextModel {
    /// Checks and packs the tensors of a model with a head.
    pub(crate) fn build(
        config: &BertConfig,
        tensors: &Tensors<'_>,
        head: Head,
    ) -> Result<Self, BuildModelError> {
        let model = BertModel::build(config, tensors, head)?;
        Ok(Self { model, hidden: config.hidden_size, scratch: Mutex::default() })
    }
}

impl TextModel for BertTextModel {
    fn embed(&self, batch: &PackedBatch, pooling: Pooling, sharing: Sharing) -> Vec<f32> {
        let hidden = self.hidden;
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let rows = self.model.forward(batch, sharing, &mut scratch);
        let bounds = batch.bounds();
        let mut pooled = vec![0.0; (bounds.len() - 1) * hidden];
        for (text, out) in bounds.windows(2).zip(pooled.chunks_exact_mut(hidden)) {
            pooling.pool(&rows[text[0] * hidden..text[1] * hidden], out);
        }
        self.scratch.lock().push(scratch);
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
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let rows = self.model.forward(batch, sharing, &mut scratch).to_vec();
        self.scratch.lock().push(scratch);
        rows
    }
}

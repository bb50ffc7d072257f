//! Texts of any length through a model that reads one length.

use std::collections::BTreeMap;

use bigrain_types::Cancelled;
use parking_lot::Mutex;

use super::config::M2BertConfig;
use super::model::{M2BertModel, M2BertScratch, PaddedTexts, WantedRows, Watch};
use super::pad::PadPolicy;
use crate::pooling::Pooling;
use crate::weights::{Tensors, WeightsError};

/// The most tokens of a batch, padding included. What a batch shares (filters that are not kept) is
/// paid for once; what it holds in memory is four values a token and channel, 400 MB at 768
/// channels.
const MAX_BATCH_TOKENS: usize = 32_768;
/// The same where there is nothing to share, because filters are kept.
const MAX_BATCH_TOKENS_KEPT: usize = 8_192;

/// A model, how it pads, and the memory of its forward passes, to be used again.
#[derive(Debug)]
pub(crate) struct M2BertTextModel {
    model: M2BertModel,
    pad_policy: PadPolicy,
    pad_token: u32,
    longest: usize,
    /// One: more would each hold hundreds of megabytes.
    scratch: Mutex<Option<M2BertScratch>>,
}

impl M2BertTextModel {
    /// Checks and packs the tensors of a model; its pooler only if asked for.
    pub(crate) fn build(
        config: &M2BertConfig,
        pad_policy: PadPolicy,
        tensors: &Tensors<'_>,
        with_pooler: bool,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            model: M2BertModel::build(config, tensors, with_pooler)?,
            pad_policy,
            pad_token: config.pad_token_id,
            longest: config.max_tokens(),
            scratch: Mutex::default(),
        })
    }

    /// How many tokens are computed for a text of `tokens`.
    pub(crate) fn padded(&self, tokens: usize) -> usize {
        self.pad_policy.padded(tokens, self.longest)
    }

    /// How many steps [`M2BertTextModel::embed`] will report for texts of these lengths.
    pub(crate) fn steps(&self, lengths: impl Iterator<Item = usize>) -> usize {
        self.batches(lengths).len() * self.model.layers()
    }

    /// Texts of one padded length, cut into batches: the length, and which texts.
    fn batches(&self, lengths: impl Iterator<Item = usize>) -> Vec<(usize, Vec<usize>)> {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (text, tokens) in lengths.enumerate() {
            by_length.entry(self.padded(tokens)).or_default().push(text);
        }
        let mut batches = Vec::new();
        for (length, texts) in by_length {
            let most =
                if self.model.keeps(length) { MAX_BATCH_TOKENS_KEPT } else { MAX_BATCH_TOKENS };
            let cut = texts.chunks((most / length).max(1));
            batches.extend(cut.map(|texts| (length, texts.to_vec())));
        }
        batches
    }

    /// Embeds texts: `[texts, hidden]`. Runs on all threads of the rayon pool the caller runs in.
    ///
    /// [`Pooling::Mean`] is over the tokens of the text, without its padding.
    pub(crate) fn embed(
        &self,
        texts: &[&[u32]],
        pooling: Pooling,
        watch: Watch<'_>,
    ) -> Result<Vec<f32>, Cancelled> {
        let mut scratch = self.scratch.lock().take().unwrap_or_default();
        let mut out = Vec::new();
        let mut ids = Vec::new();
        for (length, batch) in self.batches(texts.iter().map(|text| text.len())) {
            ids.clear();
            for &text in &batch {
                ids.extend_from_slice(texts[text]);
                ids.resize(ids.len().next_multiple_of(length), self.pad_token);
            }
            let wanted = match pooling {
                Pooling::Mean => WantedRows::All,
                Pooling::Cls | Pooling::Pooler => WantedRows::First,
            };
            let padded = PaddedTexts { ids: &ids, length };
            let rows = self.model.forward(padded, wanted, watch, &mut scratch)?;
            let hidden = rows.len() / batch.len() / if wanted == WantedRows::All { length } else { 1 };
            out.resize(texts.len() * hidden, 0.0);
            let per_text = rows.len() / batch.len();
            let mut pooled = vec![0.0; batch.len() * hidden];
            for ((&text, rows), pooled) in
                batch.iter().zip(rows.chunks_exact(per_text)).zip(pooled.chunks_exact_mut(hidden))
            {
                let real = (texts[text].len() * hidden).min(rows.len());
                pooling.pool(&rows[..real], pooled);
            }
            if pooling == Pooling::Pooler {
                pooled = self.model.pool(pooled);
            }
            for (&text, pooled) in batch.iter().zip(pooled.chunks_exact(hidden)) {
                out[text * hidden..][..hidden].copy_from_slice(pooled);
            }
        }
        *self.scratch.lock() = Some(scratch);
        Ok(out)
    }
}

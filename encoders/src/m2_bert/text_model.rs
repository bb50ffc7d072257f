//! Texts of any length through a model that reads one length.

use std::collections::BTreeMap;

use bigrain_types::{Cancel, Cancelled};
use parking_lot::Mutex;

use super::config::M2BertConfig;
use super::model::{M2BertModel, M2BertScratch, PaddedTexts, WantedRows, Watch};
use super::on_device::{self, M2BertOnDevice};
use super::pad::PadPolicy;
use crate::architecture::{EmbedTexts, Head, TextModel};
use crate::batch::{PackedBatch, Sharing};
use crate::device::{DeviceReport, OnDevice};
use crate::pooling::Pooling;
use crate::progress::EncodeProgress;
use crate::runtime::Runtime;
use crate::weights::{Tensors, WeightsError};

/// The most tokens of a batch, padding included. What a batch shares (filters that are not kept) is
/// paid for once; what it holds in memory is four values a token and channel, 400 MB at 768
/// channels.
const MAX_BATCH_TOKENS: usize = 32_768;
/// The same where there is nothing to share, because filters are kept.
const MAX_BATCH_TOKENS_KEPT: usize = 8_192;
/// The same on a device, which holds about ten halves a token and channel.
const MAX_BATCH_TOKENS_ON_DEVICE: usize = 32_768;

/// A model, how it pads, and the memory of its forward passes, to be used again.
#[derive(Debug)]
pub(crate) struct M2BertTextModel {
    model: M2BertModel,
    pad_policy: PadPolicy,
    pad_token: u32,
    longest: usize,
    /// One: more would each hold hundreds of megabytes.
    scratch: Mutex<Option<M2BertScratch>>,
    /// The same model on a device, where one was asked for.
    device: Option<M2BertOnDevice>,
}

impl M2BertTextModel {
    /// Checks and packs the tensors of a model with a head.
    pub(crate) fn build(
        config: &M2BertConfig,
        pad_policy: PadPolicy,
        tensors: &Tensors<'_>,
        head: Head,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            model: M2BertModel::build(config, tensors, head)?,
            pad_policy,
            pad_token: config.pad_token_id,
            longest: config.max_tokens(),
            scratch: Mutex::default(),
            device: None,
        })
    }

    /// Has the model run on a device, if there is one. Filters for the length that all texts are padded to are computed here.
    pub(crate) fn on(
        self,
        runtime: &Runtime,
        config: &M2BertConfig,
        tensors: &Tensors<'_>,
    ) -> Self {
        let device = runtime.device().map(|device| on_device::load(device, config, tensors));
        if let (Some(device), PadPolicy::ModelMax) = (&device, self.pad_policy) {
            let prepare = || on_device::prepare(device, &self.model, self.longest);
            runtime.pool().install(prepare);
        }
        Self { device, ..self }
    }

    /// The most tokens of a batch of texts of one length.
    fn most_tokens(&self, length: usize) -> usize {
        if self.device.as_ref().is_some_and(OnDevice::is_working) {
            return MAX_BATCH_TOKENS_ON_DEVICE;
        }
        if self.model.keeps(length) { MAX_BATCH_TOKENS_KEPT } else { MAX_BATCH_TOKENS }
    }

    /// Texts of one padded length, cut into batches: the length, and which texts.
    fn batches(&self, lengths: impl Iterator<Item = usize>) -> Vec<(usize, Vec<usize>)> {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (text, tokens) in lengths.enumerate() {
            by_length.entry(self.pad_policy.padded(tokens, self.longest)).or_default().push(text);
        }
        let mut batches = Vec::new();
        for (length, texts) in by_length {
            let cut = texts.chunks((self.most_tokens(length) / length).max(1));
            batches.extend(cut.map(|texts| (length, texts.to_vec())));
        }
        batches
    }

    /// Runs one batch of texts that are padded to `length`, and pools: `[texts, hidden]`. A mean is
    /// over the tokens of a text, without its padding.
    fn embed_batch(
        &self,
        (texts, length): (&[&[u32]], usize),
        pooling: Pooling,
        watch: Watch<'_>,
        scratch: &mut M2BertScratch,
    ) -> Result<Vec<f32>, Cancelled> {
        let mut ids = Vec::with_capacity(texts.len() * length);
        for text in texts {
            ids.extend_from_slice(text);
            ids.resize(ids.len().next_multiple_of(length), self.pad_token);
        }
        let padded = PaddedTexts { ids: &ids, length };
        if matches!(pooling, Pooling::Cls | Pooling::Pooler) {
            let rows = self.rows(padded, WantedRows::First, watch, scratch)?;
            return Ok(if pooling == Pooling::Pooler { self.model.pool(rows) } else { rows });
        }
        let rows = self.rows(padded, WantedRows::All, watch, scratch)?;
        let hidden = rows.len() / ids.len();
        let mut pooled = vec![0.0; texts.len() * hidden];
        let of_texts = rows.chunks_exact(length * hidden).zip(texts);
        for ((rows, text), pooled) in of_texts.zip(pooled.chunks_exact_mut(hidden)) {
            pooling.pool(&rows[..text.len() * hidden], pooled);
        }
        Ok(pooled)
    }

    /// The wanted rows, from the device or, where there is none or it does not give them, the CPU.
    fn rows(
        &self,
        texts: PaddedTexts<'_>,
        wanted: WantedRows,
        watch: Watch<'_>,
        scratch: &mut M2BertScratch,
    ) -> Result<Vec<f32>, Cancelled> {
        watch.cancel.check()?;
        let of_device = |device| on_device::rows(device, &self.model, texts, wanted);
        if let Some(rows) = self.device.as_ref().and_then(of_device) {
            (0..self.model.layers()).for_each(|_| (watch.layer_done)());
            return Ok(rows);
        }
        self.model.forward(texts, wanted, watch, scratch)
    }

    /// Embeds texts, in their order. Runs on all threads of the rayon pool the caller runs in.
    fn embed_all(
        &self,
        texts: &[&[u32]],
        (pooling, width): (Pooling, usize),
        cancel: &Cancel,
        progress: &EncodeProgress,
    ) -> Result<Vec<f32>, Cancelled> {
        let batches = self.batches(texts.iter().map(|text| text.len()));
        let steps = progress.steps(batches.len() * self.model.layers());
        let watch = Watch { cancel, layer_done: &|| steps.add(1) };
        let mut scratch = self.scratch.lock().take().unwrap_or_default();
        let mut out = vec![0.0; texts.len() * width];
        for (length, batch) in batches {
            let of_batch: Vec<&[u32]> = batch.iter().map(|&text| texts[text]).collect();
            let rows = self.embed_batch((&of_batch, length), pooling, watch, &mut scratch)?;
            for (&text, row) in batch.iter().zip(rows.chunks_exact(width)) {
                out[text * width..][..width].copy_from_slice(row);
            }
        }
        *self.scratch.lock() = Some(scratch);
        Ok(out)
    }
}

impl TextModel for M2BertTextModel {
    fn device(&self) -> Option<DeviceReport> {
        self.device.as_ref().map(OnDevice::report)
    }

    fn embed(&self, batch: &PackedBatch, pooling: Pooling, _: Sharing) -> Vec<f32> {
        let ids: Vec<u32> = batch.iter().map(|(id, ..)| id).collect();
        let texts: Vec<&[u32]> =
            batch.bounds().windows(2).map(|text| &ids[text[0]..text[1]]).collect();
        let how = (pooling, self.model.channels());
        let embedded = self.embed_all(&texts, how, &Cancel::new(), &EncodeProgress::default());
        // Nobody else has the flag, so nobody has raised it.
        embedded.unwrap_or_default()
    }

    fn embed_texts(&self, texts: &[&[u32]], how: EmbedTexts<'_>) -> Result<Vec<f32>, Cancelled> {
        let work = || self.embed_all(texts, (how.pooling, how.width), how.cancel, how.progress);
        how.runtime.pool().install(work)
    }
}

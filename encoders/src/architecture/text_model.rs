//! The seam every model family implements.

use std::fmt;

use bigrain_types::{Cancel, Cancelled};

use crate::batch::{BatchPlan, PackedBatch, Sharing, plan_batches, run_planned};
use crate::device::DeviceReport;
use crate::pooling::Pooling;
use crate::progress::EncodeProgress;
use crate::runtime::Runtime;

/// What a model has above its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// Nothing: rows are pooled as they are.
    None,
    /// A layer on the first row, which [`Pooling::Pooler`] asks for.
    Pooler,
    /// The layer on the first row that a classifier has in its place; the one that gives the label
    /// is the caller's.
    Classifier,
}

impl Head {
    /// What a pooling needs.
    pub(crate) fn of(pooling: Pooling) -> Self {
        if pooling == Pooling::Pooler { Self::Pooler } else { Self::None }
    }
}

/// How texts are to be embedded.
#[derive(Clone, Copy)]
pub(crate) struct EmbedTexts<'a> {
    /// The threads to use.
    pub(crate) runtime: &'a Runtime,
    /// How rows become a vector.
    pub(crate) pooling: Pooling,
    /// Values of a vector.
    pub(crate) width: usize,
    /// Stops the work.
    pub(crate) cancel: &'a Cancel,
    /// Hears how far it has come.
    pub(crate) progress: &'a EncodeProgress,
}

/// A model whose last rows are of tokens.
pub(crate) trait TokenRows: Send + Sync {
    /// Runs a batch and returns all rows: `[tokens, hidden]`. Ids and lengths are as in
    /// [`TextModel::embed`].
    fn rows(&self, batch: &PackedBatch, sharing: Sharing) -> Vec<f32>;
}

/// A model that is ready to run.
///
/// It is immutable and shared between threads. What it gives for a text does not depend on the
/// texts in the batch with it.
pub(crate) trait TextModel: Send + Sync + fmt::Debug {
    /// Runs a batch and pools the rows of each text: `[texts, hidden]`.
    ///
    /// Ids, types and lengths are within the model's tables; the tokenizer's limits see to it.
    /// [`Pooling::Pooler`] is for a model that was built with a [`Head`].
    fn embed(&self, batch: &PackedBatch, pooling: Pooling, sharing: Sharing) -> Vec<f32>;

    /// How much the first token of each text attends to each token, in the last layer and in the mean
    /// over heads; one value a token of the batch. `None` in families without attention.
    fn first_token_attention(&self, _batch: &PackedBatch, _sharing: Sharing) -> Option<Vec<f32>> {
        None
    }

    /// The model as one whose rows are of tokens; `None` in families whose padding goes through them.
    fn token_rows(&self) -> Option<&dyn TokenRows> {
        None
    }

    /// What a device does for the model; `None` where none was asked for.
    fn device(&self) -> Option<DeviceReport> {
        None
    }

    /// Cuts texts of these lengths into batches.
    fn plan(&self, lengths: &[usize], threads: usize) -> BatchPlan {
        plan_batches(lengths, threads)
    }

    /// Embeds texts, `[texts, width]`, in their order: in packed batches, unless a model makes its
    /// own. Ids and lengths are as in [`TextModel::embed`].
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when the caller gave up; then nothing is returned.
    fn embed_texts(&self, texts: &[&[u32]], how: EmbedTexts<'_>) -> Result<Vec<f32>, Cancelled> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let steps = how.progress.steps(texts.len());
        let plan = self.plan(&lengths, how.runtime.threads());
        run_planned(how.runtime, plan, how.width, how.cancel, |batch, sharing| {
            let packed = PackedBatch::new(batch.iter().map(|&text| texts[text]));
            let rows = self.embed(&packed, how.pooling, sharing);
            steps.add(batch.len());
            rows
        })
    }
}

//! The seam every model family implements.

use std::fmt;

use crate::batch::{PackedBatch, Sharing};
use crate::pooling::Pooling;

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

    /// How many tokens the model computes for a text of `tokens`, padding included; batches are
    /// planned by it.
    fn computed_tokens(&self, tokens: usize) -> usize {
        tokens
    }
}

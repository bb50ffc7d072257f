//! A loaded cross-encoder, which orders texts by how well they answer a query.

use std::fmt;
use std::sync::Arc;

use bigrain_encoders::{CrossScorer, DeviceReport, ScoreActivation};
use bigrain_engine::Cancel;
use tonic::Status;

use crate::status;

/// A loaded cross-encoder, and its name.
pub(crate) struct Reranker {
    name: String,
    /// Gives raw numbers.
    scorer: Arc<dyn CrossScorer>,
}

/// Which numbers are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScoreRange {
    /// As the model gives them.
    Raw,
    /// Between 0 and 1, in the same order.
    Unit,
}

impl Reranker {
    /// Names a scorer that gives raw numbers.
    pub(crate) fn new(name: String, scorer: Arc<dyn CrossScorer>) -> Self {
        Self { name, scorer }
    }

    /// Returns the model's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns how many tokens of a query and a text it reads together.
    pub(crate) fn max_tokens(&self) -> usize {
        self.scorer.max_tokens()
    }

    /// Says what a device did for it, where one was asked for.
    pub(crate) fn device(&self) -> Option<DeviceReport> {
        self.scorer.device()
    }

    /// Scores texts by a query; larger is better. The longer of both is cut.
    pub(crate) fn scores(
        &self,
        query: &str,
        texts: &[&str],
        range: ScoreRange,
        cancel: &Cancel,
    ) -> Result<Vec<f32>, Status> {
        let scores = self.scorer.score(query, texts, cancel);
        let scores = scores.map_err(|error| status::from_scorer(&error))?;
        let activation = match range {
            ScoreRange::Raw => ScoreActivation::Raw,
            ScoreRange::Unit => ScoreActivation::Sigmoid,
        };
        Ok(scores.into_iter().map(|score| activation.apply(score)).collect())
    }
}

impl fmt::Debug for Reranker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reranker").field("name", &self.name).finish_non_exhaustive()
    }
}

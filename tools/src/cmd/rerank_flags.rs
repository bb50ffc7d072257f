//! Flags that bring the best results into another order, by a cross-encoder.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bigrain_encoders::{CrossEncoder, CrossOptions, CrossScorer};
use bigrain_engine::ScoredPoint;
use clap::Args;

use crate::hits;
use crate::session::Session;

/// By what the best results are scored again.
#[derive(Args, Clone, Debug)]
pub struct RerankFlags {
    /// Score the best results again with this cross-encoder's folder, which reads query and text
    /// together, and show them in that order
    #[arg(
        long,
        value_name = "DIR",
        requires = "query",
        conflicts_with_all = ["group_by", "diversity", "score_threshold"]
    )]
    rerank: Option<PathBuf>,
    /// How many results the cross-encoder reads: each costs a pass through its model
    #[arg(long, value_name = "N", default_value_t = 50, requires = "rerank")]
    rerank_depth: usize,
}

impl RerankFlags {
    /// Returns how many results to search for when `limit` are wanted.
    #[must_use]
    pub fn depth(&self, limit: usize) -> usize {
        if self.rerank.is_some() { limit.max(self.rerank_depth) } else { limit }
    }

    /// Scores the points again, if that was asked for, and keeps the best `limit`. Returns how
    /// long the scoring took.
    ///
    /// # Errors
    ///
    /// When the folder is no cross-encoder, or a point has no text to read.
    pub fn apply(
        &self,
        query: &str,
        limit: usize,
        points: &mut Vec<ScoredPoint>,
        session: &Session<'_>,
    ) -> anyhow::Result<Option<Duration>> {
        let Some(folder) = &self.rerank else { return Ok(None) };
        let runtime = session.encode_on().runtime()?;
        let scorer = CrossEncoder::open(folder, &CrossOptions::default(), runtime)
            .with_context(|| format!("open cross-encoder {}", folder.display()))?;
        let mut passages = Vec::with_capacity(points.len());
        for point in points.iter() {
            let Some(passage) = hits::passage(&point.payload) else {
                bail!(
                    "point {} has no text to rerank: its payload has none of {}",
                    point.id,
                    hits::TEXT_FIELDS.join(", ")
                );
            };
            passages.push(passage);
        }
        let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
        let started = Instant::now();
        let scores = scorer.score(query, &passages, &session.cancel).context("rerank")?;
        let elapsed = started.elapsed();
        for (point, score) in points.iter_mut().zip(scores) {
            point.score = score;
        }
        // Stable: points of one score stay in the order of the search.
        points.sort_by(|a, b| b.score.total_cmp(&a.score));
        points.truncate(limit);
        Ok(Some(elapsed))
    }
}

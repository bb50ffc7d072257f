//! A training of an aggregator, and whether it was worth it: beside the mean of blocks, on functions that it
//! was not trained on.

use std::path::Path;
use std::time::{Duration, Instant};

use bigrain_encoders::sea::{Aggregator, Attention, AttentionOrigin, AttentionParts};
use bigrain_engine::Cancel;
use bigrain_train::{AggregatorConfig, AggregatorTrainer, float_ranks};

use super::training::{Steps, forget_checkpoint, take_steps};
use super::{FunctionBlocks, Part};
use crate::fusing::{Interval, mean_difference};
use crate::ranking::measured;

/// What a training came to.
#[derive(Debug)]
pub struct TrainedAggregator {
    /// The attention, with what it was worth.
    pub attention: Attention,
    /// Its losses.
    pub steps: Steps,
    /// The time that this run took.
    pub took: Duration,
    /// Where the right functions of the judging docstrings come by it.
    pub ranks: Vec<u32>,
}

/// How to train and judge an aggregator.
#[derive(Clone, Copy, Debug)]
pub struct Aggregating<'a> {
    /// Functions and docstrings; those of training are learned from.
    pub functions: &'a FunctionBlocks,
    /// Which docstrings judge: not those of training.
    pub judges: Part,
}

impl Aggregating<'_> {
    /// Trains on the current thread pool. With a checkpoint a run that was stopped goes on where it was; the
    /// file is removed at the end.
    ///
    /// # Errors
    ///
    /// When settings or functions are refused, the checkpoint is another training's, or the caller stops it.
    pub fn run(
        &self,
        config: AggregatorConfig,
        checkpoint: Option<&Path>,
        cancel: &Cancel,
    ) -> anyhow::Result<TrainedAggregator> {
        let functions = self.functions;
        let (started, seed, count) = (Instant::now(), config.seed, config.steps);
        let (queries, right) = functions.part(Part::Training);
        let mut trainer = AggregatorTrainer::new(config, functions.examples(&queries, &right))?;
        let steps = take_steps(&mut trainer, count, checkpoint, cancel)?;
        let tensors = trainer.tensors();
        // One layer has a bias in the file, and it makes no difference.
        let one_layer = tensors.second.is_empty();
        let parts = AttentionParts {
            dims: functions.blocks.dims(),
            first: tensors.first,
            first_bias: if one_layer { vec![0.0] } else { tensors.first_bias },
            second: tensors.second,
            second_bias: 0.0,
            gain: tensors.gain,
        };
        let mut origin = AttentionOrigin {
            space: functions.space,
            training_seed: seed,
            steps: count,
            queries: 0,
            mean: 0.0,
            learned: 0.0,
            low: 0.0,
            high: 0.0,
        };
        let ranks = self.ranks(&Aggregator::of(Attention::new(parts.clone(), origin)?));
        let [before, after] =
            [&self.ranks(&Aggregator::default()), &ranks].map(|ranks| reciprocal(ranks));
        let Interval { low, high, .. } =
            mean_difference(&after, &before).unwrap_or(Interval { mean: 0.0, low: 0.0, high: 0.0 });
        (origin.queries, origin.low, origin.high) = (ranks.len() as u32, low, high);
        (origin.mean, origin.learned) = (mean(&before), mean(&after));
        let attention = Attention::new(parts, origin)?;
        forget_checkpoint(checkpoint)?;
        Ok(TrainedAggregator { attention, steps, took: started.elapsed(), ranks })
    }

    /// Returns where the right functions of the judging docstrings come among all functions.
    #[must_use]
    pub fn ranks(&self, aggregator: &Aggregator) -> Vec<u32> {
        let (queries, right) = self.functions.part(self.judges);
        let vectors = self.functions.aggregated(aggregator);
        float_ranks(vectors.dims(), vectors.values(), queries.values(), &right)
    }
}

/// Whether it finds more than the mean of blocks: the interval of the difference lies above 0.
#[must_use]
pub fn beats_the_mean(origin: &AttentionOrigin) -> bool {
    origin.queries > 0 && origin.learned > origin.mean && origin.low > 0.0
}

fn reciprocal(ranks: &[u32]) -> Vec<f64> {
    let [reciprocal, ..] = measured(ranks);
    reciprocal
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::functions::tests::{encoder, pairs, split};
    use super::*;

    #[test]
    fn what_is_learned_finds_more_and_its_file_does_the_same() {
        let cancel = Cancel::new();
        let functions =
            FunctionBlocks::encode(&encoder(), &split(), &pairs(900), None, &cancel).unwrap();
        let aggregating = Aggregating { functions: &functions, judges: Part::Test };
        for (hidden, with_mean) in [(0, false), (8, true)] {
            let config = AggregatorConfig {
                hidden,
                with_mean,
                steps: 150,
                batch: 64,
                ..AggregatorConfig::default()
            };
            let trained = aggregating.run(config, None, &cancel).unwrap();
            let origin = *trained.attention.origin().unwrap();
            assert!(beats_the_mean(&origin), "{origin:?}");
            assert_eq!(origin.queries as usize, trained.ranks.len());
            assert!((origin.learned - mean(&reciprocal(&trained.ranks))).abs() < 1e-12);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), trained.attention.to_bytes().unwrap()).unwrap();
            let opened = Aggregator::open(file.path(), 64).unwrap();
            assert_eq!(aggregating.ranks(&opened), trained.ranks);
            let nothing = AttentionOrigin { learned: origin.mean, low: -0.1, ..origin };
            assert!(!beats_the_mean(&nothing));
        }
    }
}

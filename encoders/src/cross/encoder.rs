//! A cross-encoder opened from a model folder.

use std::path::Path;

use bigrain_types::Cancel;
use rayon::prelude::*;

use super::config::ScoreActivation;
use super::scorer::{CrossScorer, ScoreError};
use crate::architecture::{Head, TextModel};
use crate::batch::{PackedBatch, run_batches};
use crate::device::DeviceReport;
use crate::encoder::{EncodeError, check_texts};
use crate::model_dir::{ModelDir, ModelDirError, OpenOptions};
use crate::nn::dense;
use crate::pooling::Pooling;
use crate::runtime::Runtime;
use crate::sentence_encoder::OpenEncoderError;
use crate::tokenize::{PairIds, TextTokenizer};
use crate::weights::Checkpoint;

/// What a caller decides rather than the folder. Default: the folder decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrossOptions {
    /// The most tokens of query and passage together, special tokens included.
    pub max_tokens: Option<usize>,
    /// What is applied to the model's number.
    pub activation: Option<ScoreActivation>,
}

/// A model for sequence classification with one label, opened from a model folder.
///
/// ```no_run
/// use bigrain_encoders::{CrossEncoder, CrossOptions, CrossScorer, Runtime};
/// use bigrain_types::Cancel;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = "ms-marco-MiniLM-L6-v2".as_ref();
/// let scorer = CrossEncoder::open(folder, &CrossOptions::default(), Runtime::new(2)?)?;
/// let passages = ["Paris is the capital of France.", "France is known for its wine."];
/// let scores = scorer.score("capital of france", &passages, &Cancel::new())?;
/// assert!(scores[0] > scores[1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CrossEncoder {
    tokenizer: TextTokenizer,
    model: Box<dyn TextModel>,
    hidden: usize,
    /// Types the model has for the texts of a pair; 1 if it does not tell them apart.
    types: usize,
    /// The layer that gives the label: one row of weights, and a bias.
    label: (Vec<f32>, Vec<f32>),
    activation: ScoreActivation,
    max_tokens: usize,
    runtime: Runtime,
}

impl CrossEncoder {
    /// Opens the model folder at `path`, to run on `runtime`.
    ///
    /// # Errors
    ///
    /// [`OpenEncoderError`] names the file, field or tensor that is missing or wrong: among others
    /// the classifier's, if it has not one label.
    pub fn open(
        path: &Path,
        options: &CrossOptions,
        runtime: Runtime,
    ) -> Result<Self, OpenEncoderError> {
        let open = OpenOptions { max_tokens: options.max_tokens, ..OpenOptions::default() };
        let dir = ModelDir::open(path, &open)?;
        let activation = match options.activation {
            Some(activation) => activation,
            None => read_activation(&dir)?,
        };
        let tokenizer = TextTokenizer::open(&dir.tokenizer_files()?, dir.vocab_lowercase)?
            .with_limits(dir.max_tokens, dir.architecture.vocab_size())?
            .for_pairs(dir.max_tokens)?;
        let checkpoint = Checkpoint::open(&dir.weights_files()?)?;
        let tensors = checkpoint.tensors()?;
        let model = dir.architecture.build(&tensors, Head::Classifier, &runtime)?;
        let label = dir.architecture.label_layer();
        let label =
            (tensors.read(&format!("{label}.weight"))?, tensors.read(&format!("{label}.bias"))?);
        Ok(Self {
            tokenizer,
            model,
            hidden: dir.architecture.hidden_size(),
            types: dir.architecture.pair_types(),
            label,
            activation,
            max_tokens: dir.max_tokens,
            runtime,
        })
    }

    /// What is applied to the model's number.
    #[must_use]
    pub fn activation(&self) -> ScoreActivation {
        self.activation
    }

    fn tokenize(&self, query: &str, passages: &[&str]) -> Result<Vec<PairIds>, EncodeError> {
        let one = |(position, passage): (usize, &&str)| {
            let pair = self.tokenizer.encode_pair(query, passage);
            let mut pair = pair.map_err(|source| EncodeError::Tokenize { position, source })?;
            for kind in &mut pair.types {
                *kind = (*kind).min(self.types as u32 - 1);
            }
            Ok(pair)
        };
        self.runtime.pool().install(|| passages.par_iter().enumerate().map(one).collect())
    }

    /// Scores a batch of pairs.
    fn score_batch(&self, first_rows: &[f32]) -> Vec<f32> {
        let (weight, bias) = &self.label;
        let mut scores = dense(first_rows, weight, bias);
        for score in &mut scores {
            *score = self.activation.apply(*score);
        }
        debug_assert_eq!(scores.len() * self.hidden, first_rows.len());
        scores
    }
}

fn read_activation(dir: &ModelDir) -> Result<ScoreActivation, OpenEncoderError> {
    let (path, json) = dir.config_json()?;
    let parsed = ScoreActivation::parse(&json);
    Ok(parsed.map_err(|source| ModelDirError::Config { path, source })?)
}

impl CrossScorer for CrossEncoder {
    fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn device(&self) -> Option<DeviceReport> {
        self.model.device()
    }

    fn score(
        &self,
        query: &str,
        passages: &[&str],
        cancel: &Cancel,
    ) -> Result<Vec<f32>, ScoreError> {
        let _span = tracing::debug_span!("score", passages = passages.len()).entered();
        check_texts(&[query]).map_err(|_| ScoreError::Query)?;
        check_texts(passages).map_err(ScoreError::Passage)?;
        cancel.check()?;
        let pairs = self.tokenize(query, passages).map_err(ScoreError::Passage)?;
        let lengths: Vec<usize> = pairs.iter().map(|pair| pair.ids.len()).collect();
        let scores = run_batches(&self.runtime, &lengths, 1, cancel, |batch, sharing| {
            let batch = batch.iter().map(|&pair| (&pairs[pair].ids[..], &pairs[pair].types[..]));
            let batch = PackedBatch::with_types(batch);
            self.score_batch(&self.model.embed(&batch, Pooling::Pooler, sharing))
        })?;
        Ok(scores)
    }
}

//! A sentence encoder: tokenizer, model, pooling, normalisation.

mod tokens;

use std::path::Path;
use std::time::Instant;

use bigrain_types::{Cancel, EmbeddingSpaceId, normalize};
use rayon::prelude::*;
use thiserror::Error;

use crate::architecture::{BuildModelError, EmbedTexts, Head, ModelConfigError, TextModel};
use crate::batch::{PackedBatch, Sharing, plan_batches};
use crate::class_names::ClassNamesError;
use crate::device::DeviceReport;
use crate::dual::TokenMatrix;
use crate::embeddings::{Embeddings, EncodeStats, TextCount};
use crate::encoder::{
    EncodeError, EncodeOptions, TextEncoder, TextKind, TokenShape, WordAttention, check_texts,
};
use crate::image::PreprocessConfigError;
use crate::model_dir::{ModelDir, ModelDirError, OpenOptions};
use crate::nn::Observations;
use crate::projection::{BuildProjectionError, Projection};
use crate::runtime::Runtime;
use crate::tokenize::{TextTokenizer, Token, TokenIds, TokenizerError, WordIds};
use crate::weights::{Checkpoint, Tensors, WeightsError};

/// A sentence encoder, opened from a model folder.
#[derive(Debug)]
pub struct SentenceEncoder {
    dir: ModelDir,
    space: EmbeddingSpaceId,
    tokenizer: TextTokenizer,
    model: Box<dyn TextModel>,
    dense: Vec<Projection>,
    runtime: Runtime,
    unused_tensors: Vec<String>,
}

/// A model folder that could not be opened as an encoder.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenEncoderError {
    /// A configuration file is missing or refused.
    #[error(transparent)]
    Folder(#[from] ModelDirError),
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ModelConfigError),
    /// The tokenizer is refused.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The weights are refused.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// What a folder says about preparing images is refused.
    #[error(transparent)]
    Preprocess(#[from] PreprocessConfigError),
    /// The names of a classifier's classes are refused, or could not be encoded.
    #[error(transparent)]
    ClassNames(#[from] ClassNamesError),
}

impl From<BuildModelError> for OpenEncoderError {
    fn from(error: BuildModelError) -> Self {
        match error {
            BuildModelError::Config(error) => Self::Config(error),
            BuildModelError::Weights(error) => Self::Weights(error),
        }
    }
}

impl From<BuildProjectionError> for OpenEncoderError {
    fn from(error: BuildProjectionError) -> Self {
        match error {
            BuildProjectionError::Folder(error) => Self::Folder(error),
            BuildProjectionError::Weights(error) => Self::Weights(error),
        }
    }
}

impl SentenceEncoder {
    /// Opens the model folder at `path`, to run on `runtime`.
    ///
    /// Weights are checked, converted to `f32` and packed for this CPU; the folder is not needed
    /// afterwards.
    ///
    /// # Errors
    ///
    /// [`OpenEncoderError`] names the file, field or tensor that is missing or wrong.
    pub fn open(
        path: &Path,
        options: &OpenOptions,
        runtime: Runtime,
    ) -> Result<Self, OpenEncoderError> {
        Self::open_with(path, options, runtime, None)
    }

    /// As [`SentenceEncoder::open`], with linear layers that tell what their inputs look like.
    pub(crate) fn open_observed(
        path: &Path,
        options: &OpenOptions,
        runtime: Runtime,
        observations: Observations,
    ) -> Result<Self, OpenEncoderError> {
        Self::open_with(path, options, runtime, Some(observations))
    }

    fn open_with(
        path: &Path,
        options: &OpenOptions,
        runtime: Runtime,
        observations: Option<Observations>,
    ) -> Result<Self, OpenEncoderError> {
        let start = Instant::now();
        let dir = ModelDir::open(path, options)?;
        let tokenizer_files = dir.tokenizer_files()?;
        let tokenizer = TextTokenizer::open(&tokenizer_files, dir.vocab_lowercase)?
            .with_limits(dir.max_tokens, dir.architecture.vocab_size())?;

        let checkpoint = Checkpoint::open(&dir.weights_files()?)?;
        let mut tensors = checkpoint.tensors()?;
        if let Some(observations) = observations {
            tensors = tensors.observed(observations);
        }
        let head = Head::of(dir.pooling);
        let model = dir.architecture.build(&tensors, head, &runtime)?;
        let mut hasher = blake3::Hasher::new();
        hash_space(&dir, &tensors, &tokenizer_files.bytes()?, &mut hasher);
        let dense: Vec<Projection> = dir
            .dense
            .iter()
            .map(|module| Projection::build(module, &mut hasher))
            .collect::<Result<_, _>>()?;
        let mut space = [0; 16];
        space.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        let space = EmbeddingSpaceId::from_bytes(space);
        let unused_tensors = tensors.unused(&dir.architecture.tensors(head));
        tracing::info!(%space, dims = dir.dims(), elapsed = ?start.elapsed(), "encoder opened");
        Ok(Self { dir, space, tokenizer, model, dense, runtime, unused_tensors })
    }

    /// What the model folder says, with the caller's decisions applied.
    #[must_use]
    pub fn model_dir(&self) -> &ModelDir {
        &self.dir
    }

    /// The tensors of the checkpoint that the encoder does not use, by name: heads for other tasks,
    /// or a sign that the folder is of another model than it says.
    #[must_use]
    pub fn unused_tensors(&self) -> &[String] {
        &self.unused_tensors
    }

    fn tokenize_one(&self, text: &str, prompt: &str) -> Result<TokenIds, TokenizerError> {
        if prompt.is_empty() && !self.dir.lowercase {
            return self.tokenizer.encode(text);
        }
        let mut text = format!("{prompt}{text}");
        if self.dir.lowercase {
            text = text.to_lowercase();
        }
        self.tokenizer.encode(&text)
    }

    /// Splits texts into tokens, on all threads.
    fn tokenize(&self, texts: &[&str], kind: TextKind) -> Result<Vec<TokenIds>, EncodeError> {
        let prompt = match kind {
            TextKind::Document => &self.dir.prompts.document,
            TextKind::Query => &self.dir.prompts.query,
        };
        let one = |(position, text): (usize, &&str)| {
            let ids = self.tokenize_one(text, prompt);
            ids.map_err(|source| EncodeError::Tokenize { position, source })
        };
        if texts.len() == 1 {
            return texts.iter().enumerate().map(one).collect();
        }
        self.runtime.pool().install(|| texts.par_iter().enumerate().map(one).collect())
    }

    /// Embeds tokenized texts; returns rows in the order of the texts.
    fn embed(&self, texts: &[TokenIds], options: &EncodeOptions) -> Result<Vec<f32>, EncodeError> {
        let ids: Vec<&[u32]> = texts.iter().map(|text| &text.ids[..]).collect();
        let how = EmbedTexts {
            runtime: &self.runtime,
            pooling: self.dir.pooling,
            // What the dense layers take, not what the last of them gives.
            width: self.dir.architecture.hidden_size(),
            cancel: &options.cancel,
            progress: &options.progress,
        };
        let mut pooled = self.model.embed_texts(&ids, how)?;
        for layer in &self.dense {
            pooled = layer.apply(&pooled);
        }
        if self.dir.normalize {
            pooled.chunks_exact_mut(self.dims()).for_each(normalize);
        }
        Ok(pooled)
    }
}

impl SentenceEncoder {
    /// The words of tokenized texts with the attention to each.
    fn attend(
        &self,
        texts: &[(String, WordIds)],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<WordAttention>>, EncodeError> {
        let ids: Vec<&[u32]> = texts.iter().map(|(_, words)| &words.ids[..]).collect();
        let lengths: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
        let plan = plan_batches(&lengths, self.runtime.threads());
        let mut all = vec![Vec::new(); texts.len()];
        for batch in &plan.batches {
            cancel.check()?;
            let packed = PackedBatch::new(batch.iter().map(|&text| ids[text]));
            let attention = self
                .runtime
                .pool()
                .install(|| self.model.first_token_attention(&packed, Sharing::Pool))
                .ok_or(EncodeError::NoAttention)?;
            for (&text, &start) in batch.iter().zip(packed.bounds()) {
                let (source, words) = &texts[text];
                let words = words.words.iter().map(|(token, place)| WordAttention {
                    word: source.get(place.clone()).unwrap_or_default().to_owned(),
                    attention: attention[start + token],
                });
                all[text] = words.collect();
            }
        }
        Ok(all)
    }
}

impl TextEncoder for SentenceEncoder {
    fn word_attention(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Vec<Vec<WordAttention>>, EncodeError> {
        check_texts(texts)?;
        let words = |(position, text): (usize, &&str)| {
            let text = if self.dir.lowercase { text.to_lowercase() } else { (*text).to_owned() };
            let words = self.tokenizer.encode_words(&text);
            words
                .map(|words| (text, words))
                .map_err(|source| EncodeError::Tokenize { position, source })
        };
        let texts: Vec<(String, WordIds)> = self
            .runtime
            .pool()
            .install(|| texts.par_iter().enumerate().map(words).collect::<Result<_, _>>())?;
        self.attend(&texts, &options.cancel)
    }

    fn device(&self) -> Option<DeviceReport> {
        self.model.device()
    }

    fn token_shape(&self) -> Option<TokenShape> {
        self.shape_of_tokens()
    }

    fn encode_tokens(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Vec<TokenMatrix>, EncodeError> {
        self.matrices(texts, options)
    }

    fn tokenize(&self, text: &str, special: bool) -> Result<Vec<Token>, EncodeError> {
        let lowered;
        let text = match self.dir.lowercase {
            true => {
                lowered = text.to_lowercase();
                &lowered
            }
            false => text,
        };
        let tokens = self.tokenizer.tokens(text, special);
        tokens.map_err(|source| EncodeError::Tokenize { position: 0, source })
    }

    fn dims(&self) -> usize {
        self.dir.dims()
    }

    fn space(&self) -> EmbeddingSpaceId {
        self.space
    }

    fn max_tokens(&self) -> usize {
        self.dir.max_tokens
    }

    fn count_tokens(&self, text: &str) -> usize {
        match self.tokenize_one(text, &self.dir.prompts.document) {
            Ok(tokens) => tokens.ids.len() + usize::from(tokens.truncated),
            // What cannot be tokenized is refused when it is encoded.
            Err(_) => self.max_tokens(),
        }
    }

    fn encode(&self, texts: &[&str], options: &EncodeOptions) -> Result<Embeddings, EncodeError> {
        let _span = tracing::debug_span!("encode", texts = texts.len()).entered();
        check_texts(texts)?;
        options.cancel.check()?;
        let start = Instant::now();
        let tokens = self.tokenize(texts, options.kind)?;
        let tokenized = Instant::now();
        let data = self.embed(&tokens, options)?;
        let counts: Vec<TextCount> = tokens
            .iter()
            .map(|text| TextCount { tokens: text.ids.len() as u32, truncated: text.truncated })
            .collect();
        let mut stats = EncodeStats {
            tokenize: tokenized - start,
            forward: tokenized.elapsed(),
            ..EncodeStats::default()
        };
        counts.iter().for_each(|&count| stats.count(count));
        Ok(Embeddings::new(self.dims(), data, stats).with_counts(counts))
    }
}

/// Feeds all that decides what an embedding means, but for the dense layers.
fn hash_space(
    dir: &ModelDir,
    tensors: &Tensors<'_>,
    tokenizer: &[u8],
    hasher: &mut blake3::Hasher,
) {
    tensors.hash(&dir.architecture.tensors(Head::of(dir.pooling)), hasher);
    // `Debug` of strings escapes line breaks, so that no prompt can imitate another field.
    let rest = format!(
        "{} pooling {} normalize {} max_tokens {} \
         document {:?} query {:?} lowercase {} {} tokenizer {}\n",
        dir.architecture.fingerprint(),
        dir.pooling,
        dir.normalize,
        dir.max_tokens,
        dir.prompts.document,
        dir.prompts.query,
        dir.lowercase,
        dir.vocab_lowercase,
        tokenizer.len(),
    );
    hasher.update(rest.as_bytes());
    hasher.update(tokenizer);
}

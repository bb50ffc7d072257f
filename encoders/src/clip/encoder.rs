//! A CLIP or FILIP model folder as an encoder.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bigrain_types::{EmbeddingSpaceId, normalize};
use rayon::prelude::*;

use super::config::ClipConfig;
use super::folder::ClipFolder;
use super::model::{ClipModel, scales};
use super::names::Dialect;
use crate::batch::{PackedBatch, run_batches, run_each};
use crate::dual::{DualEncoder, Grid, MultiVectorEncoder, TokenMatrix};
use crate::embeddings::{Embeddings, EncodeStats, TextCount};
use crate::encoder::{EncodeError, EncodeOptions, check_images, check_texts};
use crate::image::{ImageSize, Pixels, PreprocessConfig, PreprocessConfigError};
use crate::nn::Observations;
use crate::runtime::Runtime;
use crate::sentence_encoder::OpenEncoderError;
use crate::tokenize::{ClipTokenizer, TextCleaning, TokenIds};
use crate::weights::{Checkpoint, TensorSpec, Tensors};

/// A CLIP or FILIP model, opened from its folder.
///
/// Any of them gives token matrices, too: without FILIP's own layers for them, each patch and token
/// goes through the norm and projection of the whole.
#[derive(Debug)]
pub struct ClipEncoder {
    config: ClipConfig,
    tokenizer: ClipTokenizer,
    model: ClipModel,
    space: EmbeddingSpaceId,
    token_space: EmbeddingSpaceId,
    preprocess: PreprocessConfig,
    runtime: Runtime,
}

/// What a caller decides about a CLIP model rather than its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClipOptions {
    /// What is done to texts before they are split into tokens; part of the embedding space. Default:
    /// nothing, as Hugging Face does it.
    pub cleaning: TextCleaning,
}

impl ClipEncoder {
    /// Opens the model folder at `path`, to run on `runtime`.
    ///
    /// # Errors
    ///
    /// [`OpenEncoderError`] names the file, field or tensor that is missing or wrong.
    pub fn open(
        path: &Path,
        options: &ClipOptions,
        runtime: Runtime,
    ) -> Result<Self, OpenEncoderError> {
        Self::open_observed(path, options, runtime, None)
    }

    /// As [`ClipEncoder::open`], with linear layers that tell what their inputs look like.
    pub(crate) fn open_observed(
        path: &Path,
        options: &ClipOptions,
        runtime: Runtime,
        observations: Option<Observations>,
    ) -> Result<Self, OpenEncoderError> {
        let start = Instant::now();
        let ClipFolder { config, vocabulary, weights } = ClipFolder::open(path)?;
        let mask_token = config.filip.as_ref().is_some_and(|filip| filip.mask_token);
        let text = &config.text;
        let tokenizer = ClipTokenizer::open(
            &vocabulary,
            options.cleaning,
            (text.max_tokens, text.vocab_size),
            mask_token,
        )?;
        let checkpoint = Checkpoint::open(&weights)?;
        let mut tensors = checkpoint.tensors()?;
        if let Some(observations) = observations {
            tensors = tensors.observed(observations);
        }
        let model = ClipModel::build(&config, &tensors)?;
        let preprocess = match PreprocessConfig::read(path) {
            Err(PreprocessConfigError::Missing { .. }) if config.filip.is_some() => {
                PreprocessConfig::declip()
            }
            Err(PreprocessConfigError::Missing { .. }) => {
                PreprocessConfig::clip(config.vision.image_size)
            }
            read => read?,
        };

        let mut hasher = blake3::Hasher::new();
        tensors.hash(&Dialect::of(&tensors).tensors(&config), &mut hasher);
        hasher.update(config.fingerprint().as_bytes());
        // The same weights that see other parts of a picture give other vectors.
        let inputs = format!(" cleaning {} {preprocess:?}\n", options.cleaning);
        hasher.update(inputs.as_bytes());
        hasher.update(&vocabulary.bytes()?);
        let space = space(&hasher);
        let filip = config.filip.as_ref().map_or_else(String::new, |filip| filip.fingerprint());
        hasher.update(format!("tokens {filip}\n").as_bytes());
        let token_space = self::space(&hasher);
        tracing::info!(%space, dims = config.dims, elapsed = ?start.elapsed(), "encoder opened");
        Ok(Self { config, tokenizer, model, space, token_space, preprocess, runtime })
    }

    /// The shape of the model.
    #[must_use]
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// How a picture becomes what the model reads: what its folder says, and else what such models are
    /// trained with. Part of the embedding space.
    #[must_use]
    pub fn preprocess(&self) -> &PreprocessConfig {
        &self.preprocess
    }

    /// The tensors of the checkpoint that the encoder does not use, by name.
    #[must_use]
    pub fn unused_tensors(&self) -> &[String] {
        &self.model.unused
    }

    /// The files of the weights in a folder.
    pub(crate) fn weights_files(path: &Path) -> Result<Vec<PathBuf>, OpenEncoderError> {
        Ok(ClipFolder::open(path)?.weights)
    }

    /// All tensors of the model, by the names `tensors` have.
    pub(crate) fn tensors(&self, tensors: &Tensors<'_>) -> Vec<TensorSpec> {
        let mut specs = Dialect::of(tensors).tensors(&self.config);
        specs.extend(scales());
        specs
    }

    /// Splits texts into tokens, on all threads.
    fn tokenize(&self, texts: &[&str]) -> Result<Vec<TokenIds>, EncodeError> {
        check_texts(texts)?;
        let one = |(position, text): (usize, &&str)| {
            let ids = self.tokenizer.encode(text);
            ids.map_err(|source| EncodeError::Tokenize { position, source })
        };
        self.runtime.pool().install(|| texts.par_iter().enumerate().map(one).collect())
    }

    /// Whether the padding behind a text takes part in its tokens.
    fn pads_tokens(&self) -> bool {
        self.config.filip.as_ref().is_some_and(|filip| !filip.mask_padding)
    }
}

fn space(hasher: &blake3::Hasher) -> EmbeddingSpaceId {
    let mut space = [0; 16];
    space.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    EmbeddingSpaceId::from_bytes(space)
}

fn normalize_rows(rows: &mut [f32], dims: usize) {
    rows.chunks_exact_mut(dims).for_each(normalize);
}

/// Divides `rows`, of all texts or images one after the other, by the number of rows of each.
fn matrices(
    dims: usize,
    rows: &[f32],
    counts: impl Iterator<Item = usize>,
    grid: Option<Grid>,
) -> Vec<TokenMatrix> {
    let mut rest = rows;
    counts
        .map(|count| {
            let (rows, others) = rest.split_at(count * dims);
            rest = others;
            TokenMatrix::from_rows(dims, rows.to_vec(), grid)
        })
        .collect()
}

impl DualEncoder for ClipEncoder {
    fn dims(&self) -> usize {
        self.config.dims
    }

    fn space(&self) -> EmbeddingSpaceId {
        self.space
    }

    fn scale(&self) -> f32 {
        self.model.scale
    }

    fn max_tokens(&self) -> usize {
        self.config.text.max_tokens
    }

    fn image_size(&self) -> ImageSize {
        let size = self.config.vision.image_size;
        ImageSize { height: size, width: size }
    }

    fn encode_images(
        &self,
        images: &[Pixels],
        options: &EncodeOptions,
    ) -> Result<Embeddings, EncodeError> {
        check_images(images, self.image_size())?;
        let start = Instant::now();
        let rows = self.model.image_rows();
        let steps = options.progress.steps(images.len());
        let lengths = vec![rows; images.len()];
        let work = |batch: &[usize], sharing| {
            let batch: Vec<&Pixels> = batch.iter().map(|&image| &images[image]).collect();
            let vectors = self.model.images(&batch, sharing);
            steps.add(batch.len());
            vectors
        };
        let mut data = run_batches(&self.runtime, &lengths, self.dims(), &options.cancel, work)?;
        normalize_rows(&mut data, self.dims());
        let count = TextCount { tokens: rows as u32, truncated: false };
        Ok(embeddings(self.dims(), data, vec![count; images.len()], start, start))
    }

    fn encode_texts(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Embeddings, EncodeError> {
        let start = Instant::now();
        let tokens = self.tokenize(texts)?;
        let tokenized = Instant::now();
        let steps = options.progress.steps(texts.len());
        let lengths: Vec<usize> = tokens.iter().map(|text| text.ids.len()).collect();
        let work = |batch: &[usize], sharing| {
            let packed = PackedBatch::new(batch.iter().map(|&text| &tokens[text].ids[..]));
            let vectors = self.model.texts(&packed, sharing);
            steps.add(batch.len());
            vectors
        };
        let mut data = run_batches(&self.runtime, &lengths, self.dims(), &options.cancel, work)?;
        normalize_rows(&mut data, self.dims());
        let counts = tokens
            .iter()
            .map(|text| TextCount { tokens: text.ids.len() as u32, truncated: text.truncated })
            .collect();
        Ok(embeddings(self.dims(), data, counts, start, tokenized))
    }
}

fn embeddings(
    dims: usize,
    data: Vec<f32>,
    counts: Vec<TextCount>,
    start: Instant,
    tokenized: Instant,
) -> Embeddings {
    let mut stats = EncodeStats {
        tokenize: tokenized - start,
        forward: tokenized.elapsed(),
        ..EncodeStats::default()
    };
    counts.iter().for_each(|&count| stats.count(count));
    Embeddings::new(dims, data, stats).with_counts(counts)
}

impl MultiVectorEncoder for ClipEncoder {
    fn token_dims(&self) -> usize {
        self.config.token_dims()
    }

    fn token_space(&self) -> EmbeddingSpaceId {
        self.token_space
    }

    fn token_scale(&self) -> f32 {
        self.model.token_scale
    }

    fn encode_image_tokens(
        &self,
        images: &[Pixels],
        options: &EncodeOptions,
    ) -> Result<Vec<TokenMatrix>, EncodeError> {
        check_images(images, self.image_size())?;
        let (rows, dims) = (self.model.image_rows(), self.token_dims());
        let side = self.config.vision.grid();
        let grid = Grid { height: side, width: side };
        let steps = options.progress.steps(images.len());
        let lengths = vec![rows; images.len()];
        let matrices = run_each(&self.runtime, &lengths, &options.cancel, |batch, sharing| {
            let batch: Vec<&Pixels> = batch.iter().map(|&image| &images[image]).collect();
            let mut vectors = self.model.image_tokens(&batch, sharing);
            normalize_rows(&mut vectors, dims);
            steps.add(batch.len());
            matrices(dims, &vectors, batch.iter().map(|_| rows - 1), Some(grid))
        })?;
        Ok(matrices)
    }

    fn encode_text_tokens(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Vec<TokenMatrix>, EncodeError> {
        let mut tokens = self.tokenize(texts)?;
        if self.pads_tokens() {
            for text in &mut tokens {
                text.ids.resize(self.max_tokens(), 0);
            }
        }
        let dims = self.token_dims();
        let steps = options.progress.steps(texts.len());
        let lengths: Vec<usize> = tokens.iter().map(|text| text.ids.len()).collect();
        let matrices = run_each(&self.runtime, &lengths, &options.cancel, |batch, sharing| {
            let packed = PackedBatch::new(batch.iter().map(|&text| &tokens[text].ids[..]));
            let mut vectors = self.model.text_tokens(&packed, sharing);
            normalize_rows(&mut vectors, dims);
            steps.add(batch.len());
            matrices(dims, &vectors, batch.iter().map(|&text| lengths[text]), None)
        })?;
        Ok(matrices)
    }
}

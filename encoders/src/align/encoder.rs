//! An ALIGN model, opened from its folder.

use std::path::Path;
use std::time::Instant;

use bigrain_types::{EmbeddingSpaceId, normalize};
use parking_lot::Mutex;
use rayon::prelude::*;

use super::config::AlignConfig;
use crate::architecture::{EmbedTexts, Head, TextModel, range};
use crate::batch::{Sharing, run_images};
use crate::bert::BertTextModel;
use crate::dual::DualEncoder;
use crate::efficientnet::{Dialect, Tower, TowerScratch};
use crate::embeddings::{Embeddings, EncodeStats, TextCount};
use crate::encoder::{EncodeError, EncodeOptions, check_images, check_texts};
use crate::image::{ImageSize, Pixels, PreprocessConfig};
use crate::model_dir::{ModelDirError, TokenizerFiles, read, weights};
use crate::nn::dense;
use crate::pooling::Pooling;
use crate::runtime::Runtime;
use crate::sentence_encoder::OpenEncoderError;
use crate::tokenize::{TextTokenizer, TokenIds};
use crate::weights::{Checkpoint, TensorSpec, Tensors};

/// Tokens of a text that the model was trained on.
const MAX_TOKENS: usize = 64;
const VISION: &str = "vision_model.";
const TEXT: &str = "text_model.";

/// ALIGN, ready to run.
#[derive(Debug)]
pub struct AlignEncoder {
    preprocess: PreprocessConfig,
    image_size: ImageSize,
    space: EmbeddingSpaceId,
    model: AlignModel,
    tokenizer: TextTokenizer,
    max_tokens: usize,
    runtime: Runtime,
}

/// Both towers.
#[derive(Debug)]
pub(super) struct AlignModel {
    config: AlignConfig,
    tower: Tower,
    scratch: Mutex<Vec<TowerScratch>>,
    text: BertTextModel,
    projection: (Vec<f32>, Vec<f32>),
    temperature: f32,
}

impl AlignEncoder {
    /// Opens the folder at `path`, as Hugging Face has it, to run on `runtime`.
    ///
    /// # Errors
    ///
    /// [`OpenEncoderError`] names the file, field or tensor that is missing or wrong.
    pub fn open(path: &Path, runtime: Runtime) -> Result<Self, OpenEncoderError> {
        let start = Instant::now();
        let config_path = path.join("config.json");
        let config = AlignConfig::parse(&read(&config_path)?)
            .map_err(|source| ModelDirError::Config { path: config_path, source })?;
        let preprocess = PreprocessConfig::read(path)?;
        let image_size = preprocess.fixed_size().unwrap_or_else(|| config.image_size());
        let tokenizer_files = TokenizerFiles::find(path)?;
        let max_tokens = config.text.max_tokens().min(MAX_TOKENS);
        let tokenizer = TextTokenizer::open(&tokenizer_files, true)?
            .with_limits(max_tokens, config.text.vocab_size)?;
        let checkpoint = Checkpoint::open(&weights(path)?)?;
        let tensors = checkpoint.tensors()?;
        let model = AlignModel::build(config, &tensors)?;
        let (rows, columns) = model.tower.output_size(image_size.height, image_size.width);
        if rows == 0 || columns == 0 {
            let expected = "enough pixels for the strides of the tower".to_owned();
            return Err(range("image_size", expected, &image_size).into());
        }
        let mut hasher = blake3::Hasher::new();
        tensors.hash(&model.config.specs(), &mut hasher);
        let rest =
            format!("{} {preprocess:?} max_tokens {max_tokens}\n", model.config.fingerprint());
        hasher.update(rest.as_bytes()).update(&tokenizer_files.bytes()?);
        let space = EmbeddingSpaceId::from_bytes(first_16(&hasher));
        tracing::info!(%space, dims = model.dims(), elapsed = ?start.elapsed(), "encoder opened");
        Ok(Self { preprocess, image_size, space, model, tokenizer, max_tokens, runtime })
    }

    /// How a picture becomes what the model reads.
    #[must_use]
    pub fn preprocess(&self) -> &PreprocessConfig {
        &self.preprocess
    }
}

fn first_16(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    bytes
}

impl AlignConfig {
    /// All tensors of a model.
    fn specs(&self) -> Vec<TensorSpec> {
        let under = |prefix: &'static str| {
            move |spec: TensorSpec| TensorSpec { name: format!("{prefix}{}", spec.name), ..spec }
        };
        let tower = Tower::specs(&self.tower(), Dialect::HuggingFace);
        let mut specs: Vec<TensorSpec> = tower.into_iter().map(under(VISION)).collect();
        specs.extend(self.text.tensors(Head::None).into_iter().map(under(TEXT)));
        let spec = |name: &str, shape: &[usize]| TensorSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
        };
        let shape = [self.projection_dim, self.text.hidden_size];
        specs.push(spec("text_projection.weight", &shape));
        specs.push(spec("text_projection.bias", &shape[..1]));
        specs.push(spec("temperature", &[]));
        specs
    }
}

impl AlignModel {
    pub(super) fn build(
        config: AlignConfig,
        tensors: &Tensors<'_>,
    ) -> Result<Self, OpenEncoderError> {
        tensors.check_model(&config.specs())?;
        let tower = Tower::build(&config.tower(), Dialect::HuggingFace, &tensors.under(VISION))?;
        let text = BertTextModel::build(&config.text, &tensors.under(TEXT), Head::None)?;
        let projection =
            (tensors.read("text_projection.weight")?, tensors.read("text_projection.bias")?);
        let temperature = tensors.read("temperature")?.first().copied();
        let temperature = temperature.unwrap_or(config.temperature);
        Ok(Self { config, tower, scratch: Mutex::default(), text, projection, temperature })
    }

    fn dims(&self) -> usize {
        self.config.projection_dim
    }

    /// The mean of an image's last feature map, before it is brought to length one.
    pub(super) fn pooled(&self, pixels: &Pixels, sharing: Sharing) -> Vec<f32> {
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let mean = self.tower.forward(pixels, sharing, &mut scratch).mean();
        self.scratch.lock().push(scratch);
        mean
    }

    /// Embeddings of texts by their ids, `[texts, dims]`.
    pub(super) fn texts(
        &self,
        ids: &[&[u32]],
        runtime: &Runtime,
        options: &EncodeOptions,
    ) -> Result<Vec<f32>, EncodeError> {
        let how = EmbedTexts {
            runtime,
            pooling: Pooling::Cls,
            width: self.config.text.hidden_size,
            cancel: &options.cancel,
            progress: &options.progress,
        };
        let rows = self.text.embed_texts(ids, how)?;
        let mut out = dense(&rows, &self.projection.0, &self.projection.1);
        out.chunks_exact_mut(self.dims()).for_each(normalize);
        Ok(out)
    }
}

impl DualEncoder for AlignEncoder {
    fn dims(&self) -> usize {
        self.model.dims()
    }

    fn space(&self) -> EmbeddingSpaceId {
        self.space
    }

    fn scale(&self) -> f32 {
        1.0 / self.model.temperature
    }

    fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn image_size(&self) -> ImageSize {
        self.image_size
    }

    fn encode_images(
        &self,
        images: &[Pixels],
        options: &EncodeOptions,
    ) -> Result<Embeddings, EncodeError> {
        check_images(images, self.image_size)?;
        let start = Instant::now();
        let rows = run_images(&self.runtime, images, options, |pixels, sharing| {
            let mut row = self.model.pooled(pixels, sharing);
            normalize(&mut row);
            row
        })?;
        let stats = EncodeStats { forward: start.elapsed(), ..EncodeStats::default() };
        Ok(Embeddings::new(self.dims(), rows.concat(), stats))
    }

    fn encode_texts(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Embeddings, EncodeError> {
        check_texts(texts)?;
        options.cancel.check()?;
        let start = Instant::now();
        let one = |(position, text): (usize, &&str)| {
            let ids = self.tokenizer.encode(text);
            ids.map_err(|source| EncodeError::Tokenize { position, source })
        };
        let all = || texts.par_iter().enumerate().map(one).collect::<Result<Vec<TokenIds>, _>>();
        let tokens = self.runtime.pool().install(all)?;
        let tokenized = Instant::now();
        let ids: Vec<&[u32]> = tokens.iter().map(|text| &text.ids[..]).collect();
        let data = self.model.texts(&ids, &self.runtime, options)?;
        let mut stats = EncodeStats {
            tokenize: tokenized - start,
            forward: tokenized.elapsed(),
            ..EncodeStats::default()
        };
        let count = |text: &TokenIds| TextCount {
            tokens: text.ids.len() as u32,
            truncated: text.truncated,
        };
        let counts: Vec<TextCount> = tokens.iter().map(count).collect();
        counts.iter().for_each(|&count| stats.count(count));
        Ok(Embeddings::new(self.dims(), data, stats).with_counts(counts))
    }
}

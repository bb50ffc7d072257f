//! A model for images and texts, whichever it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bigrain_types::EmbeddingSpaceId;
use rayon::prelude::*;
use serde::Deserialize;

use crate::align::{AlignConfig, AlignEncoder};
use crate::architecture::ModelConfigError;
use crate::class_names::ClassNameEncoder;
use crate::clip::{ClipEncoder, ClipOptions};
use crate::dual::{DualEncoder, MultiVectorEncoder, TokenMatrix};
use crate::embeddings::Embeddings;
use crate::encoder::{EncodeError, EncodeOptions, TextEncoder, TokenShape};
use crate::image::{
    DecodeOptions, ImageFileError, ImageSize, Pixels, PreprocessConfig, RgbImage, Transparency,
    decode_image_file,
};
use crate::model_dir::{ModelDirError, is_there, parse_json, read};
use crate::runtime::Runtime;
use crate::sentence_encoder::OpenEncoderError;

/// White, which pictures for people are made to lie on.
const PAPER: Transparency = Transparency::Over([255, 255, 255]);

/// What `config.json` says a CLIP or FILIP model is.
const CLIP: &str = "clip";
/// Where open_clip says what a model is.
const OPEN_CLIP: &str = "open_clip_config.json";

/// A model folder opened for images and texts, with what the model wants done to pictures; clones share
/// it.
#[derive(Clone)]
pub struct ImageModel {
    path: PathBuf,
    encoder: Arc<dyn DualEncoder>,
    tokens: Option<Arc<dyn MultiVectorEncoder>>,
    preprocess: PreprocessConfig,
    decode: DecodeOptions,
    runtime: Runtime,
}

/// A picture that is ready for the model.
#[derive(Clone, Debug)]
pub struct PreparedImage {
    /// What the model reads.
    pub pixels: Pixels,
    /// The size the picture had.
    pub size: ImageSize,
}

/// The text side of a model, for whoever knows texts only.
struct TextSide {
    encoder: Arc<dyn DualEncoder>,
    tokens: Option<Arc<dyn MultiVectorEncoder>>,
}

impl TextEncoder for TextSide {
    fn dims(&self) -> usize {
        self.encoder.dims()
    }

    fn space(&self) -> EmbeddingSpaceId {
        self.encoder.space()
    }

    fn max_tokens(&self) -> usize {
        self.encoder.max_tokens()
    }

    fn encode(&self, texts: &[&str], options: &EncodeOptions) -> Result<Embeddings, EncodeError> {
        self.encoder.encode_texts(texts, options)
    }

    fn token_shape(&self) -> Option<TokenShape> {
        let tokens = self.tokens.as_ref()?;
        Some(TokenShape { dims: tokens.token_dims(), space: tokens.token_space() })
    }

    fn encode_tokens(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Vec<TokenMatrix>, EncodeError> {
        self.tokens.as_ref().ok_or(EncodeError::NoTokens)?.encode_text_tokens(texts, options)
    }
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    model_type: String,
}

/// What kind of model a folder says it is of.
fn kind(path: &Path) -> Result<String, ModelDirError> {
    if is_there(&path.join(OPEN_CLIP))? {
        return Ok(CLIP.to_owned());
    }
    let config = path.join("config.json");
    let Kind { model_type } = parse_json(&config, &read(&config)?)?;
    Ok(model_type)
}

impl ImageModel {
    /// Opens the model folder at `path`, to run on `runtime`: CLIP or FILIP, ALIGN, or a classifier with a
    /// sentence encoder ([`ClassNameEncoder`]).
    ///
    /// # Errors
    ///
    /// [`OpenEncoderError`] names the file, field or tensor that is missing or wrong.
    pub fn open(path: &Path, runtime: Runtime) -> Result<Self, OpenEncoderError> {
        runtime.leave_out_device("images are the CPU's");
        let config = path.join("config.json");
        match &*kind(path)? {
            CLIP => Self::open_clip(path, runtime),
            AlignConfig::MODEL_TYPE => {
                let encoder = AlignEncoder::open(path, runtime.clone())?;
                let preprocess = encoder.preprocess().clone();
                Ok(Self::of(path, Arc::new(encoder), preprocess, runtime))
            }
            ClassNameEncoder::MODEL_TYPE => {
                let encoder = ClassNameEncoder::open(path, runtime.clone())?;
                let preprocess = encoder.preprocess().clone();
                // A classifier knows photos; what one can see through has no colour there.
                let decode = DecodeOptions { transparency: PAPER, ..DecodeOptions::default() };
                let encoder = Arc::new(encoder);
                let tokens: Arc<dyn MultiVectorEncoder> = Arc::<ClassNameEncoder>::clone(&encoder);
                let tokens = Some(tokens);
                Ok(Self { decode, tokens, ..Self::of(path, encoder, preprocess, runtime) })
            }
            other => {
                let (field, expected) = ("model_type", "clip, align or class_names");
                let actual = other.to_owned();
                let source = ModelConfigError::Unsupported { field, actual, expected };
                Err(ModelDirError::Config { path: config, source }.into())
            }
        }
    }

    fn open_clip(path: &Path, runtime: Runtime) -> Result<Self, OpenEncoderError> {
        let encoder = Arc::new(ClipEncoder::open(path, &ClipOptions::default(), runtime.clone())?);
        let preprocess = encoder.preprocess().clone();
        let tokens: Arc<dyn MultiVectorEncoder> = Arc::<ClipEncoder>::clone(&encoder);
        Ok(Self { tokens: Some(tokens), ..Self::of(path, encoder, preprocess, runtime) })
    }

    fn of(
        path: &Path,
        encoder: Arc<dyn DualEncoder>,
        preprocess: PreprocessConfig,
        runtime: Runtime,
    ) -> Self {
        let (path, decode) = (path.to_owned(), DecodeOptions::default());
        Self { path, encoder, tokens: None, preprocess, decode, runtime }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One vector an image or text.
    #[must_use]
    pub fn encoder(&self) -> &dyn DualEncoder {
        &*self.encoder
    }

    /// One vector a patch or token, of a model that gives them.
    #[must_use]
    pub fn tokens(&self) -> Option<&dyn MultiVectorEncoder> {
        self.tokens.as_deref()
    }

    /// How a picture becomes what the model reads.
    #[must_use]
    pub fn preprocess(&self) -> &PreprocessConfig {
        &self.preprocess
    }

    /// What it runs on.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// How files are decoded.
    #[must_use]
    pub fn decode(&self) -> &DecodeOptions {
        &self.decode
    }

    /// Whether the folder at `path` says that it is of a model for images and texts.
    #[must_use]
    pub fn recognizes(path: &Path) -> bool {
        let known = [CLIP, AlignConfig::MODEL_TYPE, ClassNameEncoder::MODEL_TYPE];
        kind(path).is_ok_and(|kind| known.contains(&&*kind))
    }

    /// Decodes and prepares a file.
    ///
    /// # Errors
    ///
    /// [`ImageFileError`] names the file and says what is wrong with it.
    pub fn read_file(&self, path: &Path) -> Result<PreparedImage, ImageFileError> {
        Ok(self.prepare(&decode_image_file(path, &self.decode)?))
    }

    /// As [`ImageModel::read_file`] on all threads, in the order of the files.
    pub fn read_files(
        &self,
        paths: &[impl AsRef<Path> + Sync],
    ) -> Vec<Result<PreparedImage, ImageFileError>> {
        self.read_with(paths, |path, decode| decode_image_file(path.as_ref(), decode))
    }

    /// Decodes pictures by `decode`, which is told how, and prepares them: on all threads, in their order.
    /// Each is kept decoded only until it is prepared.
    pub fn read_with<T: Sync, E: Send>(
        &self,
        pictures: &[T],
        decode: impl Fn(&T, &DecodeOptions) -> Result<RgbImage, E> + Sync,
    ) -> Vec<Result<PreparedImage, E>> {
        let one = |picture: &T| Ok(self.prepare(&decode(picture, &self.decode)?));
        self.runtime.pool().install(|| pictures.par_iter().with_max_len(1).map(one).collect())
    }

    /// Turns a decoded picture into what the model reads.
    #[must_use]
    pub fn prepare(&self, image: &RgbImage) -> PreparedImage {
        let size = ImageSize { height: image.height(), width: image.width() };
        PreparedImage { pixels: self.preprocess.apply(image), size }
    }

    /// The text side alone, as any encoder of texts.
    #[must_use]
    pub fn text_encoder(&self) -> Arc<dyn TextEncoder> {
        let (encoder, tokens) = (Arc::clone(&self.encoder), self.tokens.clone());
        Arc::new(TextSide { encoder, tokens })
    }
}

impl fmt::Debug for ImageModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageModel").field("path", &self.path).finish_non_exhaustive()
    }
}

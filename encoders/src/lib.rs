//! Text becomes embeddings: sentence encoders of the BERT family on an inference runtime of our
//! own.
//!
//! ```no_run
//! use bigrain_encoders::{EncodeOptions, OpenOptions, Runtime, SentenceEncoder, TextEncoder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Runtime::new(2)?;
//! let encoder =
//!     SentenceEncoder::open("all-MiniLM-L6-v2".as_ref(), &OpenOptions::default(), runtime)?;
//! let texts = ["how does it scale?", "Throughput grows with cores."];
//! let embeddings = encoder.encode(&texts, &EncodeOptions::default())?;
//! assert_eq!(embeddings.rows(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! | step | module | takes → gives |
//! |---|---|---|
//! | open | `model_dir`, `weights`, `tokenize` | a model folder, as downloaded → an encoder |
//! | cut | `batch` | token ids of many texts → packed batches of similar lengths |
//! | run | a family of `architecture` on `nn` | a packed batch → one hidden row a token |
//! | pool | `pooling` | hidden rows → one vector a text |
//!
//! Images and texts meet in one space in `clip` and its neighbours: see [`DualEncoder`],
//! [`MultiVectorEncoder`] and [`ClipEncoder`].
//!
//! Models load from an unmodified sentence-transformers or Hugging Face folder. Nothing is
//! downloaded, and nothing of the folder is touched once the encoder is open.

mod align;
mod architecture;
pub mod b_prop;
mod batch;
mod bert;
mod class_names;
mod clip;
mod cross;
mod device;
mod dual;
mod efficientnet;
mod embeddings;
mod encoder;
mod filip;
mod image;
mod image_model;
mod inspect;
mod m2_bert;
mod model_dir;
mod nn;
mod pooling;
mod progress;
mod projection;
mod quantize;
mod runtime;
pub mod sea;
mod sentence_encoder;
mod service;
mod static_tokens;
mod throughput;
mod tokenize;
mod toy;
mod weights;

pub use bigrain_types::DeviceError;

pub use self::image::{
    CropRounding, DecodeOptions, ImageError, ImageFileError, ImageLimits, ImageSize, Pixels,
    PreprocessConfig, PreprocessConfigError, ResampleFilter, ResizeMode, RgbImage, Transparency,
    decode_image, decode_image_file, is_image,
};
pub use align::{AlignConfig, AlignEncoder};
pub use architecture::{Architecture, ModelConfigError};
pub use bert::BertConfig;
pub use class_names::{ClassNameEncoder, ClassNamesError};
pub use clip::{
    ClipConfig, ClipEncoder, ClipOptions, ClipTextConfig, HiddenAct, TowerConfig, VisionConfig,
};
pub use cross::{
    CrossEncoder, CrossOptions, CrossScorer, PropReranker, ScoreActivation, ScoreError,
};
pub use device::{
    DeviceActivation, DeviceBatch, DeviceBert, DeviceFilters, DeviceM2Bert, DeviceM2BertModel,
    DeviceModel, DevicePaddedTexts, DeviceReport, DeviceRows, EncoderDevice,
};
pub use dual::{
    DualEncoder, Grid, Label, LabelSet, MultiVectorEncoder, ScoreMap, ScoreMapError, ScoredLabel,
    TokenLabelSet, TokenMatrix, TokenMatrixError, compose,
};
pub use embeddings::{Embeddings, EncodeStats};
pub use encoder::{
    EncodeError, EncodeOptions, MAX_TEXT_BYTES, TextEncoder, TextKind, TokenShape, WordAttention,
};
pub use filip::{FilipConfig, ReduceError, TokenReducer, best_rows, late_score};
pub use image_model::{ImageModel, PreparedImage};
pub use inspect::{ModelKind, ModelReport};
pub use m2_bert::{M2BertConfig, PadPolicy};
pub use model_dir::{DenseActivation, DenseModule, ModelDir, ModelDirError, OpenOptions, Prompts};
pub use pooling::Pooling;
pub use progress::EncodeProgress;
pub use quantize::{
    CALIBRATION_TEXTS, ClipQuantizeReport, ComparedEmbeddings, LayerReport, QuantizeError,
    QuantizeReport, quantize_clip, quantize_model,
};
pub use runtime::{MAX_THREADS, Runtime, RuntimeError};
pub use sentence_encoder::{OpenEncoderError, SentenceEncoder};
pub use service::{
    EmbeddingCache, EncoderService, Lane, QueueFull, ServiceConfig, ServiceError, ServiceStats,
    StartServiceError, Ticket,
};
pub use static_tokens::StaticEncoder;
pub use throughput::{Throughput, measure_throughput};
pub use tokenize::{TextCleaning, Token, TokenizerError};
pub use toy::ToyEncoder;
pub use weights::{TensorMismatch, TorchFileError, WeightsError, WrongShape};

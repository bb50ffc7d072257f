//! Why a model could not be quantised.

use std::io;
use std::path::PathBuf;

use safetensors::SafeTensorError;
use thiserror::Error;

use crate::encoder::EncodeError;
use crate::sentence_encoder::OpenEncoderError;
use crate::weights::WeightsError;

/// A model that could not be quantised.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// The model does not open.
    #[error(transparent)]
    Open(#[from] OpenEncoderError),
    /// A text or image to calibrate with is refused.
    #[error("encode the texts or images to calibrate with")]
    Encode(#[from] EncodeError),
    /// There are no texts, or no images, to calibrate with.
    #[error("no texts or no images to calibrate with")]
    NoTexts,
    /// A model of which the new folder could not hold all.
    #[error(
        "{path} is {kind}, which is not quantized: only sentence encoders of the BERT family are"
    )]
    NotWhole {
        /// The model folder.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// No linear layer of the model is in floating point.
    #[error("{path} has no linear layers in floating point: is it quantized already?")]
    NoLayers {
        /// The weights.
        path: PathBuf,
    },
    /// There is something where the new folder goes.
    #[error("{path} exists: name a new folder")]
    Exists {
        /// Where it goes.
        path: PathBuf,
    },
    /// A file or folder could not be read or written.
    #[error("{action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The weights could not be written.
    #[error("write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: SafeTensorError,
    },
}

impl From<WeightsError> for QuantizeError {
    fn from(error: WeightsError) -> Self {
        Self::Open(error.into())
    }
}

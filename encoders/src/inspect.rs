//! What a model folder holds, without opening an encoder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::architecture::Head;
use crate::model_dir::{ModelDir, OpenOptions};
use crate::pooling::Pooling;
use crate::sentence_encoder::OpenEncoderError;
use crate::tokenize::TextTokenizer;
use crate::weights::{Checkpoint, TensorMismatch, TensorSpec, Tensors, WeightsError};

/// What a model folder holds, and what it lacks.
#[derive(Debug)]
pub struct ModelReport {
    /// What its configuration files say.
    pub dir: ModelDir,
    /// What it can be opened as.
    pub kind: ModelKind,
    /// The files of its weights.
    pub weights: Vec<PathBuf>,
    /// Values of all tensors the model uses.
    pub parameters: u64,
    /// How many of the tensors it uses are stored as what.
    pub dtypes: BTreeMap<String, usize>,
    /// How its tensors differ from those the model needs; `None` if all are there.
    pub mismatch: Option<TensorMismatch>,
    /// Tensors the model has no use for.
    pub unused: Vec<String>,
    /// Why its tokenizer does not open, if it does not.
    pub tokenizer: Option<String>,
}

/// What a folder can be opened as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelKind {
    /// A [`crate::SentenceEncoder`].
    SentenceEncoder,
    /// A [`crate::CrossEncoder`].
    CrossEncoder,
}

impl ModelKind {
    /// What the folder at `path` can be opened as.
    pub(crate) fn of(path: &Path, dir: &ModelDir, tensors: &Tensors<'_>) -> Self {
        // A folder with poolings is a sentence encoder, whatever is left of a head.
        let plain = !path.join("modules.json").try_exists().unwrap_or(false);
        let labels = format!("{}.weight", dir.architecture.label_layer());
        if plain && tensors.has(&labels) { Self::CrossEncoder } else { Self::SentenceEncoder }
    }
}

impl ModelReport {
    /// Looks at the folder at `path`. What is missing is reported rather than refused, as far as
    /// the configuration can be read.
    ///
    /// # Errors
    ///
    /// [`OpenEncoderError`] when a configuration file, or the header of the weights, is refused.
    pub fn read(path: &Path) -> Result<Self, OpenEncoderError> {
        let dir = ModelDir::open(path, &OpenOptions::default())?;
        let weights = dir.weights_files()?;
        let checkpoint = Checkpoint::open(&weights)?;
        let tensors = checkpoint.tensors()?;
        let kind = ModelKind::of(path, &dir, &tensors);
        let head = match kind {
            ModelKind::CrossEncoder => Head::Classifier,
            ModelKind::SentenceEncoder => Head::of(dir.pooling),
        };
        let specs = dir.architecture.tensors(head);
        let mismatch = match tensors.check_model(&specs) {
            Ok(()) => None,
            Err(WeightsError::Mismatch { mismatch, .. }) => Some(*mismatch),
            Err(error) => return Err(error.into()),
        };
        let tokenizer = dir.tokenizer_files().map_err(OpenEncoderError::from).and_then(|files| {
            let tokenizer = TextTokenizer::open(&files, dir.vocab_lowercase)?;
            tokenizer.with_limits(dir.max_tokens, dir.architecture.vocab_size())?;
            Ok(())
        });
        Ok(Self {
            kind,
            parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>() as u64).sum(),
            dtypes: dtypes(&tensors, &specs),
            mismatch,
            unused: tensors.unused(&specs),
            tokenizer: tokenizer.err().map(|error| error.to_string()),
            weights,
            dir,
        })
    }

    /// The pooling, where the folder is of a sentence encoder.
    #[must_use]
    pub fn pooling(&self) -> Option<Pooling> {
        (self.kind == ModelKind::SentenceEncoder).then_some(self.dir.pooling)
    }

    /// Whether the folder opens as what it is, as far as can be told without reading all weights.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.mismatch.is_none() && self.tokenizer.is_none()
    }
}

fn dtypes(tensors: &Tensors<'_>, specs: &[TensorSpec]) -> BTreeMap<String, usize> {
    let mut dtypes = BTreeMap::new();
    for dtype in specs.iter().filter_map(|spec| tensors.dtype_name(&spec.name)) {
        *dtypes.entry(dtype).or_default() += 1;
    }
    dtypes
}

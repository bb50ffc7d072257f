//! A text encoder opened from a model folder, and which folder that is.
//!
//! The folder is the one on the command line, or else the one the collection was built with, or
//! else the default model in bigrain's cache, which `make demo` puts there. Nothing is downloaded
//! here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use bigrain_encoders::{ImageModel, OpenOptions, SentenceEncoder, StaticEncoder, TextEncoder};
use bigrain_engine::Collection;

use crate::device::EncodeOn;
use crate::session::cache_dir;

/// The default model's folder in `models/` of bigrain's cache.
pub const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";

/// A text encoder and what collections call it.
#[derive(Clone)]
pub struct Model {
    name: String,
    encoder: Arc<dyn TextEncoder>,
}

impl Model {
    /// Wraps an encoder under a name.
    pub fn new(name: impl Into<String>, encoder: Arc<dyn TextEncoder>) -> Self {
        Self { name: name.into(), encoder }
    }

    /// Opens a model folder, of a model for images its text side.
    ///
    /// # Errors
    ///
    /// When the folder is not a model that can be run, or a GPU is missing that the caller named.
    pub fn open(folder: &Path, on: &EncodeOn) -> anyhow::Result<Self> {
        let context =
            || format!("open model {} (expected a sentence-transformers folder)", folder.display());
        let folder = folder.canonicalize().with_context(context)?;
        let runtime = on.runtime()?;
        let encoder: Arc<dyn TextEncoder> = if ImageModel::recognizes(&folder) {
            ImageModel::open(&folder, runtime).with_context(context)?.text_encoder()
        } else if StaticEncoder::recognizes(&folder) {
            Arc::new(StaticEncoder::open(&folder, runtime).with_context(context)?)
        } else {
            let options = OpenOptions::default();
            Arc::new(SentenceEncoder::open(&folder, &options, runtime).with_context(context)?)
        };
        Ok(Self::new(folder.to_string_lossy(), encoder))
    }

    /// Opens the folder named on the command line, or else the default model.
    ///
    /// # Errors
    ///
    /// When neither is a model that can be run.
    pub fn open_or_default(folder: Option<&Path>, on: &EncodeOn) -> anyhow::Result<Self> {
        match folder {
            Some(folder) => Self::open(folder, on),
            None => Self::open(&default_folder()?, on),
        }
    }

    /// Opens the model for a field of a collection (the first without a name): the folder named on
    /// the command line, or else the one the field was built with.
    ///
    /// # Errors
    ///
    /// When there is neither, it cannot be run, or its embeddings are of another space than the
    /// field's.
    pub fn open_for(
        collection: &Collection,
        field: Option<&str>,
        folder: Option<&Path>,
        on: &EncodeOn,
    ) -> anyhow::Result<Self> {
        let own = collection.config().field(field)?.model.as_ref().map(PathBuf::from);
        let folder = folder.map(Path::to_owned).or(own).ok_or_else(|| {
            anyhow!("collection {:?} names no model: pass --model DIR", collection.name())
        })?;
        let model = Self::open(&folder, on)?;
        model.check(collection, field)?;
        Ok(model)
    }

    /// Checks that the model's embeddings belong into a field of a collection (the first without a
    /// name).
    ///
    /// # Errors
    ///
    /// When dimensions or embedding spaces differ.
    pub fn check(&self, collection: &Collection, field: Option<&str>) -> anyhow::Result<()> {
        let config = collection.config();
        let config = config.field(field)?;
        if config.dims != self.encoder.dims() {
            bail!(
                "dimension mismatch: collection {:?} has {}, model {} has {}",
                collection.name(),
                config.dims,
                self.name,
                self.encoder.dims()
            );
        }
        match config.space {
            Some(space) if space != self.encoder.space() => bail!(
                "embedding space mismatch: collection {:?} has {space} (model {}), model {} has {}",
                collection.name(),
                config.model.as_deref().unwrap_or("unknown"),
                self.name,
                self.encoder.space()
            ),
            Some(_) | None => Ok(()),
        }
    }

    /// Returns what collections call it: the path of its folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a handle on the encoder that may outlive this one.
    #[must_use]
    pub fn shared_encoder(&self) -> Arc<dyn TextEncoder> {
        Arc::clone(&self.encoder)
    }

    /// Returns the encoder.
    #[must_use]
    pub fn encoder(&self) -> &dyn TextEncoder {
        self.encoder.as_ref()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name).finish_non_exhaustive()
    }
}

fn default_folder() -> anyhow::Result<PathBuf> {
    let folder = cache_dir()?.join("models").join(DEFAULT_MODEL);
    match folder.try_exists() {
        Ok(true) => Ok(folder),
        Ok(false) => bail!(
            "no model: pass --model DIR, a sentence-transformers folder (the default, {}, is not \
             there; `make demo` fetches it)",
            folder.display()
        ),
        Err(error) => Err(error).with_context(|| format!("look for {}", folder.display())),
    }
}

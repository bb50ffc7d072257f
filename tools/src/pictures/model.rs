//! The model for pictures, and which folder it is.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bigrain_encoders::{EncodeOptions, ImageModel, PreparedImage};
use bigrain_engine::{Cancel, Collection, CollectionConfig, EmbeddingSpaceId};

use super::files::PictureFile;
use super::source::PictureSource;
use crate::cmd::field_spec::FieldSpec;
use crate::device::EncodeOn;
use crate::session::cache_dir;

/// The default model's folder in `models/` of bigrain's cache.
pub const DEFAULT_IMAGE_MODEL: &str = "efficientnet-lite0-minilm";

/// A model for pictures and texts, and what collections call it.
#[derive(Clone, Debug)]
pub struct PictureModel {
    name: String,
    model: ImageModel,
}

impl PictureModel {
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

    /// Opens a model folder.
    ///
    /// # Errors
    ///
    /// When the folder is not a model that can be run.
    pub fn open(folder: &Path, on: &EncodeOn) -> anyhow::Result<Self> {
        let context = || format!("open model {} (expected one for images)", folder.display());
        let folder = folder.canonicalize().with_context(context)?;
        let model = ImageModel::open(&folder, on.runtime()?).with_context(context)?;
        Ok(Self { name: folder.to_string_lossy().into_owned(), model })
    }

    /// Opens the model for a collection: the folder named on the command line, or else its own.
    ///
    /// # Errors
    ///
    /// When there is neither, it cannot be run, or its embeddings are of another space.
    pub fn open_for(
        collection: &Collection,
        folder: Option<&Path>,
        on: &EncodeOn,
    ) -> anyhow::Result<Self> {
        let config = collection.config();
        let field = config.field(None)?;
        let own = field.model.as_ref().map(PathBuf::from);
        let Some(folder) = folder.map(Path::to_owned).or(own) else {
            bail!("collection {:?} names no model: pass --model DIR", collection.name());
        };
        let model = Self::open(&folder, on)?;
        if let Some(space) = field.space
            && space != model.space()
        {
            bail!(
                "embedding space mismatch: collection {:?} has {space} (model {}), model {} has {}",
                collection.name(),
                field.model.as_deref().unwrap_or("unknown"),
                model.name,
                model.space()
            );
        }
        Ok(model)
    }

    /// The shape of a new collection for it.
    ///
    /// # Errors
    ///
    /// When the flags ask for other dimensions than it gives.
    pub fn collection(&self, field: &FieldSpec) -> anyhow::Result<CollectionConfig> {
        let field = field.config(Some(self.model.encoder().dims()))?;
        Ok(CollectionConfig::of(field.with_space(self.space()).with_model(&self.name)))
    }

    /// Returns what collections call it: the path of its folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The space of its embeddings.
    #[must_use]
    pub fn space(&self) -> EmbeddingSpaceId {
        self.model.encoder().space()
    }

    /// The model itself.
    #[must_use]
    pub fn model(&self) -> &ImageModel {
        &self.model
    }

    /// Decodes and prepares pictures on all threads, in their order.
    pub fn read(
        &self,
        files: &[impl Borrow<PictureFile> + Sync],
    ) -> Vec<anyhow::Result<PreparedImage>> {
        self.model.read_with(files, |file, decode| {
            let file: &PictureFile = file.borrow();
            file.source.decode(decode)
        })
    }

    /// Encodes one picture to search with.
    ///
    /// # Errors
    ///
    /// When the file cannot be read as a picture, or the caller gives up.
    pub fn encode_file(&self, path: &Path, cancel: &Cancel) -> anyhow::Result<Vec<f32>> {
        self.encode_source(&PictureSource::File(path.to_owned()), cancel)
    }

    /// As [`PictureModel::encode_file`] for a picture that may be a part of a file.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn encode_source(
        &self,
        source: &PictureSource,
        cancel: &Cancel,
    ) -> anyhow::Result<Vec<f32>> {
        let picture = self.model.prepare(&source.decode(self.model.decode())?);
        let options = EncodeOptions { cancel: cancel.clone(), ..EncodeOptions::default() };
        let encoder = self.model.encoder();
        Ok(encoder.encode_images(&[picture.pixels], &options)?.into_data())
    }
}

fn default_folder() -> anyhow::Result<PathBuf> {
    let folder = cache_dir()?.join("models").join(DEFAULT_IMAGE_MODEL);
    match folder.try_exists() {
        Ok(true) => Ok(folder),
        Ok(false) => bail!(
            "no model: pass --model DIR, a folder of a model for images (the default, {}, is not \
             there; `scripts/setup.sh images` fetches it)",
            folder.display()
        ),
        Err(error) => Err(error).with_context(|| format!("look for {}", folder.display())),
    }
}

//! The models a server has loaded, by name: encoders of texts, and of images with texts, and cross-encoders.
//!
//! A model's name is its folder's. A collection names its model by that name or by a path, whose
//! last part is then the name; a wrong match does no harm, because the embedding spaces are
//! compared before anything is encoded.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bigrain_encoders::{
    CrossEncoder, CrossOptions, CrossScorer, DecodeOptions, DeviceReport, Embeddings, EncodeError,
    EncodeOptions, EncoderService, ImageLimits, ImageModel, Lane, MAX_TEXT_BYTES, ModelKind,
    ModelReport, OpenEncoderError, OpenOptions, Runtime, RuntimeError, ScoreActivation,
    SentenceEncoder, ServiceConfig, StartServiceError, StaticEncoder, TextEncoder, TextKind, Token,
    TokenMatrix, decode_image, late_score,
};
use bigrain_engine::{Cancel, EmbeddingSpaceId};
use thiserror::Error;
use tonic::Status;

use crate::reranker::Reranker;
use crate::status;

/// Token matrices that one request holds at once.
const MATRICES: usize = 32;
/// Pixels of an image that a caller sends: 32 million, which a camera hardly has.
const MAX_PIXELS: u64 = 1 << 25;

/// The models a server has loaded, by name.
#[derive(Clone, Debug, Default)]
pub struct ModelRegistry {
    encoders: BTreeMap<String, Arc<Model>>,
    rerankers: BTreeMap<String, Arc<Reranker>>,
}

/// A model folder that cannot be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The folder's encoder does not open.
    #[error("open model folder {}", folder.display())]
    Open {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: OpenEncoderError,
    },
    /// The folder has no last part to be the model's name.
    #[error("model folder {} has no name of its own: expected a path that ends in one", .0.display())]
    Unnamed(PathBuf),
    /// Two models have one name.
    #[error("model {0:?} is given twice: rename one of the folders")]
    Duplicate(String),
    /// The threads that encode did not start.
    #[error(transparent)]
    Threads(#[from] RuntimeError),
    /// The queue before a model did not start.
    #[error(transparent)]
    Service(#[from] StartServiceError),
}

impl ModelRegistry {
    /// Returns a registry without models.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens model folders; `threads` encode, 0 meaning one for each core. Reads weights, so it
    /// takes a while.
    ///
    /// # Errors
    ///
    /// [`ModelError`] for a folder that is not a model, or whose name is taken.
    pub fn open(folders: &[PathBuf], threads: usize) -> Result<Self, ModelError> {
        if folders.is_empty() {
            return Ok(Self::new());
        }
        Self::open_on(folders, &Runtime::new(threads)?)
    }

    /// Opens model folders, to run on the threads of a runtime and on its device, if it has one.
    ///
    /// # Errors
    ///
    /// As [`ModelRegistry::open`].
    pub fn open_on(folders: &[PathBuf], runtime: &Runtime) -> Result<Self, ModelError> {
        let mut registry = Self::new();
        for folder in folders {
            registry.add_folder(folder, runtime)?;
        }
        Ok(registry)
    }

    /// Opens a model folder, whose name becomes the model's: a sentence encoder, static embeddings of tokens, a model
    /// for images and texts, or a cross-encoder.
    ///
    /// # Errors
    ///
    /// As [`ModelRegistry::open`]; then nothing was added.
    pub fn add_folder(&mut self, folder: &Path, runtime: &Runtime) -> Result<(), ModelError> {
        let name = folder_name(folder).ok_or_else(|| ModelError::Unnamed(folder.to_owned()))?;
        let failed = |source| ModelError::Open { folder: folder.to_owned(), source };
        if ImageModel::recognizes(folder) {
            let model = ImageModel::open(folder, runtime.clone()).map_err(failed)?;
            return self.add(name, model.text_encoder(), Some(model));
        }
        if is_cross_encoder(folder) {
            let activation = Some(ScoreActivation::Raw);
            let options = CrossOptions { activation, ..CrossOptions::default() };
            let scorer = CrossEncoder::open(folder, &options, runtime.clone()).map_err(failed)?;
            return self.add_reranker(name, Arc::new(scorer));
        }
        let encoder: Arc<dyn TextEncoder> = if StaticEncoder::recognizes(folder) {
            Arc::new(StaticEncoder::open(folder, runtime.clone()).map_err(failed)?)
        } else {
            let options = OpenOptions::default();
            Arc::new(SentenceEncoder::open(folder, &options, runtime.clone()).map_err(failed)?)
        };
        self.add(name, encoder, None)
    }

    /// Adds an encoder.
    ///
    /// # Errors
    ///
    /// [`ModelError::Duplicate`] if the name is taken, [`ModelError::Service`] if the system has no
    /// threads for its queue.
    pub fn with(
        mut self,
        name: impl Into<String>,
        encoder: Arc<dyn TextEncoder>,
    ) -> Result<Self, ModelError> {
        self.add(name, encoder, None)?;
        Ok(self)
    }

    /// Adds a cross-encoder; its scores are taken for raw numbers.
    ///
    /// # Errors
    ///
    /// [`ModelError::Duplicate`] if the name is taken.
    pub fn with_reranker(
        mut self,
        name: impl Into<String>,
        scorer: Arc<dyn CrossScorer>,
    ) -> Result<Self, ModelError> {
        self.add_reranker(name, scorer)?;
        Ok(self)
    }

    fn add_reranker(
        &mut self,
        name: impl Into<String>,
        scorer: Arc<dyn CrossScorer>,
    ) -> Result<(), ModelError> {
        let name = self.free(name.into())?;
        self.rerankers.insert(name.clone(), Arc::new(Reranker::new(name, scorer)));
        Ok(())
    }

    /// Returns a name that is not taken.
    fn free(&self, name: String) -> Result<String, ModelError> {
        if self.encoders.contains_key(&name) || self.rerankers.contains_key(&name) {
            return Err(ModelError::Duplicate(name));
        }
        Ok(name)
    }

    fn add(
        &mut self,
        name: impl Into<String>,
        encoder: Arc<dyn TextEncoder>,
        images: Option<ImageModel>,
    ) -> Result<(), ModelError> {
        let name = self.free(name.into())?;
        let service = EncoderService::start(encoder, ServiceConfig::default())?;
        self.encoders.insert(name.clone(), Arc::new(Model { name, service, images }));
        Ok(())
    }

    /// Returns the encoders, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Model> {
        self.encoders.values().map(Arc::as_ref)
    }

    /// Returns what a device does for models, encoders and cross-encoders, by their names.
    pub(crate) fn devices(&self) -> impl Iterator<Item = (&str, DeviceReport)> {
        let encoders = self.iter().map(|model| (model.name(), model.device()));
        let rerankers = self.rerankers.values().map(|model| (model.name(), model.device()));
        encoders.chain(rerankers).filter_map(|(name, report)| Some((name, report?)))
    }

    /// Returns an encoder by its name, or by a path that ends in its name.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<Model>, Status> {
        if let Some(model) = named(&self.encoders, name) {
            return Ok(model);
        }
        if self.reranker(name).is_some() {
            return Err(Status::failed_precondition(format!(
                "model {name:?} is a cross-encoder: it orders texts, and gives no vectors"
            )));
        }
        Err(Status::not_found(format!("model {name:?} is not loaded: {}", loaded(&self.encoders))))
    }

    /// Returns the encoder, if there is exactly one.
    pub(crate) fn only(&self) -> Result<Arc<Model>, Status> {
        let unclear = || format!("model is not named: {}", loaded(&self.encoders));
        only(&self.encoders).ok_or_else(|| Status::invalid_argument(unclear()))
    }

    /// Whether there are cross-encoders.
    pub(crate) fn has_rerankers(&self) -> bool {
        !self.rerankers.is_empty()
    }

    /// Returns a cross-encoder by its name, or by a path that ends in its name.
    pub(crate) fn reranker(&self, name: &str) -> Option<Arc<Reranker>> {
        named(&self.rerankers, name)
    }

    /// Returns the cross-encoder, if there is exactly one.
    pub(crate) fn only_reranker(&self) -> Result<Arc<Reranker>, Status> {
        let unclear = || format!("cross-encoder is not named: {}", loaded(&self.rerankers));
        only(&self.rerankers).ok_or_else(|| Status::invalid_argument(unclear()))
    }
}

/// Whether a folder is of a cross-encoder; one that is none of what is known is said to be no sentence encoder.
fn is_cross_encoder(folder: &Path) -> bool {
    ModelReport::read(folder)
        .is_ok_and(|report| report.kind == ModelKind::CrossEncoder && report.mismatch.is_none())
}

fn named<M>(models: &BTreeMap<String, Arc<M>>, name: &str) -> Option<Arc<M>> {
    models.get(name).or_else(|| models.get(folder_name(Path::new(name))?)).cloned()
}

fn only<M>(models: &BTreeMap<String, Arc<M>>) -> Option<Arc<M>> {
    let mut models = models.values();
    models.next().filter(|_| models.next().is_none()).cloned()
}

fn loaded<M>(models: &BTreeMap<String, Arc<M>>) -> String {
    if models.is_empty() {
        return "the server has loaded none".to_owned();
    }
    let names: Vec<&str> = models.keys().map(String::as_str).collect();
    format!("the server has loaded {}", names.join(", "))
}

/// Returns the last part of a path, which names the model in it.
fn folder_name(folder: &Path) -> Option<&str> {
    folder.file_name()?.to_str()
}

/// A loaded text encoder, behind a queue that joins requests into batches, and its name; of a model for images its
/// other side, too.
pub(crate) struct Model {
    name: String,
    service: EncoderService,
    images: Option<ImageModel>,
}

impl Model {
    /// Returns the model's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the dimensions of its embeddings.
    pub(crate) fn dims(&self) -> usize {
        self.service.encoder().dims()
    }

    /// Returns the space of its embeddings.
    pub(crate) fn space(&self) -> EmbeddingSpaceId {
        self.service.encoder().space()
    }

    /// Returns how many tokens of a text it reads.
    pub(crate) fn max_tokens(&self) -> usize {
        self.service.encoder().max_tokens()
    }

    /// Returns what a device does for it, where one was asked for.
    pub(crate) fn device(&self) -> Option<DeviceReport> {
        self.service.encoder().device()
    }

    /// Whether it encodes images, too.
    pub(crate) fn has_images(&self) -> bool {
        self.images.is_some()
    }

    /// Whether it gives a vector for each token.
    pub(crate) fn has_tokens(&self) -> bool {
        self.service.encoder().token_shape().is_some()
    }

    /// Refuses a space that is not the model's; none is any.
    pub(crate) fn check_space(&self, space: Option<EmbeddingSpaceId>) -> Result<(), Status> {
        match space {
            Some(space) if space != self.space() => Err(Status::failed_precondition(format!(
                "embedding space mismatch: collection has {space}, model {:?} has {}",
                self.name,
                self.space()
            ))),
            _ => Ok(()),
        }
    }

    /// Encodes texts on the encoder's threads, and waits for them; queries go before documents.
    pub(crate) fn encode(
        &self,
        texts: &[&str],
        kind: TextKind,
        cancel: &Cancel,
    ) -> Result<Embeddings, Status> {
        let options = EncodeOptions { kind, cancel: cancel.clone(), ..EncodeOptions::default() };
        let lane = if kind == TextKind::Query { Lane::Query } else { Lane::Bulk };
        let ticket = self.service.submit(texts, lane, &options);
        let embeddings = ticket.and_then(bigrain_encoders::Ticket::wait);
        embeddings.map_err(|error| status::from_encoder_service(&error))
    }

    /// Encodes the bytes of an image file.
    pub(crate) fn encode_image(&self, file: &[u8], cancel: &Cancel) -> Result<Vec<f32>, Status> {
        let model = self.images.as_ref().ok_or_else(|| {
            Status::failed_precondition(format!("model {:?} encodes no images", self.name))
        })?;
        let limits = ImageLimits { max_pixels: MAX_PIXELS, ..model.decode().limits };
        let image = decode_image(file, &DecodeOptions { limits, ..*model.decode() })
            .map_err(|error| Status::invalid_argument(format!("image: {error}")))?;
        let options = EncodeOptions { cancel: cancel.clone(), ..EncodeOptions::default() };
        let encoded = model.encoder().encode_images(&[model.prepare(&image).pixels], &options);
        Ok(encoded.map_err(|error| status::from_encoder(&error))?.into_data())
    }

    /// Returns the tokens of the text at a position of a request.
    pub(crate) fn tokenize(
        &self,
        position: usize,
        text: &str,
        special: bool,
    ) -> Result<Vec<Token>, Status> {
        let tokens = match text.len() {
            actual if actual > MAX_TEXT_BYTES => Err(EncodeError::TextTooLong { position, actual }),
            _ => self.service.encoder().tokenize(text, special),
        };
        tokens.map_err(|error| status::from_encoder(&error))
    }

    /// Scores texts by MaxSim with a query: the mean over its tokens of the best product with a token of the text.
    pub(crate) fn late_scores(
        &self,
        query: &str,
        texts: &[&str],
        cancel: &Cancel,
    ) -> Result<Vec<f32>, Status> {
        let encode = |texts: &[&str], kind| -> Result<Vec<TokenMatrix>, Status> {
            let options =
                EncodeOptions { kind, cancel: cancel.clone(), ..EncodeOptions::default() };
            let tokens = self.service.encoder().encode_tokens(texts, &options);
            tokens.map_err(|error| status::from_encoder(&error))
        };
        let query = encode(&[query], TextKind::Query)?;
        let score = |text: &TokenMatrix| query.first().and_then(|query| late_score(query, text));
        let mut scores = Vec::with_capacity(texts.len());
        // A text's matrix is some hundred times the text: few are held at once.
        for few in texts.chunks(MATRICES) {
            let encoded = encode(few, TextKind::Document)?;
            let scored = encoded.iter().map(score).collect::<Option<Vec<f32>>>();
            scores.extend(scored.ok_or_else(|| Status::internal("a text without tokens"))?);
        }
        Ok(scores)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bigrain_encoders::ToyEncoder;
    use tonic::Code;

    use super::*;

    fn registry(names: &[&str]) -> ModelRegistry {
        let with = |registry: ModelRegistry, name: &&str| {
            registry.with(*name, Arc::new(ToyEncoder::new(4))).unwrap()
        };
        names.iter().fold(ModelRegistry::new(), with)
    }

    #[test]
    fn a_model_is_found_by_its_name_or_by_a_path_that_ends_in_it() {
        let registry = registry(&["mini", "large"]);
        for name in ["mini", "models/mini", "/srv/models/mini/"] {
            assert_eq!(registry.get(name).unwrap().name(), "mini", "{name}");
        }
        for name in ["", "/", "..", "min", "mini/config.json"] {
            let status = registry.get(name).unwrap_err();
            assert_eq!(status.code(), Code::NotFound, "{name}");
            assert!(status.message().ends_with("has loaded large, mini"), "{status:?}");
        }
    }

    #[test]
    fn a_model_may_stay_unnamed_only_if_it_is_the_only_one() {
        assert_eq!(registry(&["mini"]).only().unwrap().name(), "mini");
        assert!(registry(&["mini", "large"]).only().is_err());
        assert!(registry(&[]).only().unwrap_err().message().contains("loaded none"));
    }

    #[test]
    fn a_name_is_given_once() {
        let error = registry(&["mini"]).with("mini", Arc::new(ToyEncoder::new(4))).unwrap_err();
        assert!(matches!(error, ModelError::Duplicate(name) if name == "mini"));
    }

    #[test]
    fn a_folder_that_is_no_model_is_named() {
        let folder = tempfile::tempdir().unwrap().path().join("absent");
        let error = ModelRegistry::open(std::slice::from_ref(&folder), 1).unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
        let error = ModelRegistry::open(&[PathBuf::from("/")], 1).unwrap_err();
        assert!(matches!(error, ModelError::Unnamed(_)), "{error}");
    }
}

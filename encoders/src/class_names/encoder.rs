//! A classifier and a sentence encoder as one.

use std::path::Path;
use std::time::Instant;

use bigrain_types::{EmbeddingSpaceId, normalize};
use parking_lot::Mutex;

use super::config::{PairConfig, PairError};
use super::error::ClassNamesError;
use crate::batch::{Sharing, run_images};
use crate::dual::{DualEncoder, Grid, MultiVectorEncoder, TokenMatrix, label_means};
use crate::efficientnet::{CLASSES, Classifier, ClassifierScratch};
use crate::embeddings::{Embeddings, EncodeStats};
use crate::encoder::{EncodeError, EncodeOptions, TextEncoder, check_images};
use crate::image::{ImageSize, Pixels, PreprocessConfig, PreprocessConfigError, ResizeMode};
use crate::model_dir::{OpenOptions, weights};
use crate::runtime::Runtime;
use crate::sentence_encoder::{OpenEncoderError, SentenceEncoder};
use crate::weights::Checkpoint;

/// Pixels a side of what the classifier reads.
const SIDE: usize = 224;

/// A classifier of images with a sentence encoder for the names of its classes. Its space is that of the
/// sentence encoder.
#[derive(Debug)]
pub struct ClassNameEncoder {
    classifier: Classifier,
    scratch: Mutex<Vec<ClassifierScratch>>,
    preprocess: PreprocessConfig,
    /// `[classes, dims]`, less the mean of all.
    names: Vec<f32>,
    text: SentenceEncoder,
    runtime: Runtime,
}

impl From<PairError> for OpenEncoderError {
    fn from(error: PairError) -> Self {
        match error {
            PairError::Folder(error) => Self::Folder(error),
            PairError::Names(error) => Self::ClassNames(error),
        }
    }
}

impl ClassNameEncoder {
    /// What `config.json` says such a pair is.
    pub const MODEL_TYPE: &'static str = "class_names";

    /// Opens the folder at `path`, which names that of the sentence encoder, to run on `runtime`.
    ///
    /// # Errors
    ///
    /// [`OpenEncoderError`] names the file, field or tensor that is missing or wrong.
    pub fn open(path: &Path, runtime: Runtime) -> Result<Self, OpenEncoderError> {
        let config = PairConfig::read(path)?;
        let (names_path, classes) = config.labels(path)?;
        let checkpoint = Checkpoint::open(&weights(path)?)?;
        let classifier = Classifier::build(&checkpoint.tensors()?)?;
        let options = OpenOptions { normalize: Some(true), ..OpenOptions::default() };
        let text = SentenceEncoder::open(&config.text_model(path), &options, runtime.clone())?;
        let refused = |source| ClassNamesError::Encode { path: names_path.clone(), source };
        let texts: Vec<&str> =
            classes.iter().flat_map(|class| &class.descriptions).map(String::as_str).collect();
        let embeddings = text.encode(&texts, &EncodeOptions::default()).map_err(refused)?;
        let mut names = label_means(&classes, &embeddings, text.dims());
        take_mean_off(&mut names, text.dims());
        let preprocess = match PreprocessConfig::read(path) {
            Err(PreprocessConfigError::Missing { .. }) => whole_picture(),
            read => read?,
        };
        Ok(Self { classifier, scratch: Mutex::default(), preprocess, names, text, runtime })
    }

    /// How a picture becomes what the classifier reads.
    #[must_use]
    pub fn preprocess(&self) -> &PreprocessConfig {
        &self.preprocess
    }

    /// The probabilities of the classes of each image, `[images, 1000]`.
    ///
    /// # Errors
    ///
    /// As [`DualEncoder::encode_images`].
    pub fn classify(
        &self,
        images: &[Pixels],
        options: &EncodeOptions,
    ) -> Result<Vec<Vec<f32>>, EncodeError> {
        self.run(images, options, |pixels, sharing, scratch| {
            let mut values = self.classifier.logits(pixels, sharing, scratch);
            softmax(&mut values);
            values
        })
    }

    /// Calls `work` for each image, in their order.
    fn run<T: Send>(
        &self,
        images: &[Pixels],
        options: &EncodeOptions,
        work: impl Fn(&Pixels, Sharing, &mut ClassifierScratch) -> T + Sync,
    ) -> Result<Vec<T>, EncodeError> {
        check_images(images, self.image_size())?;
        Ok(run_images(&self.runtime, images, options, |pixels, sharing| {
            let mut scratch = self.scratch.lock().pop().unwrap_or_default();
            let result = work(pixels, sharing, &mut scratch);
            self.scratch.lock().push(scratch);
            result
        })?)
    }

    /// The sum of the names' embeddings, each by how much more probable its class is than by chance: since
    /// probabilities sum to one, that is the sum by probabilities of the embeddings less their mean.
    fn named(&self, probabilities: &[f32]) -> Vec<f32> {
        let mut sum = vec![0.0; self.dims()];
        for (&probability, name) in probabilities.iter().zip(self.names.chunks_exact(self.dims())) {
            sum.iter_mut().zip(name).for_each(|(sum, value)| *sum += probability * value);
        }
        normalize(&mut sum);
        sum
    }
}

/// What the classifier reads: a picture's middle is where photos have their subject, but pictures on paper
/// reach to their edges.
fn whole_picture() -> PreprocessConfig {
    PreprocessConfig {
        resize: ResizeMode::LongestEdge(SIDE),
        fill: [255; 3],
        ..PreprocessConfig::efficientnet_lite0()
    }
}

/// Takes the mean of all rows off each.
fn take_mean_off(rows: &mut [f32], dims: usize) {
    let count = (rows.len() / dims) as f32;
    let mut mean = vec![0.0; dims];
    for row in rows.chunks_exact(dims) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / count);
    }
    for row in rows.chunks_exact_mut(dims) {
        row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
    }
}

/// Probabilities from logits.
fn softmax(values: &mut [f32]) {
    let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter_mut().for_each(|value| *value = (*value - most).exp());
    let sum: f32 = values.iter().sum();
    values.iter_mut().for_each(|value| *value /= sum);
}

impl DualEncoder for ClassNameEncoder {
    fn dims(&self) -> usize {
        self.text.dims()
    }

    fn space(&self) -> EmbeddingSpaceId {
        self.text.space()
    }

    fn scale(&self) -> f32 {
        // Nothing was trained: a cosine of sentence encoders, sharpened as CLIP's usually is.
        100.0
    }

    fn max_tokens(&self) -> usize {
        self.text.max_tokens()
    }

    fn image_size(&self) -> ImageSize {
        ImageSize { height: SIDE, width: SIDE }
    }

    fn encode_images(
        &self,
        images: &[Pixels],
        options: &EncodeOptions,
    ) -> Result<Embeddings, EncodeError> {
        let start = Instant::now();
        let probabilities = self.classify(images, options)?;
        let data = probabilities.iter().flat_map(|classes| self.named(classes)).collect();
        let stats = EncodeStats { forward: start.elapsed(), ..EncodeStats::default() };
        Ok(Embeddings::new(self.dims(), data, stats))
    }

    fn encode_texts(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Embeddings, EncodeError> {
        self.text.encode(texts, options)
    }
}

impl MultiVectorEncoder for ClassNameEncoder {
    fn token_dims(&self) -> usize {
        self.text.dims()
    }

    fn token_space(&self) -> EmbeddingSpaceId {
        self.text.space()
    }

    fn token_scale(&self) -> f32 {
        self.scale()
    }

    fn encode_image_tokens(
        &self,
        images: &[Pixels],
        options: &EncodeOptions,
    ) -> Result<Vec<TokenMatrix>, EncodeError> {
        self.run(images, options, |pixels, sharing, scratch| {
            let (mut places, (height, width)) = self.classifier.places(pixels, sharing, scratch);
            let mut rows = Vec::with_capacity(height * width * self.dims());
            for place in places.chunks_exact_mut(CLASSES) {
                softmax(place);
                rows.extend(self.named(place));
            }
            TokenMatrix::from_rows(self.dims(), rows, Some(Grid { height, width }))
        })
    }

    fn encode_text_tokens(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Vec<TokenMatrix>, EncodeError> {
        let rows = self.text.encode(texts, options)?;
        let matrix = |row: &[f32]| TokenMatrix::from_rows(row.len(), row.to_vec(), None);
        Ok(rows.iter().map(matrix).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_powers_of_logits_over_their_sum() {
        let logits: Vec<f32> =
            (0..CLASSES).map(|class| (class as f32 * 0.7).sin() * 20.0).collect();
        let powers = logits.iter().map(|&x| f64::from(x).exp());
        let powers: Vec<f64> = powers.collect();
        let sum: f64 = powers.iter().sum();
        let mut values = logits.clone();
        softmax(&mut values);
        for (&actual, power) in values.iter().zip(powers) {
            assert!((f64::from(actual) - power / sum).abs() < 1e-6);
        }
        assert!((values.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn what_all_rows_have_in_common_is_taken_off() {
        let mut rows = vec![1.0, 2.0, 3.0, 2.0, 2.0, 5.0];
        take_mean_off(&mut rows, 2);
        assert_eq!(rows, [-1.0, -1.0, 1.0, -1.0, 0.0, 2.0]);
    }
}

//! CLIP and FILIP models in int8.
//!
//! As [`quantize_model`](super::quantize_model), with images beside texts: each tower is observed on
//! its own kind. The layers within towers become int8; the first layer, which reads pixels, and the
//! projections stay as they are.

use std::path::{Path, PathBuf};

use bigrain_types::EmbeddingSpaceId;

use super::error::QuantizeError;
use super::{LayerReport, convert, cosine, files, split};
use crate::clip::{ClipEncoder, ClipOptions};
use crate::dual::DualEncoder;
use crate::embeddings::Embeddings;
use crate::encoder::EncodeOptions;
use crate::image::Pixels;
use crate::nn::Observations;
use crate::runtime::Runtime;
use crate::weights::Checkpoint;

/// What quantising a CLIP model came to.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipQuantizeReport {
    /// The linear layers; layers that share their input are one.
    pub layers: Vec<LayerReport>,
    /// Size of the weights before, in bytes.
    pub bytes_before: u64,
    /// Size of the weights after, in bytes.
    pub bytes_after: u64,
    /// The embeddings of texts that were not observed, unless there were too few.
    pub texts: ComparedEmbeddings,
    /// The embeddings of such images.
    pub images: ComparedEmbeddings,
    /// The space of the model that was quantised.
    pub space_before: EmbeddingSpaceId,
    /// The space of the new one.
    pub space_after: EmbeddingSpaceId,
}

/// How near embeddings of both models are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComparedEmbeddings {
    /// How many were compared.
    pub count: usize,
    /// The mean of the cosines between the two embeddings of each.
    pub mean_cosine: f64,
    /// The smallest such cosine.
    pub min_cosine: f64,
}

/// Writes the CLIP or FILIP folder at `model` to the new folder `out` with the linear layers of its
/// towers in int8, calibrated on `texts` and `images` (some dozens of each, like those to be encoded).
///
/// # Errors
///
/// [`QuantizeError`] when the model does not open or is in int8 already, there are no texts or no
/// images or one of them is refused, there is something at `out`, or a file cannot be written. What
/// was written by then stays.
pub fn quantize_clip(
    model: &Path,
    out: &Path,
    (texts, images): (&[&str], &[Pixels]),
    runtime: &Runtime,
) -> Result<ClipQuantizeReport, QuantizeError> {
    files::refuse_existing(out)?;
    let (observed_texts, compared_texts) = split(texts)?;
    let (observed_images, compared_images) = split(images)?;
    let (clip, encode) = (ClipOptions::default(), EncodeOptions::default());
    let observations = Observations::default();
    let before =
        ClipEncoder::open_observed(model, &clip, runtime.clone(), Some(observations.clone()))?;
    before.encode_texts(&observed_texts, &encode)?;
    before.encode_images(&observed_images, &encode)?;

    let paths = ClipEncoder::weights_files(model)?;
    let weights = paths.first().map_or(model, PathBuf::as_path);
    let checkpoint = Checkpoint::open(&paths)?;
    let tensors = checkpoint.tensors()?;
    let specs = before.tensors(&tensors);
    let (writer, layers) = convert(&tensors, weights, &observations, &specs)?;
    let bytes_before = checkpoint.len_bytes();
    let bytes_after = files::write_folder(model, weights, out, &writer)?;

    // Quantities are observed no longer, and both models run as they do elsewhere.
    let before = ClipEncoder::open(model, &clip, runtime.clone())?;
    let after = ClipEncoder::open(out, &clip, runtime.clone())?;
    Ok(ClipQuantizeReport {
        layers,
        bytes_before,
        bytes_after,
        texts: compare(
            &before.encode_texts(&compared_texts, &encode)?,
            &after.encode_texts(&compared_texts, &encode)?,
        ),
        images: compare(
            &before.encode_images(&compared_images, &encode)?,
            &after.encode_images(&compared_images, &encode)?,
        ),
        space_before: before.space(),
        space_after: after.space(),
    })
}

fn compare(before: &Embeddings, after: &Embeddings) -> ComparedEmbeddings {
    let cosines: Vec<f64> = before.iter().zip(after.iter()).map(|(a, b)| cosine(a, b)).collect();
    ComparedEmbeddings {
        count: cosines.len(),
        mean_cosine: cosines.iter().sum::<f64>() / cosines.len().max(1) as f64,
        min_cosine: cosines.iter().copied().fold(1.0, f64::min),
    }
}

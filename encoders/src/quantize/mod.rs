//! A model folder becomes one whose linear layers are in int8.
//!
//! 1. *Observe.* The model encodes some texts, and each linear layer notes the largest value of every
//!    input, and some rows.
//! 2. *Choose.* Inputs that are far larger than most of their layer's stay in `f32` (LLM.int8(), arXiv
//!    2208.07339): see [`choose_exact_inputs`](layer::choose_exact_inputs). The paper looks at each
//!    batch; here the choice is made once, because in encoders these inputs are few and always the same
//!    (they come from the weights of a layer norm).
//! 3. *Quantise.* Every row of a weight gets the scale that takes its largest value to 127.
//! 4. *Write.* Weights, scales and exact inputs as [`crate::weights`] reads them; large tables become
//!    `f16`; everything else of the folder is copied.
//! 5. *Compare.* Both models encode texts that were not observed.
//!
//! The new folder has its own embedding space, since its weights are other bytes: vectors of the two
//! models are near each other, but a collection keeps to the one it was built with.

mod clip;
mod error;
mod files;
mod layer;
mod texts;

use std::path::{Path, PathBuf};

use bigrain_types::EmbeddingSpaceId;

use self::layer::QuantizedWeight;
use crate::architecture::{Architecture, Head};
use crate::encoder::{EncodeOptions, TextEncoder};
use crate::inspect::ModelKind;
use crate::model_dir::{ModelDir, OpenOptions};
use crate::nn::{LayerInputs, Observations};
use crate::runtime::Runtime;
use crate::sentence_encoder::SentenceEncoder;
use crate::weights::{Checkpoint, TensorSpec, Tensors};

pub use clip::{ClipQuantizeReport, ComparedEmbeddings, quantize_clip};
pub use error::QuantizeError;
pub use texts::CALIBRATION_TEXTS;

/// One text in this many is kept to compare the models with.
const COMPARED_ONE_IN: usize = 4;

/// What quantising a model came to.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizeReport {
    /// The linear layers; layers that share their input are one.
    pub layers: Vec<LayerReport>,
    /// Tensors of the model that the new one has not, for the encoder does not use them: heads for other
    /// tasks.
    pub left_out: Vec<String>,
    /// Size of the weights before, in bytes.
    pub bytes_before: u64,
    /// Size of the weights after, in bytes.
    pub bytes_after: u64,
    /// Texts the layers were observed on.
    pub texts_observed: usize,
    /// Texts the two models were compared on; none of them was observed, unless there were too few.
    pub texts_compared: usize,
    /// The mean over these texts of the cosine between the two embeddings.
    pub mean_cosine: f64,
    /// The smallest such cosine.
    pub min_cosine: f64,
    /// The space of the model that was quantised.
    pub space_before: EmbeddingSpaceId,
    /// The space of the new one.
    pub space_after: EmbeddingSpaceId,
}

/// What quantising linear layers of one input came to.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// Their names in the model.
    pub names: Vec<String>,
    /// Inputs that stayed in `f32`.
    pub exact_inputs: usize,
    /// The error of the result on observed rows, relative to the result: root of mean squares.
    pub error: f64,
}

/// Writes the model folder at `model` to the new folder `out` with its linear layers in int8, calibrated
/// on `texts` ([`CALIBRATION_TEXTS`] if there are none better).
///
/// The same model and texts give the same bytes.
///
/// # Errors
///
/// [`QuantizeError`] when the model does not open or is in int8 already, is a cross-encoder or an
/// M2-BERT (their heads and filters would be lost), a text is refused, there is something at `out`, or a
/// file cannot be written. What was written by then stays.
pub fn quantize_model(
    model: &Path,
    out: &Path,
    texts: &[&str],
    runtime: &Runtime,
) -> Result<QuantizeReport, QuantizeError> {
    files::refuse_existing(out)?;
    refuse_other_kinds(model)?;
    let (observed, compared) = split(texts)?;
    let observations = Observations::default();
    let options = OpenOptions::default();
    let before =
        SentenceEncoder::open_observed(model, &options, runtime.clone(), observations.clone())?;
    before.encode(&observed, &EncodeOptions::default())?;

    let dir = before.model_dir();
    let paths = dir.weights_files().map_err(crate::OpenEncoderError::from)?;
    let weights_path = paths.first().map_or(model, PathBuf::as_path);
    let checkpoint = Checkpoint::open(&paths)?;
    let tensors = checkpoint.tensors()?;
    let mut specs = dir.architecture.tensors(Head::of(dir.pooling));
    specs.extend(dir.architecture.tensors(Head::Pooler));
    let left_out = tensors.unused(&specs);
    let (writer, layers) = convert(&tensors, weights_path, &observations, &specs)?;
    let bytes_before = checkpoint.len_bytes();
    let bytes_after = files::write_folder(model, weights_path, out, &writer)?;

    // Quantities are observed no longer, and both models run as they do elsewhere.
    let before = SentenceEncoder::open(model, &options, runtime.clone())?;
    let after = SentenceEncoder::open(out, &options, runtime.clone())?;
    let cosines = cosines(&before, &after, &compared)?;
    Ok(QuantizeReport {
        layers,
        left_out,
        bytes_before,
        bytes_after,
        texts_observed: observed.len(),
        texts_compared: compared.len(),
        mean_cosine: cosines.iter().sum::<f64>() / cosines.len() as f64,
        min_cosine: cosines.iter().copied().fold(1.0, f64::min),
        space_before: before.space(),
        space_after: after.space(),
    })
}

/// Quantises the observed layers, and takes over the other tensors of `specs` that are there;
/// `weights` names the file in errors.
fn convert(
    tensors: &Tensors<'_>,
    weights: &Path,
    observations: &Observations,
    specs: &[TensorSpec],
) -> Result<(files::TensorFile, Vec<LayerReport>), QuantizeError> {
    let mut writer = files::TensorFile::default();
    let mut layers = Vec::new();
    for (names, inputs) in observations.layers() {
        layers.push(quantize_layer(tensors, names, &inputs, &mut writer)?);
    }
    if layers.is_empty() {
        return Err(QuantizeError::NoLayers { path: weights.to_owned() });
    }
    for spec in specs {
        if tensors.has(&spec.name) && !writer.has(&spec.name) {
            writer.add_floats(&spec.name, spec.shape.clone(), &tensors.read(&spec.name)?);
        }
    }
    Ok((writer, layers))
}

/// Refuses folders that would not be written back whole: what is written are the tensors of a sentence
/// encoder of the BERT family.
fn refuse_other_kinds(model: &Path) -> Result<(), QuantizeError> {
    let open = crate::OpenEncoderError::from;
    let dir = ModelDir::open(model, &OpenOptions::default()).map_err(open)?;
    let checkpoint = Checkpoint::open(&dir.weights_files().map_err(open)?)?;
    let kind = match (&dir.architecture, ModelKind::of(model, &dir, &checkpoint.tensors()?)) {
        (Architecture::M2Bert(..), _) => "an M2-BERT",
        (Architecture::Bert(_), ModelKind::CrossEncoder) => "a cross-encoder",
        (Architecture::Bert(_), ModelKind::SentenceEncoder) => return Ok(()),
    };
    Err(QuantizeError::NotWhole { path: model.to_owned(), kind })
}

/// Quantises the layers `names`, which share their input.
fn quantize_layer(
    tensors: &Tensors<'_>,
    names: Vec<String>,
    inputs: &LayerInputs,
    writer: &mut files::TensorFile,
) -> Result<LayerReport, QuantizeError> {
    let exact_inputs = layer::choose_exact_inputs(&inputs.largest);
    let (mut error, mut power) = (0.0, 0.0);
    for name in &names {
        let weight = tensors.read(&format!("{name}.weight"))?;
        let quantized = QuantizedWeight::new(&weight, inputs.largest.len(), &exact_inputs);
        let (squared_error, squared) = quantized.error(&weight, &inputs.sample);
        error += squared_error;
        power += squared;
        writer.add_int8(&format!("{name}.weight"), &quantized);
    }
    let error = (error / f64::max(power, f64::MIN_POSITIVE)).sqrt();
    Ok(LayerReport { names, exact_inputs: exact_inputs.len(), error })
}

/// Divides texts or images into those to observe and those to compare with; if there are few, all are
/// both.
fn split<T: Clone>(all: &[T]) -> Result<(Vec<T>, Vec<T>), QuantizeError> {
    if all.is_empty() {
        return Err(QuantizeError::NoTexts);
    }
    if all.len() < 2 * COMPARED_ONE_IN {
        return Ok((all.to_vec(), all.to_vec()));
    }
    let numbered = || all.iter().enumerate();
    let is_compared = |index: usize| index % COMPARED_ONE_IN == COMPARED_ONE_IN - 1;
    Ok((
        numbered().filter(|(index, _)| !is_compared(*index)).map(|(_, one)| one.clone()).collect(),
        numbered().filter(|(index, _)| is_compared(*index)).map(|(_, one)| one.clone()).collect(),
    ))
}

/// Returns the cosine of both embeddings of each text.
fn cosines(
    before: &SentenceEncoder,
    after: &SentenceEncoder,
    texts: &[&str],
) -> Result<Vec<f64>, QuantizeError> {
    let a = before.encode(texts, &EncodeOptions::default())?;
    let b = after.encode(texts, &EncodeOptions::default())?;
    Ok(a.iter().zip(b.iter()).map(|(a, b)| cosine(a, b)).collect())
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_to_compare_are_not_observed_unless_there_are_few() {
        let texts: Vec<String> = (0..9).map(|i| i.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (observed, compared) = split(&texts).unwrap();
        assert_eq!((observed.len(), &compared[..]), (7, &["3", "7"][..]));
        let (observed, compared) = split(&texts[..7]).unwrap();
        assert_eq!(observed, compared);
        assert!(matches!(split::<&str>(&[]), Err(QuantizeError::NoTexts)));
    }
}

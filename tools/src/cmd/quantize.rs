//! `bigrain quantize`: a model folder becomes one with int8 weights.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bigrain_encoders::{
    CALIBRATION_TEXTS, ImageModel, LayerReport, QuantizeReport, Runtime, quantize_model,
};
use clap::Args;
use comfy_table::Table;
use serde_json::{Value, json};

use super::encode::lines;
use super::quantize_clip;
use crate::failure::Usage;
use crate::session::Session;
use crate::{human, table};

/// Writes a model folder whose linear layers are in int8: smaller, and several times as fast where the
/// CPU multiplies bytes (AVX-512 VNNI).
///
/// The new folder opens as the old one does. Its embeddings belong to a space of their own, so a
/// collection is built anew with it. What it costs depends on the model: compare with `bigrain eval
/// --corpus`.
#[derive(Args, Debug)]
pub struct QuantizeArgs {
    /// The model folder
    #[arg(value_name = "MODEL_FOLDER")]
    model: PathBuf,
    /// The folder to write, which is not there yet
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// A file with a text on each line, like those to be encoded; a few dozen are enough [default:
    /// texts of many kinds that are built in]
    #[arg(long, value_name = "FILE")]
    calibrate: Option<PathBuf>,
    /// A folder of pictures like those to be encoded, for a CLIP or FILIP model; some dozens are looked at
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the model does not open, is quantised already or is neither a sentence encoder of the BERT family nor
/// CLIP or FILIP, a text or picture is refused, or the new folder cannot be written.
pub fn run(args: &QuantizeArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let own = match &args.calibrate {
        Some(path) => Some(calibration_texts(path)?),
        None => None,
    };
    let texts: Vec<&str> = match &own {
        Some(own) => own.iter().map(String::as_str).collect(),
        None => CALIBRATION_TEXTS.to_vec(),
    };
    match (&args.images, ImageModel::recognizes(&args.model)) {
        (Some(images), true) => {
            let folders = (&*args.model, &*args.out);
            return quantize_clip::run(folders, (&texts[..], images.as_path()), args.json, session);
        }
        (Some(_), false) => {
            let message =
                format!("{} is no model for images: leave out --images", args.model.display());
            return Err(Usage::new(message).into());
        }
        (None, true) => {
            let message =
                format!("{} is a model for images: name some with --images", args.model.display());
            return Err(Usage::new(message).into());
        }
        (None, false) => {}
    }
    let runtime = Runtime::new(session.threads)?;
    let report = quantize_model(&args.model, &args.out, &texts, &runtime)
        .with_context(|| format!("quantize {}", args.model.display()))?;
    if args.json {
        return session.write_json(&to_json(&report));
    }
    write_report(session, &report, &args.out)
}

fn calibration_texts(path: &Path) -> anyhow::Result<Vec<String>> {
    let texts = lines(path)?.collect::<anyhow::Result<Vec<String>>>()?;
    if texts.is_empty() {
        return Err(Usage::new(format!("{} holds no texts", path.display())).into());
    }
    Ok(texts)
}

fn write_report(
    session: &mut Session<'_>,
    report: &QuantizeReport,
    out: &Path,
) -> anyhow::Result<()> {
    let layers = layers_table(&report.layers);
    let size = weights_line(report.bytes_before, report.bytes_after);
    let cosine = format!(
        "mean {:.5}, smallest {:.5} ({} other texts)",
        report.mean_cosine, report.min_cosine, report.texts_compared,
    );
    let facts = table::facts([
        ("weights", size),
        ("observed on", human::counted(report.texts_observed as u64, "text", "texts")),
        ("cosine to f32", cosine),
        ("embedding space", format!("{} -> {}", report.space_before, report.space_after)),
        ("written to", out.display().to_string()),
    ]);
    writeln!(session.out, "{layers}\n\n{facts}")?;
    if !report.left_out.is_empty() {
        let tensors = human::counted(report.left_out.len() as u64, "tensor", "tensors");
        let names = report.left_out.join(", ");
        writeln!(session.out, "left out {tensors} that the encoder does not use: {names}")?;
    }
    Ok(())
}

/// The layers as a table.
pub(super) fn layers_table(layers: &[LayerReport]) -> Table {
    let mut table = table::plain(["layer", "exact inputs", "error"]);
    for layer in layers {
        let error = format!("{:.2} %", layer.error * 100.0);
        table.add_row([name(layer), layer.exact_inputs.to_string(), error]);
    }
    table::align_right(&mut table, &[1, 2]);
    table
}

/// One line on the size of the weights.
pub(super) fn weights_line(before: u64, after: u64) -> String {
    let share = human::ratio(after, before);
    format!("{} -> {} ({share:.2} of it)", human::bytes(before), human::bytes(after))
}

/// The first layer, and how many more share its input.
fn name(layer: &LayerReport) -> String {
    match &layer.names[..] {
        [] => String::new(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

/// The layers as JSON.
pub(super) fn layers_json(layers: &[LayerReport]) -> Value {
    let layer = |layer: &LayerReport| {
        json!({
            "names": layer.names,
            "exact_inputs": layer.exact_inputs,
            "error": layer.error,
        })
    };
    layers.iter().map(layer).collect()
}

fn to_json(report: &QuantizeReport) -> Value {
    json!({
        "left_out": report.left_out,
        "layers": layers_json(&report.layers),
        "bytes_before": report.bytes_before,
        "bytes_after": report.bytes_after,
        "texts_observed": report.texts_observed,
        "texts_compared": report.texts_compared,
        "mean_cosine": report.mean_cosine,
        "min_cosine": report.min_cosine,
        "space_before": report.space_before,
        "space_after": report.space_after,
    })
}

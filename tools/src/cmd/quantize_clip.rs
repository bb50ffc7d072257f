//! `bigrain quantize` for models of images and texts.

use std::path::Path;

use anyhow::Context;
use bigrain_encoders::{ClipQuantizeReport, ComparedEmbeddings, Pixels, quantize_clip};
use serde_json::{Value, json};

use crate::cmd::quantize::{layers_json, layers_table, weights_line};
use crate::failure::Usage;
use crate::pictures::{PictureFiles, PictureModel};
use crate::session::Session;
use crate::shuffle::shuffled;
use crate::table;

/// Pictures that are looked at; more tell nothing new.
const MAX_PICTURES: usize = 64;
/// Which pictures of a folder.
const SEED: u64 = 0x7175_616e;

/// Writes the model at `model` to `out` in int8, calibrated on texts and on the pictures of a folder.
pub(super) fn run(
    (model, out): (&Path, &Path),
    (texts, images): (&[&str], &Path),
    json: bool,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let opened = PictureModel::open(model, &session.encode_on())?;
    let pixels = pixels(images, &opened, session)?;
    let runtime = opened.model().runtime().clone();
    let report = quantize_clip(model, out, (texts, &pixels), &runtime)
        .with_context(|| format!("quantize {}", model.display()))?;
    if json {
        return session.write_json(&to_json(&report));
    }
    let cosine = |compared: ComparedEmbeddings, what: &str| {
        let ComparedEmbeddings { count, mean_cosine, min_cosine } = compared;
        format!("mean {mean_cosine:.5}, smallest {min_cosine:.5} ({count} other {what})")
    };
    let facts = table::facts([
        ("weights", weights_line(report.bytes_before, report.bytes_after)),
        ("observed on", format!("{} texts, {} pictures", texts.len(), pixels.len())),
        ("texts, cosine to f32", cosine(report.texts, "texts")),
        ("pictures, cosine to f32", cosine(report.images, "pictures")),
        ("embedding space", format!("{} -> {}", report.space_before, report.space_after)),
        ("written to", out.display().to_string()),
    ]);
    Ok(writeln!(session.out, "{}\n\n{facts}", layers_table(&report.layers))?)
}

/// Reads some pictures of a folder; those that cannot be read are said and passed over.
fn pixels(
    folder: &Path,
    model: &PictureModel,
    session: &Session<'_>,
) -> anyhow::Result<Vec<Pixels>> {
    let found = PictureFiles::list(folder, &session.cancel)?;
    let order = shuffled(found.files.len(), SEED);
    let files: Vec<_> = order.iter().take(MAX_PICTURES).map(|&at| &found.files[at]).collect();
    let mut pixels = Vec::with_capacity(files.len());
    for read in model.read(&files) {
        match read {
            Ok(picture) => pixels.push(picture.pixels),
            Err(error) => session.note(&format!("skipped {error:#}")),
        }
    }
    if pixels.is_empty() {
        return Err(Usage::new(format!("{} holds no pictures", folder.display())).into());
    }
    Ok(pixels)
}

fn to_json(report: &ClipQuantizeReport) -> Value {
    let compared = |compared: ComparedEmbeddings| {
        json!({
            "count": compared.count,
            "mean_cosine": compared.mean_cosine,
            "min_cosine": compared.min_cosine,
        })
    };
    json!({
        "layers": layers_json(&report.layers),
        "bytes_before": report.bytes_before,
        "bytes_after": report.bytes_after,
        "texts": compared(report.texts),
        "images": compared(report.images),
        "space_before": report.space_before,
        "space_after": report.space_after,
    })
}

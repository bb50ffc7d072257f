//! How well pictures are found by their captions, and captions by their pictures.
//!
//! Scores are exact cosines, without an index. Only captions that people wrote count: those of a list or
//! of a text file beside the picture, not the words of a file's name.

use std::path::PathBuf;

use anyhow::{Context, bail};
use bigrain_encoders::EncodeOptions;
use bigrain_kernels::dot;
use clap::Args;
use serde::Serialize;

use crate::pictures::{CaptionSource, PictureFiles, PictureModel};
use crate::progress::Progress;
use crate::session::Session;
use crate::{human, table};

/// Pictures that are decoded and encoded together.
const BATCH: usize = 64;
/// Ranks that are counted.
const RANKS: [usize; 3] = [1, 5, 10];

/// Pictures with captions, of which each is the question for the other.
#[derive(Args, Debug)]
#[command(next_help_heading = "Pictures")]
pub struct PictureArgs {
    /// A folder of pictures with captions: beside each a text file of its name, or one captions.jsonl
    #[arg(long, value_name = "DIR", conflicts_with_all = ["corpus", "vectors", "code"])]
    images: Option<PathBuf>,
    /// Leave out pictures whose path has this in it; may be given more than once
    #[arg(long, value_name = "TEXT", requires = "images")]
    leave_out: Vec<String>,
    /// The folder of the model for pictures [default: efficientnet-lite0-minilm]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_IMAGE_MODEL")]
    image_model: Option<PathBuf>,
}

/// What an evaluation of pictures found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PictureEvaluation {
    /// The model's folder.
    pub model: String,
    /// Pictures that were searched.
    pub pictures: usize,
    /// Different captions among them.
    pub captions: usize,
    /// Pictures without a caption that somebody wrote, or that cannot be read.
    pub left_out: usize,
    /// The share of captions that have a picture of theirs among the first 1, 5 and 10.
    pub text_to_image: [f64; 3],
    /// The share of pictures whose own caption is among the first 1, 5 and 10.
    pub image_to_text: [f64; 3],
    /// The same by chance, of pictures.
    pub chance: [f64; 3],
}

impl PictureArgs {
    pub(super) fn is_asked(&self) -> bool {
        self.images.is_some()
    }
}

/// Pictures and their captions as vectors of one space, row by row.
struct Pairs {
    captions: Vec<String>,
    images: Vec<Vec<f32>>,
    texts: Vec<Vec<f32>>,
    left_out: usize,
}

pub(super) fn run(args: &PictureArgs, json: bool, session: &mut Session<'_>) -> anyhow::Result<()> {
    let folder = args.images.as_deref().context("no folder of pictures")?;
    let model = PictureModel::open_or_default(args.image_model.as_deref(), &session.encode_on())?;
    let mut found = PictureFiles::list(folder, &session.cancel)?;
    found.files.retain(|file| !args.leave_out.iter().any(|part| file.name.contains(part)));
    let pairs = Pairs::encode(&found, &model, session)?;
    if pairs.captions.is_empty() {
        bail!("{}: no picture with a caption", folder.display());
    }
    let evaluation = pairs.evaluate(model.name());
    if json {
        return session.write_json(&evaluation);
    }
    let line = |shares: [f64; 3]| {
        let parts = RANKS.iter().zip(shares).map(|(k, share)| format!("R@{k} {share:.3}"));
        parts.collect::<Vec<_>>().join("  ")
    };
    let facts = table::facts([
        ("model", evaluation.model.clone()),
        (
            "pictures",
            format!(
                "{} with {} different captions ({} left out)",
                human::count(evaluation.pictures as u64),
                human::count(evaluation.captions as u64),
                human::count(evaluation.left_out as u64)
            ),
        ),
        ("text to image", line(evaluation.text_to_image)),
        ("image to text", line(evaluation.image_to_text)),
        ("by chance", line(evaluation.chance)),
    ]);
    Ok(writeln!(session.out, "{}", facts.trim_fmt())?)
}

impl Pairs {
    fn encode(
        found: &PictureFiles,
        model: &PictureModel,
        session: &Session<'_>,
    ) -> anyhow::Result<Self> {
        let options = EncodeOptions { cancel: session.cancel.clone(), ..EncodeOptions::default() };
        let captioned: Vec<_> =
            found.files.iter().filter(|file| file.caption.source != CaptionSource::Name).collect();
        let mut pairs = Self {
            captions: Vec::new(),
            images: Vec::new(),
            texts: Vec::new(),
            left_out: found.files.len() - captioned.len(),
        };
        let mut progress = Progress::counting("eval", "pictures", captioned.len() as u64);
        for batch in captioned.chunks(BATCH) {
            let mut pixels = Vec::new();
            for (file, read) in batch.iter().zip(model.read(batch)) {
                match read {
                    Ok(picture) => {
                        pixels.push(picture.pixels);
                        pairs.captions.push(file.caption.text.clone());
                    }
                    Err(error) => {
                        session.note(&format!("skipped {error:#}"));
                        pairs.left_out += 1;
                    }
                }
            }
            let images = model.model().encoder().encode_images(&pixels, &options)?;
            pairs.images.extend(images.iter().map(<[f32]>::to_vec));
            progress.advance(batch.len() as u64, pairs.images.len() as u64);
        }
        progress.finish();
        let texts: Vec<&str> = pairs.captions.iter().map(String::as_str).collect();
        let texts = model.model().encoder().encode_texts(&texts, &options)?;
        pairs.texts.extend(texts.iter().map(<[f32]>::to_vec));
        Ok(pairs)
    }

    fn evaluate(&self, model: &str) -> PictureEvaluation {
        let rows = self.captions.len();
        let all: Vec<usize> = (0..rows).collect();
        // Pictures of one caption answer it equally well, and it counts once where captions are ranked.
        let alike = |row: usize| -> Vec<usize> {
            all.iter().copied().filter(|&i| self.captions[i] == self.captions[row]).collect()
        };
        let alike: Vec<Vec<usize>> = all.iter().map(|&row| alike(row)).collect();
        let distinct: Vec<usize> =
            all.iter().copied().filter(|&row| alike[row].first() == Some(&row)).collect();
        let to_image =
            all.iter().map(|&row| rank(&self.texts[row], &self.images, &all, &alike[row]));
        let to_text =
            all.iter().map(|&row| rank(&self.images[row], &self.texts, &distinct, &alike[row]));
        PictureEvaluation {
            model: model.to_owned(),
            pictures: rows,
            captions: distinct.len(),
            left_out: self.left_out,
            text_to_image: shares(&to_image.collect::<Vec<_>>()),
            image_to_text: shares(&to_text.collect::<Vec<_>>()),
            chance: RANKS.map(|k| (k as f64 / rows as f64).min(1.0)),
        }
    }
}

/// How many of the rows `among` are as near to the query as the nearest of its own, or nearer.
fn rank(query: &[f32], rows: &[Vec<f32>], among: &[usize], own: &[usize]) -> usize {
    let score = |row: usize| dot(query, &rows[row]);
    let target = own.iter().map(|&row| score(row)).fold(f32::NEG_INFINITY, f32::max);
    among.iter().filter(|row| !own.contains(row) && score(**row) >= target).count()
}

fn shares(ranks: &[usize]) -> [f64; 3] {
    RANKS.map(|k| ranks.iter().filter(|&&rank| rank < k).count() as f64 / ranks.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_does_not_count_as_found() {
        let unit = |angle: f32| vec![angle.cos(), angle.sin()];
        let pairs = Pairs {
            captions: ["a", "b", "a", "c"].map(str::to_owned).to_vec(),
            images: [0.0, 0.5, 0.1, 0.5].map(unit).to_vec(),
            texts: [0.0, 0.5, 0.0, 0.9].map(unit).to_vec(),
            left_out: 1,
        };
        let evaluation = pairs.evaluate("m");
        assert_eq!((evaluation.pictures, evaluation.captions), (4, 3));
        // Both captions "a" find a picture of theirs first; the second and fourth picture are the same.
        assert_eq!(evaluation.text_to_image, [0.5, 1.0, 1.0]);
        // Both pictures of "a" are nearest to it; the fourth is nearer to "b" than to "c".
        assert_eq!(evaluation.image_to_text, [0.75, 1.0, 1.0]);
        assert_eq!(evaluation.chance, [0.25, 1.0, 1.0]);
    }
}

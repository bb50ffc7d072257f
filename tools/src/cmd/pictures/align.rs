//! `bigrain pictures align`: pictures that their captions fit, and those they do not.

use std::path::PathBuf;

use anyhow::{Context, bail};
use bigrain_encoders::{EncodeOptions, TextEncoder};
use bigrain_kernels::dot;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::findings::{FindingFlags, Findings, MAX_LINES, PageRow, caption, percent};
use super::parse_share;
use crate::curation::Collected;
use crate::curation::alignment::{quantile, strangers};
use crate::curation::relevance::area_under_curve;
use crate::matrix::Matrix;
use crate::pictures::PictureModel;
use crate::progress::Progress;
use crate::session::{Session, open_collection};
use crate::shuffle::shuffled;
use crate::{human, table};

/// Captions encoded together.
const BATCH: usize = 256;
/// How the pictures are divided for the check.
const SEED: u64 = 0x616c_6967;
/// Pictures shown of the best.
const BEST_SHOWN: usize = 12;

/// Scores how well each caption fits its picture, and drops the worst
///
/// The score is the cosine of picture and caption. The check divides the pictures: one half sets the score that
/// the share to drop stays below, the other tells how many of its pictures are kept with their own captions,
/// and how many with those of other pictures.
#[derive(Args, Debug)]
pub(super) struct AlignArgs {
    /// Drop this share of the pictures, those with the lowest scores
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = parse_share)]
    drop: f64,
    /// Drop those that score below this, however many they are
    #[arg(long, value_name = "X", allow_negative_numbers = true, conflicts_with = "drop")]
    min_score: Option<f32>,
    /// The folder of the model [default: the collection's]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    flags: FindingFlags,
}

/// What a threshold does to pictures that did not set it.
#[derive(Clone, Copy, Debug, Serialize)]
struct Check {
    /// Pictures judged.
    judged: usize,
    /// The share that is kept with their own captions.
    kept: f64,
    /// The share that is kept with captions of others.
    strangers_kept: f64,
    /// How probable it is that a picture's own caption scores higher than a stranger's.
    area_under_curve: Option<f64>,
}

pub(super) fn run(args: &AlignArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.flags.collection.as_deref())?;
    let model = PictureModel::open_for(&collection, args.model.as_deref(), &session.encode_on())?;
    let collected = Collected::read(&collection, &session.cancel)?;
    let captioned: Vec<usize> =
        (0..collected.len()).filter(|&row| !text(&collected, row).is_empty()).collect();
    if captioned.is_empty() {
        bail!("no picture of {:?} has a caption", collection.name());
    }
    let texts = encode(&collected, &captioned, &*model.model().text_encoder(), session)?;
    let score = |picture: usize, caption: usize| -> f32 {
        dot(collected.vectors.row(captioned[picture]), texts.row(caption))
    };
    let scores: Vec<f32> = (0..captioned.len()).map(|at| score(at, at)).collect();
    let threshold = |scores: &[f32]| args.min_score.or_else(|| quantile(scores, args.drop));
    let least = threshold(&scores).context("no scores")?;

    let order = shuffled(scores.len(), SEED);
    let (setting, judged) = order.split_at(scores.len() / 2);
    let setting: Vec<f32> = setting.iter().map(|&at| scores[at]).collect();
    let check = threshold(&setting).and_then(|least| {
        let captions: Vec<&str> =
            judged.iter().map(|&at| text(&collected, captioned[at])).collect();
        let others = strangers(&captions);
        let pairs = judged.iter().enumerate().filter(|(at, _)| others[*at] != *at);
        let strange: Vec<f32> =
            pairs.map(|(at, &picture)| score(picture, judged[others[at]])).collect();
        let own: Vec<f32> = judged.iter().map(|&at| scores[at]).collect();
        // Where all captions are the same there are no strangers.
        (!strange.is_empty()).then(|| check(&own, &strange, least))
    });
    findings(&collected, &captioned, &scores, least, check).write(&args.flags, session)
}

fn text(collected: &Collected, row: usize) -> &str {
    collected.payloads[row].text("text").unwrap_or_default().trim()
}

/// Encodes the captions of some pictures.
fn encode(
    collected: &Collected,
    captioned: &[usize],
    encoder: &dyn TextEncoder,
    session: &Session<'_>,
) -> anyhow::Result<Matrix> {
    let options = EncodeOptions { cancel: session.cancel.clone(), ..EncodeOptions::default() };
    let mut texts = Matrix::empty(encoder.dims());
    let mut progress = Progress::counting("align", "captions", captioned.len() as u64);
    for batch in captioned.chunks(BATCH) {
        let captions: Vec<&str> = batch.iter().map(|&row| text(collected, row)).collect();
        let encoded = encoder.encode(&captions, &options).context("encode captions")?;
        encoded.iter().for_each(|row| texts.push(row));
        progress.advance(batch.len() as u64, texts.len() as u64);
    }
    progress.finish();
    Ok(texts)
}

fn check(own: &[f32], strange: &[f32], least: f32) -> Check {
    let kept = |scores: &[f32]| {
        let kept = scores.iter().filter(|score| **score >= least).count();
        human::ratio(kept as u64, scores.len() as u64)
    };
    let items: Vec<(f32, bool)> = own
        .iter()
        .map(|&score| (score, true))
        .chain(strange.iter().map(|&score| (score, false)))
        .collect();
    Check {
        judged: own.len(),
        kept: kept(own),
        strangers_kept: kept(strange),
        area_under_curve: area_under_curve(&items),
    }
}

fn findings<'a>(
    collected: &'a Collected,
    captioned: &[usize],
    scores: &[f32],
    least: f32,
    check: Option<Check>,
) -> Findings<'a> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(a.cmp(&b)));
    let dropped = order.iter().filter(|&&at| scores[at] < least).count();
    let mut table = table::plain(["score", "picture", "caption"]);
    for &at in order.iter().take(dropped.min(MAX_LINES)) {
        let row = captioned[at];
        let id = collected.ids[row].to_string();
        table.add_row([format!("{:.4}", scores[at]), id, caption(collected, row)]);
    }
    table::align_right(&mut table, &[0]);
    let lines = order.iter().map(|&at| {
        let row = captioned[at];
        let (id, text) = (&collected.ids[row], text(collected, row));
        json!({ "id": id, "score": scores[at], "keep": scores[at] >= least, "text": text })
    });
    let page_row = |heading: String, places: Vec<usize>| PageRow {
        heading,
        pictures: places
            .into_iter()
            .map(|at| {
                (captioned[at], format!("{:.4} {}", scores[at], collected.ids[captioned[at]]))
            })
            .collect(),
    };
    let kept = scores.len() - dropped;
    let uncaptioned = collected.len() - captioned.len();
    let mut facts = vec![
        ("pictures", human::count(collected.len() as u64)),
        ("without a caption", human::count(uncaptioned as u64)),
        ("kept", format!("{}, which score at least {least:.4}", human::count(kept as u64))),
        ("dropped", human::count(dropped as u64)),
    ];
    facts.extend(check.map(|check| {
        let text = format!(
            "of {} pictures that set no score {} are kept, with captions of others {} (area under curve \
             {:.3})",
            check.judged,
            percent(check.kept),
            percent(check.strangers_kept),
            check.area_under_curve.unwrap_or_default()
        );
        ("check", text)
    }));
    Findings {
        title: "How well captions fit".to_owned(),
        collected,
        facts,
        summary: json!({
            "pictures": collected.len(),
            "without_caption": uncaptioned,
            "threshold": least,
            "kept": kept,
            "dropped": dropped,
            "check": check,
        }),
        table,
        lines: lines.collect(),
        rows: vec![
            page_row("Best".to_owned(), order.iter().rev().take(BEST_SHOWN).copied().collect()),
            page_row("Dropped, the worst first".to_owned(), order[..dropped].to_vec()),
        ],
    }
}

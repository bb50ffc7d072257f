//! `bigrain pictures subset`: pictures that a text or a picture is about.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::Context;
use bigrain_encoders::compose;
use bigrain_engine::{Cancel, Collection, Filter, PointId, ScrollParams};
use bigrain_kernels::dot;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::findings::{FindingFlags, Findings, MAX_LINES, PageRow, caption};
use crate::cmd::search::read_filter;
use crate::curation::Collected;
use crate::curation::relevance::{Judgement, area_under_curve, best_threshold, judge};
use crate::pictures::PictureModel;
use crate::session::{Session, open_collection};
use crate::shuffle::shuffled;
use crate::{human, table};

/// Points read at a time.
const PAGE: usize = 1_000;
/// How the pictures are divided for the check.
const SEED: u64 = 0x6861_6c66;

/// Takes the pictures that a text, a picture, or both are about
///
/// The check needs to be told which pictures are meant, by a filter on their payloads: half of all pictures
/// choose the score at which precision and recall are best together, and the other half is judged by it.
/// Without --top and --min-score that score is the one that is used.
#[derive(Args, Debug)]
pub(super) struct SubsetArgs {
    /// What they show
    #[arg(value_name = "TEXT", required_unless_present = "image")]
    text: Option<String>,
    /// A picture they are like
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Take this many
    #[arg(long, value_name = "N", conflicts_with = "min_score")]
    top: Option<usize>,
    /// Take those that score at least this
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    min_score: Option<f32>,
    /// The pictures that are meant, as a filter in JSON, to check with
    #[arg(long, value_name = "JSON", value_parser = read_filter)]
    #[arg(required_unless_present_any = ["top", "min_score"])]
    relevant: Option<Filter>,
    /// The folder of the model [default: the collection's]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    flags: FindingFlags,
}

/// How well the half that chose nothing is told apart.
#[derive(Clone, Copy, Debug, Serialize)]
struct Check {
    /// Pictures judged.
    judged: usize,
    /// Those of them that are meant.
    relevant: usize,
    /// The score that the other half chose.
    threshold: f32,
    #[serde(flatten)]
    judgement: Judgement,
    /// How probable it is that a picture that is meant scores higher than one that is not.
    area_under_curve: Option<f64>,
}

pub(super) fn run(args: &SubsetArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.flags.collection.as_deref())?;
    let model = PictureModel::open_for(&collection, args.model.as_deref(), &session.encode_on())?;
    let query = args.query(&model, &session.cancel)?;
    let collected = Collected::read(&collection, &session.cancel)?;
    let scores: Vec<f32> = collected.vectors.rows().map(|row| dot(&query, row)).collect();
    let check = match &args.relevant {
        Some(filter) => check(filter, &collection, &collected, &scores)?,
        None => None,
    };
    let least = args.min_score.or_else(|| check.map(|check| check.threshold));
    let mut taken: Vec<usize> = (0..scores.len()).collect();
    taken.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    match (args.top, least) {
        (Some(top), _) => taken.truncate(top),
        (None, Some(least)) => taken.retain(|&row| scores[row] >= least),
        (None, None) => taken.clear(),
    }
    args.findings(&collected, &scores, &taken, check).write(&args.flags, session)
}

/// Chooses a threshold on half of the pictures and judges it on the other; `None` where the first half has
/// none that is meant.
fn check(
    filter: &Filter,
    collection: &Collection,
    collected: &Collected,
    scores: &[f32],
) -> anyhow::Result<Option<Check>> {
    let meant = matching(collection, filter)?;
    let is_meant = |row: usize| meant.contains(&collected.ids[row]);
    let order = shuffled(scores.len(), SEED);
    let items = |rows: &[usize]| -> Vec<(f32, bool)> {
        rows.iter().map(|&row| (scores[row], is_meant(row))).collect()
    };
    let (choosing, judged) = order.split_at(scores.len() / 2);
    let (choosing, judged) = (items(choosing), items(judged));
    let Some(threshold) = best_threshold(&choosing) else { return Ok(None) };
    Ok(Some(Check {
        judged: judged.len(),
        relevant: judged.iter().filter(|(_, relevant)| *relevant).count(),
        threshold,
        judgement: judge(&judged, threshold),
        area_under_curve: area_under_curve(&judged),
    }))
}

/// The ids of the points that match a filter.
fn matching(collection: &Collection, filter: &Filter) -> anyhow::Result<HashSet<PointId>> {
    let params = ScrollParams::new(PAGE)?.with_filter(filter.clone());
    let mut params = params.with_vectors(false).with_payload(false);
    let mut ids = HashSet::new();
    loop {
        let page = collection.scroll_page(&params)?;
        ids.extend(page.points.into_iter().map(|point| point.id));
        let Some(next) = page.next else { return Ok(ids) };
        params = params.from_cursor(next);
    }
}

impl SubsetArgs {
    fn query(&self, model: &PictureModel, cancel: &Cancel) -> anyhow::Result<Vec<f32>> {
        let image =
            self.image.as_deref().map(|file| model.encode_file(file, cancel)).transpose()?;
        let encoder = model.model().text_encoder();
        let text = self.text.as_deref().map(|text| encoder.encode_query(text)).transpose();
        match (image, text.context("encode the text")?) {
            (Some(image), Some(text)) => {
                compose(&image, &text, 1.0).context("nothing is left of picture and text")
            }
            (image, text) => image.or(text).context("neither a text nor a picture"),
        }
    }

    fn findings<'a>(
        &self,
        collected: &'a Collected,
        scores: &[f32],
        taken: &[usize],
        check: Option<Check>,
    ) -> Findings<'a> {
        let mut table = table::plain(["#", "score", "picture", ""]);
        for (number, &row) in (1..).zip(taken.iter().take(MAX_LINES)) {
            let number: usize = number;
            let (score, id) = (format!("{:.4}", scores[row]), collected.ids[row].to_string());
            table.add_row([number.to_string(), score, id, caption(collected, row)]);
        }
        table::align_right(&mut table, &[0, 1]);
        let lines = taken.iter().map(|&row| {
            json!({
                "id": collected.ids[row],
                "score": scores[row],
                "text": collected.payloads[row].text("text"),
            })
        });
        let of = human::count(collected.len() as u64);
        let mut facts =
            vec![("taken", format!("{} of {of} pictures", human::count(taken.len() as u64)))];
        facts.extend(check.map(|check| {
            let Judgement { precision, recall } = check.judgement;
            let Check { judged, relevant, threshold, .. } = check;
            let area = check.area_under_curve.unwrap_or_default();
            let text = format!(
                "precision {precision:.3}, recall {recall:.3} on {judged} pictures that chose nothing, \
                 {relevant} of them meant (score at least {threshold:.4}; area under curve {area:.3})"
            );
            ("check", text)
        }));
        if self.relevant.is_some() && check.is_none() {
            facts.push(("check", "none of the pictures that choose is meant".to_owned()));
        }
        let heading = self.text.clone().unwrap_or_else(|| "Pictures like this one".to_owned());
        Findings {
            title: "A subset of the pictures".to_owned(),
            collected,
            facts,
            summary: json!({ "pictures": collected.len(), "taken": taken.len(), "check": check }),
            table,
            lines: lines.collect(),
            rows: vec![PageRow {
                heading,
                pictures: taken
                    .iter()
                    .map(|&row| (row, format!("{:.4} {}", scores[row], collected.ids[row])))
                    .collect(),
            }],
        }
    }
}

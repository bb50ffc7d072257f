//! `bigrain pictures audit`: labels that a picture's neighbours do not have.

use std::collections::{BTreeMap, HashSet};

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::findings::{FindingFlags, Findings, MAX_LINES, PageRow, caption, percent};
use super::parse_share;
use crate::curation::labels::{Audit, audit, plant};
use crate::curation::{Collected, Neighbour};
use crate::session::{Session, open_collection};
use crate::{human, table};

/// Asks the neighbours of each picture for its label, and lists those that have another one
///
/// The check gives some pictures a wrong label and counts how many of these are listed, and where in the list.
#[derive(Args, Debug)]
pub(super) struct AuditArgs {
    /// The payload field with the label; of a list, its first
    #[arg(long, value_name = "FIELD", default_value = "folder")]
    label: String,
    /// How many neighbours are asked
    #[arg(long, value_name = "N", default_value_t = 10)]
    neighbours: usize,
    /// The share of labels that are made wrong for the check
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = parse_share)]
    plant: f64,
    #[command(flatten)]
    flags: FindingFlags,
}

/// What became of planted errors.
#[derive(Clone, Copy, Debug, Serialize)]
struct Check {
    /// Labels that were made wrong.
    planted: usize,
    /// Those that are listed.
    listed: usize,
    /// How many are listed in all.
    suspects: usize,
    /// Those among the first of the list, as many as were planted.
    first: usize,
}

pub(super) fn run(args: &AuditArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.flags.collection.as_deref())?;
    let collected = Collected::read(&collection, &session.cancel)?;
    let (names, labels) = labels(&collected, &args.label);
    if names.len() < 2 {
        bail!(
            "{} in field {:?} of {:?}: expected at least 2",
            human::counted(names.len() as u64, "label", "labels"),
            args.label,
            collection.name()
        );
    }
    let neighbours = collected.neighbours(&collection, (args.neighbours, None), &session.cancel)?;
    let found = audit(&neighbours, &labels);
    let check = check(&neighbours, &labels, args.plant);
    args.findings(&collected, (&names, &labels), &found, check).write(&args.flags, session)
}

/// The labels, and which of them each row has.
fn labels<'c>(collected: &'c Collected, field: &str) -> (Vec<&'c str>, Vec<Option<usize>>) {
    let texts: Vec<Option<&str>> =
        (0..collected.len()).map(|row| collected.label(row, field)).collect();
    let mut numbers: BTreeMap<&str, usize> =
        texts.iter().flatten().map(|text| (*text, 0)).collect();
    numbers.values_mut().enumerate().for_each(|(number, value)| *value = number);
    let labels = texts.iter().map(|text| text.and_then(|text| numbers.get(text).copied()));
    (numbers.keys().copied().collect(), labels.collect())
}

/// Plants errors and looks for them; `None` where none are planted.
fn check(neighbours: &[Vec<Neighbour>], labels: &[Option<usize>], share: f64) -> Option<Check> {
    let mut labels = labels.to_vec();
    let planted: HashSet<usize> = plant(&mut labels, share).into_iter().collect();
    if planted.is_empty() {
        return None;
    }
    let suspects = audit(neighbours, &labels).suspects;
    let is_planted = |at: &usize| planted.contains(&suspects[*at].row);
    Some(Check {
        planted: planted.len(),
        listed: (0..suspects.len()).filter(is_planted).count(),
        suspects: suspects.len(),
        first: (0..suspects.len().min(planted.len())).filter(is_planted).count(),
    })
}

impl AuditArgs {
    fn findings<'a>(
        &self,
        collected: &'a Collected,
        (names, labels): (&[&str], &[Option<usize>]),
        found: &Audit,
        check: Option<Check>,
    ) -> Findings<'a> {
        let own = |row: usize| labels[row].map_or("", |label| names[label]);
        let mut table = table::plain(["margin", "picture", "label", "neighbours say", ""]);
        for suspect in found.suspects.iter().take(MAX_LINES) {
            let row = suspect.row;
            table.add_row([
                format!("{:.2}", suspect.margin),
                collected.ids[row].to_string(),
                own(row).to_owned(),
                names[suspect.suggested].to_owned(),
                caption(collected, row),
            ]);
        }
        table::align_right(&mut table, &[0]);
        let lines = found.suspects.iter().map(|suspect| {
            json!({
                "id": collected.ids[suspect.row],
                "label": own(suspect.row),
                "suggested": names[suspect.suggested],
                "margin": suspect.margin,
            })
        });
        let pictures = found.suspects.iter().map(|suspect| {
            let note = format!("{} – {}?", own(suspect.row), names[suspect.suggested]);
            (suspect.row, note)
        });
        let labelled = labels.iter().flatten().count();
        let agreed = human::ratio(found.agreed as u64, found.asked as u64);
        let mut facts = vec![
            ("pictures", format!("{labelled} of {} have a label", collected.len())),
            ("labels", format!("{} in field {:?}", names.len(), self.label)),
            ("neighbours agree", format!("{} of {} asked", percent(agreed), found.asked)),
            ("listed", human::count(found.suspects.len() as u64)),
        ];
        facts.extend(check.map(|check| {
            let Check { planted, listed, suspects, first } = check;
            let text = format!(
                "of {planted} labels made wrong {listed} are among the {suspects} listed, {first} of \
                 them among the first {planted}"
            );
            ("check", text)
        }));
        Findings {
            title: format!("Labels of {:?} that neighbours do not have", self.label),
            collected,
            facts,
            summary: json!({
                "labelled": labelled,
                "labels": names.len(),
                "asked": found.asked,
                "agreed": found.agreed,
                "listed": found.suspects.len(),
                "check": check,
            }),
            table,
            lines: lines.collect(),
            rows: vec![PageRow {
                heading: "The label, and what neighbours say".to_owned(),
                pictures: pictures.collect(),
            }],
        }
    }
}

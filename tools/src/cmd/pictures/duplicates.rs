//! `bigrain pictures duplicates`: pictures that are nearly the same.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use bigrain_encoders::EncodeOptions;
use bigrain_engine::Collection;
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::findings::{FindingFlags, Findings, MAX_LINES, PageRow, caption};
use crate::curation::{Collected, Neighbour, duplicates};
use crate::pictures::{PictureModel, PictureSource};
use crate::session::{Session, open_collection};
use crate::shuffle::shuffled;
use crate::{human, table};

/// Neighbours that are looked at for each picture; groups may be larger, through chains.
const NEIGHBOURS: usize = 50;
/// Which pictures are altered for the check.
const SEED: u64 = 0x636f_7079;
/// The shortest side of an altered copy, in pixels.
const LEAST_SIDE: usize = 16;

/// Groups pictures that are nearly the same, the largest of each group first
///
/// Pictures are in a group if a chain of scores of at least --min-score joins them. The check takes some
/// pictures, makes copies of half their size in JPEG, and counts how many of these would join the group of
/// their original, and how many another picture that is not in it.
#[derive(Args, Debug)]
pub(super) struct DuplicatesArgs {
    /// How near two pictures are at least, as a cosine
    #[arg(long, value_name = "X", default_value_t = 0.98, allow_negative_numbers = true)]
    min_score: f32,
    /// How many altered copies to check with; 0 for none
    #[arg(long, value_name = "N", default_value_t = 50)]
    check: usize,
    /// The folder of the model that the copies are encoded with [default: the collection's]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    flags: FindingFlags,
}

/// What became of altered copies.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Check {
    /// Copies that were made.
    copies: usize,
    /// Those that are near enough to their original.
    found: usize,
    /// Those that are near enough to a picture outside the group of their original.
    astray: usize,
}

pub(super) fn run(args: &DuplicatesArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.flags.collection.as_deref())?;
    let collected = Collected::read(&collection, &session.cancel)?;
    let wanted = (NEIGHBOURS, Some(args.min_score));
    let neighbours = collected.neighbours(&collection, wanted, &session.cancel)?;
    let mut groups = duplicates::groups(&neighbours);
    // Whoever keeps one keeps the largest.
    for group in &mut groups {
        group.sort_by_key(|&row| (std::cmp::Reverse(pixels(&collected, row)), row));
    }
    let check = match args.check {
        0 => None,
        _ => Some(args.check(&collection, &collected, &groups, session)?),
    };
    findings(&collected, &groups, &neighbours, check).write(&args.flags, session)
}

fn pixels(collected: &Collected, row: usize) -> u64 {
    let side = |name| collected.payloads[row].get(name).and_then(Value::as_u64).unwrap_or_default();
    side("width").saturating_mul(side("height"))
}

fn findings<'a>(
    collected: &'a Collected,
    groups: &[Vec<usize>],
    neighbours: &[Vec<Neighbour>],
    check: Option<Check>,
) -> Findings<'a> {
    let nearest = |row: usize| neighbours[row].first().map_or(0.0, |nearest| nearest.score);
    let mut table = table::plain(["group", "nearest", "picture", ""]);
    for (number, group) in (1..).zip(groups) {
        for &row in group.iter().take(MAX_LINES.saturating_sub(table.row_count())) {
            let score = format!("{:.4}", nearest(row));
            let id = collected.ids[row].to_string();
            table.add_row([number.to_string(), score, id, caption(collected, row)]);
        }
    }
    table::align_right(&mut table, &[0, 1]);
    let lines = (1..).zip(groups).flat_map(|(number, group)| {
        group.iter().enumerate().map(move |(at, &row)| {
            json!({
                "group": number,
                "id": collected.ids[row],
                "keep": at == 0,
                "nearest": nearest(row),
            })
        })
    });
    let rows = (1..).zip(groups).map(|(number, group): (usize, _)| PageRow {
        heading: format!("Group {number}"),
        pictures: group
            .iter()
            .map(|&row| (row, format!("{:.4} {}", nearest(row), collected.ids[row])))
            .collect(),
    });
    let surplus: usize = groups.iter().map(|group| group.len() - 1).sum();
    let mut facts = vec![
        ("pictures", human::count(collected.len() as u64)),
        ("groups", human::count(groups.len() as u64)),
        ("more than one of each", human::counted(surplus as u64, "picture", "pictures")),
    ];
    facts.extend(check.map(|check| {
        let Check { copies, found, astray } = check;
        let text = format!("{found} of {copies} altered copies join theirs, {astray} another");
        ("check", text)
    }));
    Findings {
        title: "Pictures that are nearly the same".to_owned(),
        collected,
        facts,
        summary: json!({
            "pictures": collected.len(),
            "groups": groups.len(),
            "surplus": surplus,
            "check": check,
        }),
        table,
        lines: lines.collect(),
        rows: rows.collect(),
    }
}

impl DuplicatesArgs {
    /// Alters some pictures and looks for the originals.
    fn check(
        &self,
        collection: &Collection,
        collected: &Collected,
        groups: &[Vec<usize>],
        session: &Session<'_>,
    ) -> anyhow::Result<Check> {
        let model =
            PictureModel::open_for(collection, self.model.as_deref(), &session.encode_on())?;
        let folder = tempfile::tempdir().context("make a folder for altered copies")?;
        let (mut originals, mut pixels) = (Vec::new(), Vec::new());
        for row in shuffled(collected.len(), SEED) {
            session.cancel.check()?;
            if originals.len() == self.check {
                break;
            }
            let source = PictureSource::of(&collected.payloads[row]);
            // One that was moved since it was indexed is passed over.
            let Ok(image) = source.decode(model.model().decode()) else { continue };
            let half = image.width().max(image.height()) / 2;
            let Some(copy) = image.thumbnail(half.max(LEAST_SIDE)).to_jpeg() else { continue };
            let path = folder.path().join("copy.jpg");
            fs::write(&path, copy).with_context(|| format!("write {}", path.display()))?;
            pixels.push(model.model().read_file(&path)?.pixels);
            originals.push(row);
        }
        let options = EncodeOptions { cancel: session.cancel.clone(), ..EncodeOptions::default() };
        let vectors = model.model().encoder().encode_images(&pixels, &options)?;
        let wanted = (NEIGHBOURS, Some(self.min_score));
        let near = collected.nearest(collection, vectors.iter(), wanted, &session.cancel)?;
        let group_of: HashMap<usize, usize> = groups
            .iter()
            .enumerate()
            .flat_map(|(number, group)| group.iter().map(move |&row| (row, number)))
            .collect();
        let mut check = Check { copies: originals.len(), ..Check::default() };
        for (&row, near) in originals.iter().zip(&near) {
            let belongs = |other: usize| {
                other == row
                    || group_of.get(&row).is_some_and(|own| group_of.get(&other) == Some(own))
            };
            check.found += usize::from(near.iter().any(|neighbour| neighbour.row == row));
            check.astray += usize::from(near.iter().any(|neighbour| !belongs(neighbour.row)));
        }
        Ok(check)
    }
}

//! `bigrain pictures prune`: what can go, because much is like it.

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::findings::{FindingFlags, Findings, MAX_LINES, PageRow, caption};
use super::parse_share;
use crate::curation::Collected;
use crate::curation::pruning::{PruneEnd, Pruned, coverage, hold_out, kept_at_random, prune};
use crate::matrix::Matrix;
use crate::session::{Session, open_collection};
use crate::{human, table};

/// Pictures held out for the check.
const MAX_HELD_OUT: usize = 1_000;
/// Pictures of a row of the page.
const SHOWN: usize = 60;

/// Ranks pictures by how far they are from the prototypes of k-means, and drops one end
///
/// The check holds out a fifth of the pictures, prunes the others the same way, and says how near a picture
/// that was held out is to the nearest that is kept, beside what it would be with all of them and with as
/// many kept at random.
#[derive(Args, Debug)]
pub(super) struct PruneArgs {
    /// Keep this share of the pictures
    #[arg(long, value_name = "SHARE", default_value_t = 0.8, value_parser = parse_share)]
    keep: f64,
    /// Which end is dropped: near, what much is like, or far, what little is like
    #[arg(long, value_name = "END", default_value = "near")]
    drop: PruneEnd,
    /// How many prototypes [default: the root of the number of pictures]
    #[arg(long, value_name = "N")]
    prototypes: Option<usize>,
    #[command(flatten)]
    flags: FindingFlags,
}

/// How near held-out pictures are to what is left, as mean cosines.
#[derive(Clone, Copy, Debug, Serialize)]
struct Check {
    /// Pictures held out.
    held_out: usize,
    /// To the nearest of all the others.
    all: f64,
    /// To the nearest that is kept.
    kept: f64,
    /// To the nearest of as many at random.
    random: f64,
}

pub(super) fn run(args: &PruneArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.flags.collection.as_deref())?;
    let collected = Collected::read(&collection, &session.cancel)?;
    let pruned = args.prune(&collected.vectors)?;
    session.cancel.check()?;
    let check = args.check(&collected.vectors)?;
    findings(&collected, &pruned, check).write(&args.flags, session)
}

impl PruneArgs {
    fn prune(&self, rows: &Matrix) -> anyhow::Result<Pruned> {
        let root = (rows.len() as f64).sqrt().round() as usize;
        prune(rows, self.prototypes.unwrap_or(root), self.keep, self.drop)
    }

    /// `None` where there are too few pictures to hold some out.
    fn check(&self, vectors: &Matrix) -> anyhow::Result<Option<Check>> {
        let (rest, held_out) = hold_out(vectors.len(), MAX_HELD_OUT);
        if held_out.is_empty() {
            return Ok(None);
        }
        let of = |rows: &[usize]| {
            let mut matrix = Matrix::empty(vectors.dims());
            rows.iter().for_each(|&row| matrix.push(vectors.row(row)));
            matrix
        };
        let (rest, queries) = (of(&rest), of(&held_out));
        let pruned = self.prune(&rest)?;
        let near = |kept: &[bool]| coverage(&queries, &rest, kept);
        Ok(Some(Check {
            held_out: queries.len(),
            all: near(&vec![true; rest.len()]),
            kept: near(&pruned.kept),
            random: near(&kept_at_random(rest.len(), self.keep)),
        }))
    }
}

fn findings<'a>(collected: &'a Collected, pruned: &Pruned, check: Option<Check>) -> Findings<'a> {
    let distance = |row: usize| pruned.nearest[row].distance;
    let mut order: Vec<usize> = (0..collected.len()).collect();
    order.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)));
    let dropped: Vec<usize> = order.iter().copied().filter(|&row| !pruned.kept[row]).collect();
    let mut table = table::plain(["distance", "prototype", "dropped", ""]);
    for &row in dropped.iter().take(MAX_LINES) {
        let prototype = pruned.nearest[row].prototype.to_string();
        let id = collected.ids[row].to_string();
        table.add_row([format!("{:.4}", distance(row)), prototype, id, caption(collected, row)]);
    }
    table::align_right(&mut table, &[0, 1]);
    let lines = order.iter().map(|&row| {
        json!({
            "id": collected.ids[row],
            "prototype": pruned.nearest[row].prototype,
            "distance": distance(row),
            "keep": pruned.kept[row],
        })
    });
    let page_row = |heading: &str, rows: &mut dyn Iterator<Item = usize>| PageRow {
        heading: heading.to_owned(),
        pictures: rows
            .take(SHOWN)
            .map(|row| (row, format!("{:.4} {}", distance(row), collected.ids[row])))
            .collect(),
    };
    let mut kept = order.iter().rev().copied().filter(|&row| pruned.kept[row]);
    let (all, gone) = (collected.len(), dropped.len());
    let mut facts = vec![
        ("pictures", human::count(all as u64)),
        ("kept", human::count((all - gone) as u64)),
        ("dropped", human::count(gone as u64)),
    ];
    facts.extend(check.map(|check| {
        let Check { held_out, all, kept, random } = check;
        let text = format!(
            "{held_out} pictures held out: cosine to the nearest kept {kept:.4}, of as many at random \
             {random:.4}, of all {all:.4}"
        );
        ("check", text)
    }));
    Findings {
        title: "What can go, and what stays".to_owned(),
        collected,
        facts,
        summary: json!({ "pictures": all, "kept": all - gone, "dropped": gone, "check": check }),
        table,
        lines: lines.collect(),
        rows: vec![
            page_row(
                "Dropped, the nearest to their prototypes first",
                &mut dropped.iter().copied(),
            ),
            page_row("Kept, the farthest first", &mut kept),
        ],
    }
}

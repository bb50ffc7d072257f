//! `bigrain check`: is everything in a data folder what was written, and does it agree?

use std::path::PathBuf;

use anyhow::{Context, bail};
use bigrain_engine::{CheckReport, FindingKind};
use clap::Args;

use crate::progress::Progress;
use crate::session::Session;
use crate::watching::watching;
use crate::{human, table};

/// Reads all of a data folder, and says what is damaged in it and what is left over.
///
/// Compares every block of every file with its checksum, reads every row of the store, and checks
/// that all of it agrees: ids, locations, payloads, counts. Changes nothing. Nobody may have the
/// folder open. Exits with 1 when anything is damaged, or cannot be checked because a newer program wrote
/// it; what is left over does no harm.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The data folder [default: the one of --data]
    folder: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When something is damaged, the folder cannot be read, or the caller stops it.
pub fn run(args: &CheckArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let folder = args.folder.clone().unwrap_or_else(|| session.data_dir());
    // The lock file is there from the first opening on.
    let exists = folder.join("LOCK").try_exists();
    if !exists.with_context(|| format!("look for data folder {}", folder.display()))? {
        bail!("no data folder {}", folder.display());
    }
    let progress = Progress::counting("check", "MiB", 0);
    let report =
        watching(progress, &session.cancel, |watch| bigrain_engine::check_folder(&folder, watch))?;
    if args.json {
        session.write_json(&report)?;
    } else {
        write_report(session, &report)?;
    }
    let (damage, unchecked) = (report.damage, report.unchecked);
    if damage > 0 {
        bail!("{} in {}", human::counted(damage, "problem", "problems"), folder.display());
    }
    if unchecked > 0 {
        let parts = human::counted(unchecked, "part", "parts");
        bail!("{parts} of a newer version in {}: not checked", folder.display());
    }
    Ok(())
}

fn write_report(session: &mut Session<'_>, report: &CheckReport) -> anyhow::Result<()> {
    let mut shown = table::plain(["collection", "points", "segments", "files", "read", "problems"]);
    for collection in &report.collections {
        shown.add_row([
            collection.name.clone(),
            human::count(collection.points),
            human::count(collection.segments),
            human::count(collection.files),
            human::bytes(collection.bytes),
            human::count(collection.damage),
        ]);
    }
    table::align_right(&mut shown, &[1, 2, 3, 4, 5]);
    writeln!(session.out, "{}", shown.trim_fmt())?;
    for finding in &report.findings {
        let kind = match finding.kind {
            FindingKind::Damage => "damaged",
            FindingKind::Unchecked => "not checked",
            FindingKind::Orphan | _ => "left over",
        };
        let collection = finding.collection.as_deref().unwrap_or("folder");
        writeln!(session.out, "{kind}: {collection}: {}", finding.problem)?;
    }
    let unlisted = report.damage + report.orphans + report.unchecked - report.findings.len() as u64;
    if unlisted > 0 {
        writeln!(session.out, "and {} more", human::count(unlisted))?;
    }
    Ok(())
}

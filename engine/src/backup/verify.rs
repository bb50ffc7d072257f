//! Verifies a backup where it lies.

use std::path::Path;
use std::sync::Arc;

use super::BackupContents;
use super::plan::{Plan, PlannedCollection};
use crate::check::{FindingKind, Findings, Subject, check_collection, open_segment};
use crate::error::Doing;
use crate::segment::Segment;
use crate::watch::Watch;
use crate::{Error, ErrorKind, Result};

/// Reads all of a backup: compares every byte with its checksum, and checks that what it holds
/// agrees with itself, as an open data folder would. Writes nothing.
///
/// # Errors
///
/// `Corruption` naming what is damaged, missing or refused; `FailedPrecondition` for a backup of
/// another format version; `NotFound`; `Cancelled`; `Io`.
pub fn verify(archive: impl AsRef<Path>, watch: &mut Watch<'_>) -> Result<BackupContents> {
    let path = archive.as_ref();
    verify_plan(path, watch).doing(|| format!("verify {}", path.display()))
}

fn verify_plan(path: &Path, watch: &mut Watch<'_>) -> Result<BackupContents> {
    let plan = Plan::open(path, watch)?;
    watch.expect(plan.archive.len_bytes() * 2);
    let cancel = watch.cancel();
    for entry in plan.archive.entries() {
        plan.archive
            .copy(entry, &cancel, |bytes| Ok::<(), Error>(watch.advance(bytes.len() as u64)?))?;
    }
    let mut findings = Findings::default();
    for collection in &plan.collections {
        check_planned(&plan, collection, &mut findings, watch)?;
    }
    refuse_damage(&findings)?;
    Ok(plan.contents)
}

fn check_planned(
    plan: &Plan,
    planned: &PlannedCollection,
    findings: &mut Findings,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let folder = plan.archive.folder(&super::contents::segments_folder(planned.at));
    let open = |row| open_segment(&folder, Path::new(""), row, &planned.fields);
    let mut segments: Vec<(_, Option<Arc<Segment>>)> = Vec::new();
    for row in &planned.manifest.segments {
        segments.push((row.clone(), Some(open(row)?)));
    }
    let rows = &planned.rows(&plan.archive, watch);
    let subject = Subject {
        name: &planned.manifest.row.name,
        schema: &planned.schema,
        fields: &planned.fields,
        counts: planned.manifest.counts,
        segments,
        rows,
    };
    check_collection(&subject, findings, watch)?;
    Ok(())
}

/// Makes the first finding an error: damage, or else what a newer program wrote.
pub(super) fn refuse_damage(findings: &Findings) -> Result<()> {
    let first_of = |kind: FindingKind| findings.list.iter().find(|finding| finding.kind == kind);
    let damage = first_of(FindingKind::Damage).map(|found| (ErrorKind::Corruption, found));
    let newer = || Some((ErrorKind::FailedPrecondition, first_of(FindingKind::Unchecked)?));
    let Some((kind, first)) = damage.or_else(newer) else { return Ok(()) };
    let mut reason = match &first.collection {
        Some(name) => format!("collection {name:?}: {}", first.problem),
        None => first.problem.clone(),
    };
    let problems = findings.damage + findings.unchecked;
    if problems > 1 {
        reason.push_str(&format!(" (and {} more problems)", problems - 1));
    }
    Err(Error::new(kind, reason))
}

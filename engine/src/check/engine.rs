//! Checks an open data folder.

use super::{CheckReport, CollectionCheck, Findings, StoreRows, Subject, check_collection};
use crate::collection::{Collection, CollectionState};
use crate::field::{Fields, Schema};
use crate::moment::{Held, Moment};
use crate::watch::Watch;
use crate::{Engine, Error, ErrorKind, Result};

/// Checks the collections of an engine, each at one moment.
pub(crate) fn check_engine(engine: &Engine, watch: &mut Watch<'_>) -> Result<CheckReport> {
    let mut findings = Findings::default();
    let mut reports = Vec::new();
    for status in engine.collections() {
        findings.of(Some(&status.name));
        if let CollectionState::Quarantined(reason) = &status.state {
            let reason = format!("quarantined: {reason}");
            let kind = engine.collection(&status.name).err().map(|error| error.kind());
            let kind = kind.filter(|kind| *kind == ErrorKind::FailedPrecondition);
            let error = Error::new(kind.unwrap_or(ErrorKind::Corruption), reason);
            reports.push(findings.broken(status.name, error)?);
            continue;
        }
        // One that was dropped meanwhile is none of ours any more.
        let Ok(collection) = engine.collection(&status.name) else { continue };
        match check_open(engine, &collection, &mut findings, watch) {
            Err(error) => reports.push(findings.broken(status.name, error)?),
            Ok(report) => reports.extend(report),
        }
    }
    Ok(CheckReport::new(reports, findings))
}

fn check_open(
    engine: &Engine,
    collection: &Collection,
    findings: &mut Findings,
    watch: &mut Watch<'_>,
) -> Result<Option<CollectionCheck>> {
    let moment = Moment::take(engine.store(), std::slice::from_ref(collection))?;
    let Some(Held { key, row, counts, segments }) = moment.collections.into_iter().next() else {
        return Ok(None);
    };
    watch.expect(segments.iter().map(|held| held.segment.disk_bytes()).sum());
    let schema = &Schema::from_json(&row.config)?;
    let fields = &Fields::new(schema)?;
    let segments = segments.into_iter().map(|held| (held.row, Some(held.segment))).collect();
    let rows = &StoreRows { view: &moment.view, key };
    let subject = Subject { name: &row.name, schema, fields, counts, segments, rows };
    check_collection(&subject, findings, watch).map(Some)
}

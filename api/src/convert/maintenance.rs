//! Backups and checks: from the engine's words into messages.

use bigrain_engine::{CheckReport, CollectionCheck, Finding, FindingKind, SavedCollection};

use crate::backups::BackupFile;
use crate::proto;

/// Describes an archive in the folder of backups.
pub(crate) fn backup(file: BackupFile) -> proto::Backup {
    let BackupFile { name, bytes, modified_unix_ms } = file;
    proto::Backup { name, bytes, modified_unix_ms }
}

/// Describes what an archive holds.
pub(crate) fn backed_up(saved: Vec<SavedCollection>) -> Vec<proto::BackedUpCollection> {
    let described = saved.into_iter().map(|saved| proto::BackedUpCollection {
        name: saved.name,
        points: saved.points,
        segments: saved.segments,
        segment_bytes: saved.segment_bytes,
    });
    described.collect()
}

/// Describes what a check found.
pub(crate) fn check_report(report: CheckReport) -> proto::CheckReply {
    proto::CheckReply {
        collections: report.collections.into_iter().map(checked).collect(),
        findings: report.findings.into_iter().map(finding).collect(),
        damage: report.damage,
        orphans: report.orphans,
        unchecked: report.unchecked,
        server_time_us: 0,
    }
}

fn checked(collection: CollectionCheck) -> proto::CheckedCollection {
    proto::CheckedCollection {
        name: collection.name,
        points: collection.points,
        segments: collection.segments,
        files: collection.files,
        bytes: collection.bytes,
    }
}

fn finding(finding: Finding) -> proto::Finding {
    let kind = match finding.kind {
        FindingKind::Damage => proto::FindingKind::Damage,
        FindingKind::Orphan => proto::FindingKind::Orphan,
        FindingKind::Unchecked => proto::FindingKind::Unchecked,
        // A kind this protocol has no word for yet.
        _ => proto::FindingKind::Unspecified,
    };
    proto::Finding {
        kind: kind.into(),
        collection: finding.collection.unwrap_or_default(),
        problem: finding.problem,
    }
}

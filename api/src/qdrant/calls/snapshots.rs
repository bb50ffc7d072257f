//! Snapshots: archives in the folder of backups.
//!
//! One of a collection is called by its name and the time in milliseconds, `docs-1700000000000`, and a collection
//! has those alone. Without a collection, all archives in the folder are meant, whoever made them.
#![expect(
    clippy::needless_pass_by_value,
    reason = "a call takes its message, whether or not anything of it is kept"
)]

use bigrain_engine::Cancel;
use qdrant_client::qdrant as q;
use tonic::Status;

use crate::backups::{BackupFile, name_by_time};
use crate::grpc::Context;

/// What snapshots of everything are called by; no collection's are.
const FULL: &str = "full.";

/// Writes what a collection holds.
pub(in crate::qdrant) fn create(
    context: &Context,
    request: q::CreateSnapshotRequest,
    cancel: &Cancel,
) -> Result<q::CreateSnapshotResponse, Status> {
    let collection = context.collection(&request.collection_name)?;
    let name = name_by_time(&beginning(collection.name()));
    write(context, &name, Some(&[collection.name()]), cancel)
}

/// Writes what all collections hold.
pub(in crate::qdrant) fn create_full(
    context: &Context,
    _: q::CreateFullSnapshotRequest,
    cancel: &Cancel,
) -> Result<q::CreateSnapshotResponse, Status> {
    write(context, &name_by_time(FULL), None, cancel)
}

fn write(
    context: &Context,
    name: &str,
    collections: Option<&[&str]>,
    cancel: &Cancel,
) -> Result<q::CreateSnapshotResponse, Status> {
    let (file, _) = context.back_up(name, collections, cancel)?;
    let snapshot_description = Some(description(file));
    Ok(q::CreateSnapshotResponse { snapshot_description, ..Default::default() })
}

/// Lists the snapshots of a collection.
pub(in crate::qdrant) fn list(
    context: &Context,
    request: q::ListSnapshotsRequest,
    _: &Cancel,
) -> Result<q::ListSnapshotsResponse, Status> {
    let collection = context.collection(&request.collection_name)?;
    listed(context, |name| is_of(name, collection.name()))
}

/// Lists all archives there are.
pub(in crate::qdrant) fn list_full(
    context: &Context,
    _: q::ListFullSnapshotsRequest,
    _: &Cancel,
) -> Result<q::ListSnapshotsResponse, Status> {
    context.whole_engine()?;
    listed(context, |_| true)
}

fn listed(
    context: &Context,
    wanted: impl Fn(&str) -> bool,
) -> Result<q::ListSnapshotsResponse, Status> {
    let all = context.backups.list()?.into_iter().filter(|file| wanted(&file.name));
    let snapshot_descriptions = all.map(description).collect();
    Ok(q::ListSnapshotsResponse { snapshot_descriptions, ..Default::default() })
}

/// Removes a snapshot of a collection.
pub(in crate::qdrant) fn delete(
    context: &Context,
    request: q::DeleteSnapshotRequest,
    _: &Cancel,
) -> Result<q::DeleteSnapshotResponse, Status> {
    let collection = context.collection(&request.collection_name)?;
    let name = &request.snapshot_name;
    if !is_of(name, collection.name()) {
        let of = collection.name();
        return Err(Status::not_found(format!("collection {of:?} has no snapshot {name:?}")));
    }
    context.backups.remove(name)?;
    Ok(q::DeleteSnapshotResponse::default())
}

/// Removes any archive.
pub(in crate::qdrant) fn delete_full(
    context: &Context,
    request: q::DeleteFullSnapshotRequest,
    _: &Cancel,
) -> Result<q::DeleteSnapshotResponse, Status> {
    context.whole_engine()?;
    context.backups.remove(&request.snapshot_name)?;
    Ok(q::DeleteSnapshotResponse::default())
}

fn beginning(collection: &str) -> String {
    format!("{collection}-")
}

/// Whether a name is that of a collection's snapshots. None of `a` is one of `a-1`, whose names go on with a time
/// behind another hyphen.
fn is_of(name: &str, collection: &str) -> bool {
    let time = name.strip_prefix(&beginning(collection));
    time.is_some_and(|time| !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit()))
}

fn description(file: BackupFile) -> q::SnapshotDescription {
    let (seconds, rest) = (file.modified_unix_ms / 1_000, file.modified_unix_ms % 1_000);
    let creation_time = prost_types::Timestamp {
        seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        nanos: rest as i32 * 1_000_000,
    };
    q::SnapshotDescription {
        name: file.name,
        creation_time: Some(creation_time),
        size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
        checksum: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_has_the_snapshots_that_are_called_by_its_name_alone() {
        assert!(is_of(&name_by_time(&beginning("docs")), "docs"));
        assert!(is_of("a-1-2", "a-1"));
        for other in ["docs", "docs-", "docs-x", "docs-1-2", "doc-12", "backup-12"] {
            assert!(!is_of(other, "docs"), "{other}");
        }
        assert!(!is_of(&name_by_time(FULL), "full"));
    }

    #[test]
    fn a_description_says_when() {
        let file = BackupFile { name: "a-1".to_owned(), bytes: 5, modified_unix_ms: 1_500 };
        let time = description(file).creation_time.unwrap();
        assert_eq!((time.seconds, time.nanos), (1, 500_000_000));
    }
}

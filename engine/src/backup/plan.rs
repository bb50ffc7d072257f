//! What is in an archive, believed: the second door.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use bigrain_storage::{Archive, ArchiveEntry, MmapDirectory, RowKind, SegmentRow};
use serde::de::DeserializeOwned;

use super::contents::{
    BackupContents, BackupFormat, CONTENTS, CollectionManifest, manifest_name, part_name,
    segments_folder,
};
use super::parts::ArchivedRows;
use super::write::split;
use crate::config::check_collection_name;
use crate::field::{Fields, Schema};
use crate::watch::Watch;
use crate::{Error, ErrorKind, Result};

/// The longest description of a collection, in bytes: some hundred thousand files.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// An archive of which every entry is one that a collection names, and the other way round.
pub(super) struct Plan {
    pub archive: Arc<Archive>,
    pub contents: BackupContents,
    pub collections: Vec<PlannedCollection>,
}

/// One collection of an archive.
pub(super) struct PlannedCollection {
    pub at: usize,
    pub manifest: CollectionManifest,
    pub schema: Schema,
    pub fields: Fields,
    parts: [usize; RowKind::ALL.len()],
}

impl Plan {
    /// Opens an archive and reads what it holds.
    pub fn open(path: &Path, watch: &mut Watch<'_>) -> Result<Self> {
        let (folder, name) = split(path)?;
        if !path.try_exists()? {
            return Err(Error::new(ErrorKind::NotFound, "no such file"));
        }
        let archive = Arc::new(Archive::open(&MmapDirectory::open(folder)?, name)?);
        let contents: BackupContents = read_json(&archive, CONTENTS, watch)?;
        let mut claimed = HashSet::from([CONTENTS.to_owned()]);
        let mut collections = Vec::new();
        for (at, saved) in contents.collections.iter().enumerate() {
            let collection = PlannedCollection::read(&archive, at, &mut claimed, watch)?;
            if collection.manifest.saved() != *saved {
                return Err(refused(&archive, &manifest_name(at), "not what bigrain.json says"));
            }
            let name = &saved.name;
            if contents.collections[..at].iter().any(|other| other.name == *name) {
                return Err(refused(&archive, CONTENTS, &format!("collection {name:?} twice")));
            }
            collections.push(collection);
        }
        check_aliases(&archive, &collections)?;
        let unclaimed = |entry: &&ArchiveEntry| !claimed.contains(&entry.name);
        if let Some(entry) = archive.entries().iter().find(unclaimed) {
            return Err(refused(&archive, &entry.name, "no collection names it"));
        }
        Ok(Self { archive, contents, collections })
    }
}

impl PlannedCollection {
    fn read(
        archive: &Archive,
        at: usize,
        claimed: &mut HashSet<String>,
        watch: &Watch<'_>,
    ) -> Result<Self> {
        let own = manifest_name(at);
        let manifest: CollectionManifest = read_json(archive, &own, watch)?;
        check_collection_name(&manifest.row.name)
            .map_err(|error| refused(archive, &own, &error.to_string()))?;
        let schema = Schema::from_json(&manifest.row.config)?;
        let fields = Fields::new(&schema)?;
        for segment in &manifest.segments {
            claim_files(archive, at, segment, claimed)?;
        }
        claimed.insert(own);
        let mut parts = [0; RowKind::ALL.len()];
        for (kind, count) in RowKind::ALL.into_iter().zip(&mut parts) {
            while archive.entry(&part_name(at, kind, *count)).is_ok() {
                claimed.insert(part_name(at, kind, *count));
                *count += 1;
            }
        }
        Ok(Self { at, manifest, schema, fields, parts })
    }

    /// Returns the rows in the archive.
    pub fn rows<'a>(&self, archive: &'a Archive, watch: &Watch<'_>) -> ArchivedRows<'a> {
        let (collection, parts, cancel) = (self.at, self.parts, watch.cancel());
        ArchivedRows { archive, collection, parts, cancel }
    }

    /// Returns the name of the entry of a segment's file.
    pub fn file_entry(&self, segment: &SegmentRow, file: &str) -> String {
        file_entry(self.at, segment, file)
    }
}

/// Refuses other names that are none, and those that something else in the archive has.
fn check_aliases(archive: &Archive, collections: &[PlannedCollection]) -> Result<()> {
    let names = collections.iter().map(|collection| &*collection.manifest.row.name);
    let mut taken: HashSet<&str> = names.collect();
    for PlannedCollection { at, manifest, .. } in collections {
        let own = manifest_name(*at);
        for alias in &manifest.aliases {
            check_collection_name(alias)
                .map_err(|error| refused(archive, &own, &error.to_string()))?;
            if !taken.insert(alias) {
                return Err(refused(archive, &own, &format!("alias {alias:?} is taken")));
            }
        }
    }
    Ok(())
}

fn claim_files(
    archive: &Archive,
    at: usize,
    segment: &SegmentRow,
    claimed: &mut HashSet<String>,
) -> Result<()> {
    for file in &segment.files {
        let name = file_entry(at, segment, &file.name);
        let entry = archive.entry(&name)?;
        if entry.length != file.length {
            let reason = format!("it has {} bytes, expected {}", entry.length, file.length);
            return Err(refused(archive, &name, &reason));
        }
        if !claimed.insert(name.clone()) {
            return Err(refused(archive, &name, "it is named twice"));
        }
    }
    Ok(())
}

fn file_entry(at: usize, segment: &SegmentRow, file: &str) -> String {
    format!("{}/{}/{file}", segments_folder(at), segment.id)
}

/// Reads a description, and says it by version when it is one of the future.
fn read_json<T: DeserializeOwned>(archive: &Archive, name: &str, watch: &Watch<'_>) -> Result<T> {
    let bytes = archive.read(archive.entry(name)?, MAX_JSON_BYTES, &watch.cancel())?;
    if name == CONTENTS {
        check_version(archive, &bytes)?;
    }
    serde_json::from_slice(&bytes).map_err(|error| refused(archive, name, &error.to_string()))
}

fn check_version(archive: &Archive, bytes: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        format: BackupFormat,
    }
    let found: Versioned = serde_json::from_slice(bytes)
        .map_err(|error| refused(archive, CONTENTS, &error.to_string()))?;
    let (found, own) = (found.format, BackupFormat::CURRENT);
    if found.is_read() {
        return Ok(());
    }
    let newer = found.backup > own.backup || found.store > own.store;
    let reason = format!(
        "{}: backup has format version {}, rows {}; this program reads version {}, rows {}: it was \
         written by {} version",
        archive.path().display(),
        found.backup,
        found.store,
        own.backup,
        own.store,
        if newer { "a newer" } else { "an older" }
    );
    Err(Error::new(ErrorKind::FailedPrecondition, reason))
}

fn refused(archive: &Archive, name: &str, reason: &str) -> Error {
    archive.refused(name, reason).into()
}

//! Checks a data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bigrain_storage::{
    CollectionKey, CollectionRow, Directory, EntryKind, MmapDirectory, ReadView, SegmentRow, Store,
    StoreConfig,
};

use super::{CheckReport, CollectionCheck, Findings, StoreRows, Subject, check_collection};
use crate::collection::{check_against_manifest, collection_folder, collections_folder};
use crate::error::Doing;
use crate::field::{Fields, Schema};
use crate::segment::Segment;
use crate::watch::Watch;
use crate::{Error, ErrorKind, Result};

/// What a data folder holds besides its collections.
pub(crate) const OWN_NAMES: [&str; 4] = ["LOCK", "RESERVE", "collections", "store"];

/// Checks a data folder that nobody has open: every byte of every file, every row of the store, and
/// that all of it agrees. Changes nothing.
///
/// For a folder that is open there is [`Engine::check`](crate::Engine::check).
///
/// # Errors
///
/// `FailedPrecondition` when another process has the folder open; `Corruption` when the store is
/// damaged so badly that it cannot be opened; `Cancelled`; `Io`. Anything else that is wrong is in
/// the report.
pub fn check_folder(folder: impl AsRef<Path>, watch: &mut Watch<'_>) -> Result<CheckReport> {
    let folder = folder.as_ref();
    check_closed(folder, watch).doing(|| format!("check {}", folder.display()))
}

fn check_closed(folder: &Path, watch: &mut Watch<'_>) -> Result<CheckReport> {
    let store = Store::open_read_only(folder, &StoreConfig::default())?;
    let directory = MmapDirectory::open(folder)?;
    let mut findings = Findings::default();
    let collections = check_store(&store, &directory, &mut findings, watch)?;
    Ok(CheckReport::new(collections, findings))
}

/// Checks the collections of a store that nobody writes to, and what lies about unneeded.
pub(crate) fn check_store(
    store: &Store,
    directory: &dyn Directory,
    findings: &mut Findings,
    watch: &mut Watch<'_>,
) -> Result<Vec<CollectionCheck>> {
    let view = store.view();
    let rows = view.collections()?;
    let mut stored = Vec::with_capacity(rows.len());
    for (key, row) in rows {
        let manifest = Manifest::read(&view, key, &row);
        if let Ok(manifest) = &manifest {
            let files = manifest.segments.iter().flat_map(|row| &row.files);
            watch.expect(files.map(|file| file.length).sum());
        }
        stored.push(Stored { key, name: row.name, manifest });
    }
    orphans(&view, directory, &stored, findings)?;
    let mut reports = Vec::with_capacity(stored.len());
    for Stored { key, name, manifest } in stored {
        findings.of(Some(&name));
        let rows = &StoreRows { view: &view, key };
        let checked = manifest.and_then(|manifest| {
            let closed = Closed { directory, rows, name: &name, manifest };
            closed.check(findings, watch)
        });
        reports.push(checked.or_else(|error| findings.broken(name, error))?);
    }
    findings.of(None);
    Ok(reports)
}

/// A collection of a closed folder.
struct Stored {
    key: CollectionKey,
    name: String,
    /// What the manifest has of it, or why that cannot be read.
    manifest: Result<Manifest>,
}

/// What the manifest has of a collection.
struct Manifest {
    schema: Schema,
    fields: Fields,
    segments: Vec<SegmentRow>,
}

impl Manifest {
    /// What a newer program wrote is refused before anything else of it is read.
    fn read(view: &ReadView<'_>, key: CollectionKey, row: &CollectionRow) -> Result<Self> {
        let schema = Schema::from_json(&row.config)?;
        let fields = Fields::new(&schema)?;
        Ok(Self { schema, fields, segments: view.segments(key)? })
    }
}

/// A collection that nobody has open.
struct Closed<'a> {
    directory: &'a dyn Directory,
    rows: &'a StoreRows<'a, 'a>,
    name: &'a str,
    manifest: Manifest,
}

impl Closed<'_> {
    fn check(self, findings: &mut Findings, watch: &mut Watch<'_>) -> Result<CollectionCheck> {
        let missing = || Error::new(ErrorKind::Corruption, "store has no counts");
        let StoreRows { view, key } = *self.rows;
        let counts = view.counts(key)?.ok_or_else(missing)?;
        let Manifest { schema, fields, segments: rows } = self.manifest;
        let folder = collection_folder(key);
        let mut segments = Vec::with_capacity(rows.len());
        let before = findings.damage;
        for row in rows {
            let segment = open_segment(self.directory, &folder, &row, &fields);
            let segment = segment.map_err(|error| findings.unopened(error)).ok();
            segments.push((row, segment));
        }
        let unopened = findings.damage - before;
        let (name, schema, fields) = (self.name, &schema, &fields);
        let subject = Subject { name, schema, fields, counts, segments, rows: self.rows };
        let mut report = check_collection(&subject, findings, watch)?;
        report.damage += unopened;
        Ok(report)
    }
}

/// Opens a segment and checks that its files are those of the manifest.
pub(crate) fn open_segment(
    directory: &dyn Directory,
    folder: &Path,
    row: &SegmentRow,
    fields: &Fields,
) -> Result<Arc<Segment>> {
    let present = Segment::fields_in(row, fields);
    let path = folder.join(row.id.to_string());
    let segment = Segment::open(directory, &path, row.id, &present)?;
    check_against_manifest(&segment, row)?;
    Ok(Arc::new(segment))
}

/// Notes everything in the folder and in the store that no manifest names.
fn orphans(
    view: &ReadView<'_>,
    directory: &dyn Directory,
    known: &[Stored],
    findings: &mut Findings,
) -> Result<()> {
    for key in view.keys_with_rows()? {
        if !known.iter().any(|known| known.key == key) {
            findings.orphan(format!("store: rows of collection {:08x}, which is gone", key.0));
        }
    }
    for entry in directory.list(Path::new(""))? {
        if !OWN_NAMES.contains(&entry.name.as_str()) {
            findings.orphan(format!("{}: not part of a data folder", entry.name));
        }
    }
    let root = collections_folder();
    for entry in directory.list(root)? {
        let path = root.join(&entry.name);
        let known = known.iter().find(|known| collection_folder(known.key) == path);
        match known.map(|known| &known.manifest) {
            Some(Ok(manifest)) => segment_orphans(directory, &path, &manifest.segments, findings)?,
            // Nobody knows what it needs.
            Some(Err(_)) => {}
            None => findings.orphan(format!("{}: no collection has this folder", path.display())),
        }
    }
    Ok(())
}

fn segment_orphans(
    directory: &dyn Directory,
    folder: &Path,
    segments: &[SegmentRow],
    findings: &mut Findings,
) -> Result<()> {
    for entry in directory.list(folder)? {
        let path = folder.join(&entry.name);
        let Some(row) = segments.iter().find(|row| row.id.to_string() == entry.name) else {
            findings.orphan(format!("{}: the manifest names no such segment", path.display()));
            continue;
        };
        for file in files_below(directory, &path)? {
            let name = file.strip_prefix(&path).unwrap_or(&file);
            if !row.files.iter().any(|row| Path::new(&row.name) == name) {
                findings.orphan(format!("{}: the manifest names no such file", file.display()));
            }
        }
    }
    Ok(())
}

fn files_below(directory: &dyn Directory, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in directory.list(folder)? {
        let path = folder.join(&entry.name);
        match entry.kind {
            EntryKind::File => files.push(path),
            EntryKind::Folder => files.extend(files_below(directory, &path)?),
        }
    }
    Ok(files)
}

//! Restores a backup.

use std::path::Path;

use bigrain_storage::{Batch, CollectionKey, MmapDirectory, RowKind, Store, fs};

use super::BackupContents;
use super::plan::{Plan, PlannedCollection};
use super::unfinished::Unfinished;
use super::verify::refuse_damage;
use super::write::split;
use crate::check::{Findings, check_store};
use crate::collection::{collection_folder, collections_folder};
use crate::error::Doing;
use crate::watch::Watch;
use crate::{Error, ErrorKind, Result};

/// Makes a data folder from a backup. The folder must not exist yet, or be empty.
///
/// The folder gets its name when every byte was compared with its checksum and everything in it
/// agrees. Before, it is called by the same name with `.restoring` at the end, and is removed when
/// anything fails; what a restore that was killed left under that name, the next one removes.
///
/// # Errors
///
/// `AlreadyExists` when the folder holds anything; `FailedPrecondition` while another restore makes
/// it; `Corruption` naming what of the archive is
/// damaged, missing or refused; `FailedPrecondition` for a backup of another format version;
/// `NotFound`; `Cancelled`; `ResourceExhausted` when the disk is full; `Io`.
pub fn restore(
    archive: impl AsRef<Path>,
    folder: impl AsRef<Path>,
    watch: &mut Watch<'_>,
) -> Result<BackupContents> {
    let (archive, folder) = (archive.as_ref(), folder.as_ref());
    restore_checked(archive, folder, watch)
        .doing(|| format!("restore {} to {}", archive.display(), folder.display()))
}

fn restore_checked(archive: &Path, folder: &Path, watch: &mut Watch<'_>) -> Result<BackupContents> {
    refuse_contents(folder)?;
    let plan = Plan::open(archive, watch)?;
    watch.expect(plan.archive.len_bytes() * 2);
    let (parent, name) = split(folder)?;
    let parent = MmapDirectory::open(parent)?;
    let unfinished = Unfinished::create(&parent, name)?;
    fill(&unfinished, &plan, watch)?;
    unfinished.publish(name)?;
    Ok(plan.contents)
}

/// Refuses a folder that holds anything.
fn refuse_contents(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    match { entries }.next() {
        None => Ok(()),
        Some(entry) => {
            let name = entry?.file_name();
            let reason = format!("the folder is not empty: it holds {}", name.display());
            Err(Error::new(ErrorKind::AlreadyExists, reason))
        }
    }
}

/// Writes everything, and checks it.
fn fill(unfinished: &Unfinished<'_>, plan: &Plan, watch: &mut Watch<'_>) -> Result<()> {
    let store = unfinished.store()?;
    let directory = MmapDirectory::open(unfinished.path())?;
    fs::create_folder(&directory, collections_folder())?;
    for planned in &plan.collections {
        let mut target = Target { plan, planned, store, directory: &directory, watch };
        target.write()?;
    }
    let mut findings = Findings::default();
    check_store(store, &directory, &mut findings, watch)?;
    refuse_damage(&findings)
}

/// Where one collection goes.
struct Target<'a, 'w> {
    plan: &'a Plan,
    planned: &'a PlannedCollection,
    store: &'a Store,
    directory: &'a MmapDirectory,
    watch: &'a mut Watch<'w>,
}

impl Target<'_, '_> {
    fn write(&mut self) -> Result<()> {
        let manifest = &self.planned.manifest;
        let row = &manifest.row;
        let key = self.store.create_collection(&row.name, &row.config, row.created_unix_ms)?;
        let aliases = manifest.aliases.iter().map(|alias| (alias.clone(), Some(key)));
        self.store.set_aliases(&aliases.collect::<Vec<_>>())?;
        self.files(key)?;
        let rows = self.planned.rows(&self.plan.archive, self.watch);
        for kind in RowKind::ALL {
            for name in rows.names(kind) {
                let (mut batch, mut bytes) = (Batch::new(), 0);
                for row in rows.part(kind, &name)? {
                    bytes += (row.key.len() + row.value.len()) as u64;
                    batch.put_raw(key, row);
                }
                self.store.commit(batch)?;
                self.watch.advance(bytes)?;
            }
        }
        let mut batch = Batch::new();
        batch.put_counts(key, &manifest.counts);
        for segment in &manifest.segments {
            batch.put_segment(key, segment);
        }
        Ok(self.store.commit(batch)?)
    }

    fn files(&mut self, key: CollectionKey) -> Result<()> {
        let cancel = self.watch.cancel();
        for segment in &self.planned.manifest.segments {
            let folder = collection_folder(key).join(segment.id.to_string());
            fs::create_folder(self.directory, &folder)?;
            for file in &segment.files {
                let entry = self.planned.file_entry(segment, &file.name);
                let entry = self.plan.archive.entry(&entry)?;
                let path = folder.join(&file.name);
                let mut file = fs::AtomicFile::create(self.directory, &path)?;
                let watch = &mut *self.watch;
                self.plan.archive.copy(entry, &cancel, |bytes| {
                    file.append(bytes)?;
                    Ok::<(), Error>(watch.advance(bytes.len() as u64)?)
                })?;
                file.commit()?;
            }
        }
        Ok(())
    }
}

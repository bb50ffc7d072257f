//! A data folder on its way.
//!
//! It is called by its name with `.restoring` at the end until it is whole. A process that is killed
//! leaves it; the next restore finds that nobody has it open, and removes it. So that none removes
//! what another is about to open, or has just closed to rename it, folders are made, taken over,
//! renamed and removed under a lock on the folder above, which nobody holds for long.

use std::fs::File;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};

use bigrain_storage::{Directory, MmapDirectory, Store, StoreConfig, fs};

use crate::check::OWN_NAMES;
use crate::{Error, ErrorKind, Result};

/// What a folder is called until everything in it was checked: its name with this at the end.
const SUFFIX: &str = ".restoring";

/// A data folder on its way, open; removed unless it was published.
pub(super) struct Unfinished<'d> {
    parent: &'d MmapDirectory,
    name: PathBuf,
    /// Open until the folder gets its name or goes.
    store: Option<Store>,
    published: bool,
}

impl<'d> Unfinished<'d> {
    /// Makes the folder that will be called `name`, in the place of one that was left over.
    pub fn create(parent: &'d MmapDirectory, name: &Path) -> Result<Self> {
        let mut unfinished = name.as_os_str().to_owned();
        unfinished.push(SUFFIX);
        let name = PathBuf::from(unfinished);
        let path = parent.root().join(&name);
        let _claim = claim(parent)?;
        match parent.create_dir(&name) {
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => {
                refuse_what_is_in_use(&path)?;
                tracing::info!(folder = %path.display(), "removing what a restore left over");
                fs::remove_folder(parent, &name)?;
                parent.create_dir(&name)?;
            }
            created => created?,
        }
        let store = Some(Store::open(&path, &StoreConfig::default())?);
        Ok(Self { parent, name, store, published: false })
    }

    /// Returns the folder.
    pub fn path(&self) -> PathBuf {
        self.parent.root().join(&self.name)
    }

    /// Returns its store.
    pub fn store(&self) -> Result<&Store> {
        let closed = || Error::new(ErrorKind::Internal, "the folder has its name already");
        self.store.as_ref().ok_or_else(closed)
    }

    /// Gives the folder its name.
    pub fn publish(mut self, name: &Path) -> Result<()> {
        let _claim = claim(self.parent)?;
        self.store = None;
        self.parent.rename(&self.name, name)?;
        self.published = true;
        Ok(self.parent.fsync(Path::new(""))?)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        // Without the lock it is better left over than taken from another restore.
        let removed = claim(self.parent).and_then(|_claim| {
            self.store = None;
            Ok(fs::remove_folder(self.parent, &self.name)?)
        });
        if let Err(error) = removed {
            tracing::warn!(folder = %self.name.display(), %error, "unfinished restore stays");
        }
    }
}

/// Keeps other restores from making, renaming and removing folders in a folder, until the file is
/// dropped.
fn claim(parent: &MmapDirectory) -> Result<File> {
    let folder = File::open(parent.root())?;
    folder.lock()?;
    Ok(folder)
}

/// Refuses to take over a folder that another restore has open, or that no restore made.
fn refuse_what_is_in_use(path: &Path) -> Result<()> {
    let shown = path.display();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if !OWN_NAMES.iter().any(|own| name == **own) {
            let reason = format!("{shown} holds {}, which no restore left there", name.display());
            return Err(Error::new(ErrorKind::AlreadyExists, reason));
        }
    }
    if Store::is_in_use(path)? {
        let reason = format!("another restore is making {shown}");
        return Err(Error::new(ErrorKind::FailedPrecondition, reason));
    }
    Ok(())
}

//! Room for deletes on a full disk.
//!
//! # The problem
//!
//! On a full disk the one way out is to delete, and a delete is a write. Worse, a log that runs out of
//! space in the middle of a record stops the store until it has room to write its memory out.
//!
//! # The idea
//!
//! A file sets bytes aside that nobody uses: as many as RocksDB wants to see free before it goes on
//! after a failed write (one write buffer), and some for its log. Before anything that takes space,
//! the store asks whether there is room for it. If not, the disk counts as full:
//!
//! ```text
//!          room for the write?  no -> the reserve is freed, the write refused
//!   ROOMY ----------------------------------------------------------------------> FULL
//!         <---------------------------------------------------------------------
//!          yes, and the reserve can be set aside again             deletes commit
//! ```
//!
//! # Invariant
//!
//! While the disk counts as full, only what frees space is written. So the reserve is used up by
//! deletes alone, and by what RocksDB does to carry them out.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::directory::{available_bytes, set_aside};
use crate::format::RESERVE_FILE;

/// Set aside beside a write buffer: a log of deletes, and manifests.
const LOG_BYTES: u64 = 4 << 20;
/// What must stay free beside a write that takes space: the store's own files grow in steps.
const MARGIN_BYTES: u64 = 1 << 20;

/// The reserve of one data folder.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    is_full: Mutex<bool>,
}

impl Reserve {
    /// Gets to know a data folder, and frees the reserve if the disk has hardly any room: opening a
    /// store takes some.
    pub fn before_open(folder: &Path, write_buffer_bytes: u64) -> io::Result<Self> {
        let path = folder.join(RESERVE_FILE);
        let reserve =
            Self { path, bytes: write_buffer_bytes + LOG_BYTES, is_full: Mutex::new(true) };
        if !reserve.has_room(MARGIN_BYTES)? {
            reserve.free();
        }
        Ok(reserve)
    }

    /// Leaves a data folder alone: for a store that is only looked at.
    pub fn unused(folder: &Path) -> Self {
        Self { path: folder.join(RESERVE_FILE), bytes: 0, is_full: Mutex::new(false) }
    }

    /// Sets the reserve aside where there is room for it.
    pub fn after_open(&self) -> io::Result<()> {
        let mut is_full = self.is_full.lock();
        *is_full = !self.has_room(MARGIN_BYTES)? || !self.set_aside()?;
        if *is_full {
            self.free();
        }
        Ok(())
    }

    /// Whether the disk has room for some bytes. Asks the system each time, which takes
    /// a microsecond.
    pub fn admits(&self, bytes: u64) -> io::Result<bool> {
        let needed = bytes.saturating_add(MARGIN_BYTES);
        let mut is_full = self.is_full.lock();
        if *is_full {
            // The reserve must be there again, and room beside it.
            *is_full = !self.has_room(needed.saturating_add(self.bytes))? || !self.set_aside()?;
        } else if !self.has_room(needed)? {
            self.free();
            *is_full = true;
        }
        Ok(!*is_full)
    }

    /// Takes note that the system refused a write.
    pub fn ran_out(&self) {
        let mut is_full = self.is_full.lock();
        self.free();
        *is_full = true;
    }

    fn has_room(&self, bytes: u64) -> io::Result<bool> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        Ok(available_bytes(folder)? >= bytes)
    }

    /// Sets the bytes aside; returns whether there was room. A file system that cannot set bytes
    /// aside has no reserve, and room as long as it says so.
    fn set_aside(&self) -> io::Result<bool> {
        let set_aside = self.open().and_then(|file| {
            let has_it = file.metadata()?.blocks().saturating_mul(512) >= self.bytes;
            if has_it { Ok(()) } else { set_aside(&file, self.bytes) }
        });
        match set_aside {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
            Err(error) if is_out_of_space(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).truncate(false).write(true).open(&self.path)
    }

    /// Best effort: a reserve that cannot be removed is no worse than one that is used up.
    fn free(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether an error says that the disk or a quota is full.
pub(super) fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_set_aside_and_freed() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::before_open(folder.path(), 1 << 20).unwrap();
        reserve.after_open().unwrap();
        let file = || std::fs::metadata(folder.path().join(RESERVE_FILE));
        assert_eq!(file().unwrap().len(), 0, "nobody has to copy it");
        assert!(file().unwrap().blocks() * 512 >= 5 << 20);
        assert!(reserve.admits(1000).unwrap());
        reserve.ran_out();
        file().unwrap_err();
        assert!(reserve.admits(1000).unwrap(), "there is room");
        assert!(file().unwrap().blocks() * 512 >= 5 << 20);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_frees_the_reserve_until_it_fits() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::before_open(folder.path(), 1 << 20).unwrap();
        reserve.after_open().unwrap();
        assert!(!reserve.admits(u64::MAX).unwrap());
        assert!(!folder.path().join(RESERVE_FILE).try_exists().unwrap());
        assert!(!reserve.admits(1 << 60).unwrap());
        assert!(reserve.admits(1).unwrap());
        assert!(folder.path().join(RESERVE_FILE).try_exists().unwrap());
    }
}

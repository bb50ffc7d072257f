//! One process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::StoreError;
use crate::format::LOCK_FILE;

/// Holds a data folder for this process; however the process ends, the system gives it back.
#[derive(Debug)]
pub(super) struct FolderLock(File);

impl FolderLock {
    /// Takes a data folder.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] when somebody has it, [`StoreError::Io`] when the system refuses.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(LOCK_FILE);
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(|error| StoreError::io("open", &path, error))?;
        Self::lock(file, folder, &path)
    }

    /// Takes a data folder that exists, without writing to it.
    ///
    /// # Errors
    ///
    /// As [`FolderLock::take`]; [`StoreError::Io`] of kind `NotFound` for a folder that never was one.
    pub fn take_existing(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(LOCK_FILE);
        let file = File::open(&path).map_err(|error| StoreError::io("open", &path, error))?;
        Self::lock(file, folder, &path)
    }

    fn lock(file: File, folder: &Path, path: &Path) -> Result<Self, StoreError> {
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file gives the lock back only when nobody has a copy of it, and a process that
        // is being started by another thread has one for a moment.
        let _ = self.0.unlock();
    }
}

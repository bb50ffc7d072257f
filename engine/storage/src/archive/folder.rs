//! Entries of an archive as files of a directory.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Archive;
use crate::directory::{Directory, DirectoryError, Entry, FileReader, FileWriter};

/// The entries of an archive below one folder, read where they lie. Nothing can be written.
#[derive(Clone, Debug)]
pub struct ArchiveFolder {
    archive: Arc<Archive>,
    folder: String,
}

impl ArchiveFolder {
    pub(super) fn new(archive: Arc<Archive>, folder: &str) -> Self {
        Self { archive, folder: folder.to_owned() }
    }

    fn read_only(&self, operation: &'static str, path: &Path) -> DirectoryError {
        let reason = io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "this is an archive");
        DirectoryError::new(operation, self.archive.path().join(path), reason)
    }
}

impl Directory for ArchiveFolder {
    fn open(&self, path: &Path) -> Result<Box<dyn FileReader>, DirectoryError> {
        let name = format!("{}/{}", self.folder, path.display());
        let entry = self.archive.entry(&name).map_err(|error| {
            let missing = io::Error::new(io::ErrorKind::NotFound, error.to_string());
            DirectoryError::new("open", path, missing)
        })?;
        Ok(Box::new(EntryReader {
            reader: Arc::clone(self.archive.reader()),
            path: self.archive.path().join(&name),
            offset: entry.offset,
            length: entry.length,
        }))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn FileWriter>, DirectoryError> {
        Err(self.read_only("create", path))
    }

    fn rename(&self, from: &Path, _: &Path) -> Result<(), DirectoryError> {
        Err(self.read_only("rename", from))
    }

    fn delete(&self, path: &Path) -> Result<(), DirectoryError> {
        Err(self.read_only("delete", path))
    }

    fn create_dir(&self, path: &Path) -> Result<(), DirectoryError> {
        Err(self.read_only("create folder", path))
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), DirectoryError> {
        Err(self.read_only("remove folder", path))
    }

    fn list(&self, folder: &Path) -> Result<Vec<Entry>, DirectoryError> {
        Err(self.read_only("list", folder))
    }

    fn fsync(&self, folder: &Path) -> Result<(), DirectoryError> {
        Err(self.read_only("fsync folder", folder))
    }
}

/// A part of the archive's file.
#[derive(Debug)]
struct EntryReader {
    reader: Arc<dyn FileReader>,
    path: PathBuf,
    offset: u64,
    length: u64,
}

impl FileReader for EntryReader {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DirectoryError> {
        crate::directory::end_of_read(&self.path, self.length, offset, bytes.len())?;
        self.reader.read_at(self.offset + offset, bytes)
    }

    fn map(&self) -> Result<Option<&[u8]>, DirectoryError> {
        let end = self.offset + self.length;
        let map = self.reader.map()?;
        Ok(map.and_then(|map| map.get(self.offset as usize..end as usize)))
    }

    fn is_cached(&self, offset: u64) -> bool {
        self.reader.is_cached(self.offset + offset)
    }
}

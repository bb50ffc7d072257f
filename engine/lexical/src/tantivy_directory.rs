//! An archive, as tantivy sees it: a folder that is only read.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, OwnedBytes, WatchCallback, WatchHandle, WritePtr,
};

use crate::archive::Archive;

/// An archive, as tantivy sees it. Every read is checked at its first touch of a block, so tantivy
/// sees bytes that were written or an error.
#[derive(Clone, Debug)]
pub(crate) struct ArchiveDirectory(pub Arc<Archive>);

/// One file of an archive.
#[derive(Debug)]
struct ArchiveFile {
    archive: Arc<Archive>,
    index: usize,
}

impl HasLen for ArchiveFile {
    fn len(&self) -> usize {
        self.archive.length(self.index)
    }
}

impl FileHandle for ArchiveFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let bytes = self.archive.read(self.index, range.start, range.end);
        bytes.map(OwnedBytes::new).map_err(io::Error::other)
    }
}

impl Directory for ArchiveDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let index = self.0.find(path);
        let index = index.ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))?;
        Ok(Arc::new(ArchiveFile { archive: Arc::clone(&self.0), index }))
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.0.find(path).is_some())
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let bytes = self.open_read(path)?.read_bytes();
        let failed = |error| OpenReadError::wrap_io_error(error, path.to_owned());
        Ok(bytes.map_err(failed)?.to_vec())
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::wrap_io_error(read_only(), path.to_owned()))
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Err(read_only())
    }

    /// Nobody writes, so nobody is kept out.
    fn acquire_lock(&self, _lock: &Lock) -> Result<DirectoryLock, LockError> {
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "an archive is only read")
}

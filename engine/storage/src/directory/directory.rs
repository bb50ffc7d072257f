//! The trait every directory implements, and the one error they share.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// A tree of folders and immutable files, rooted somewhere.
///
/// # Paths
///
/// Paths are relative to the root and consist of plain names: `a/b` is one, `/a`, `../a` and `a/.`
/// are refused with [`io::ErrorKind::InvalidInput`]. The root itself is the empty path; it always
/// exists and cannot be created or removed.
///
/// # What lasts
///
/// Two separate things must be fsynced before they survive a power cut: the bytes of a file
/// ([`FileWriter::fsync`]) and the names in a folder ([`Directory::fsync`]). Until then they are
/// visible to this process and may or may not be there afterwards. [`crate::fs`] puts the steps in
/// the right order; nobody else should need to.
///
/// # Readers
///
/// A [`FileReader`] keeps reading the file it opened, whatever happens to the name: deleting the
/// file, replacing it by a rename or removing its folder changes nothing for it.
pub trait Directory: Debug + Send + Sync {
    /// Creates an empty file, or empties an existing one, and opens it for appending.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], of kind `NotFound` when the folder does not exist.
    fn create(&self, path: &Path) -> Result<Box<dyn FileWriter>, DirectoryError>;

    /// Opens a file for reading. Its length is fixed from here on.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], of kind `NotFound` when there is no such file.
    fn open(&self, path: &Path) -> Result<Box<dyn FileReader>, DirectoryError>;

    /// Gives a file another name, atomically: anyone who opens `to` finds the old file or the new
    /// one, never neither.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], of kind `NotFound` when there is no file `from`.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DirectoryError>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], of kind `NotFound` when there is no such file.
    fn delete(&self, path: &Path) -> Result<(), DirectoryError>;

    /// Creates one folder in an existing one.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], of kind `AlreadyExists` when the name is taken.
    fn create_dir(&self, path: &Path) -> Result<(), DirectoryError>;

    /// Removes a folder and everything in it.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], of kind `NotFound` when there is no such folder. After any other error
    /// some of its files may be gone.
    fn remove_dir_all(&self, path: &Path) -> Result<(), DirectoryError>;

    /// Returns what a folder holds, sorted by name.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], of kind `NotFound` when there is no such folder.
    fn list(&self, folder: &Path) -> Result<Vec<Entry>, DirectoryError>;

    /// Makes the names in a folder (created, renamed, deleted) survive a power cut.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`]. Afterwards it is unknown which of the names would survive.
    fn fsync(&self, folder: &Path) -> Result<(), DirectoryError>;
}

/// A file being written, from its start to its end.
///
/// Dropping it closes the file and leaves it as it is.
pub trait FileWriter: Debug + Send {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`]. Afterwards any part of `bytes` may be in the file.
    fn append(&mut self, bytes: &[u8]) -> Result<(), DirectoryError>;

    /// Makes everything appended so far survive a power cut.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`]. Afterwards the file must be given up: a second fsync that succeeds does
    /// not mean that the bytes of the first are on disk.
    fn fsync(&mut self) -> Result<(), DirectoryError>;
}

/// An open file. Reads go to a position of the caller's and may run side by side.
#[expect(clippy::len_without_is_empty, reason = "a length in bytes; nobody asks whether it is 0")]
pub trait FileReader: Debug + Send + Sync {
    /// Returns the file's name, for messages.
    fn path(&self) -> &Path;

    /// Returns the length in bytes at the time the file was opened.
    fn len(&self) -> u64;

    /// Fills `bytes` from `offset`, through a system call where there is a system: a file that has
    /// become shorter is an error here.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], of kind `UnexpectedEof` when the file ends before `bytes` is full.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DirectoryError>;

    /// Returns the file as memory, if the directory can: [`FileReader::len`] bytes, aligned to 8. It is
    /// mapped when this is called first.
    ///
    /// A file that *another* program truncates under a map ends the process with a signal at the
    /// next touch of a lost page. See [`crate::BlockFile::read`] for what is done about it.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when the system refuses, for want of maps above all.
    fn map(&self) -> Result<Option<&[u8]>, DirectoryError>;

    /// Whether the page that holds `offset` can be read without waiting for a disk, as far as the
    /// system tells. True where there is nothing to ask.
    fn is_cached(&self, offset: u64) -> bool {
        let _ = offset;
        true
    }

    /// Tells the system that reads go to and fro, so that it reads what is asked for and nothing
    /// ahead of it, through the map too. A hint.
    fn expect_scattered_reads(&self) {}

    /// Tells the system that some bytes of the map will be read soon, one after the other. A hint.
    fn fetch_ahead(&self, offset: u64, length: u64) {
        let _ = (offset, length);
    }

    /// Returns the open file, if there is one: for reads handed to the system many at a time. To be
    /// given back soon, since open files are few.
    fn file(&self) -> Option<Arc<File>> {
        None
    }
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without the folder's.
    pub name: String,
    /// Whether it is a file or a folder.
    pub kind: EntryKind,
}

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// A file system's refusal: what was tried, where, and why not.
#[derive(Debug, Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct DirectoryError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl DirectoryError {
    /// Wraps an I/O error.
    #[must_use]
    pub fn new(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { operation, path: path.into(), source }
    }

    /// Returns the kind of the I/O error.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Returns the file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the disk or a quota is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Checks that a path stays below the root.
pub(super) fn check_path(operation: &'static str, path: &Path) -> Result<(), DirectoryError> {
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    // Components are normalised ("a/./b" has no "."), so the text itself is looked at too.
    let spelled = path.to_str().is_some_and(|text| {
        text.is_empty() || text.split('/').all(|name| !matches!(name, "" | "." | ".."))
    });
    if plain && spelled {
        return Ok(());
    }
    let reason = "expected a relative path of plain names in utf-8";
    let source = io::Error::new(io::ErrorKind::InvalidInput, reason);
    Err(DirectoryError::new(operation, path, source))
}

/// Returns the folder that holds `path`; the root's own is the root.
pub(crate) fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Returns the end of a read, or the error that it lies past the end of the file.
pub(crate) fn end_of_read(
    path: &Path,
    length: u64,
    offset: u64,
    wanted: usize,
) -> Result<u64, DirectoryError> {
    let end = u64::try_from(wanted).ok().and_then(|wanted| offset.checked_add(wanted));
    end.filter(|&end| end <= length).ok_or_else(|| {
        let reason = format!("read of {wanted} bytes at {offset}, the file has {length}");
        DirectoryError::new("read", path, io::Error::new(io::ErrorKind::UnexpectedEof, reason))
    })
}

//! Making files durable: the only place that knows the order.
//!
//! A reader must find a file complete or not at all, after a power cut too. That takes four steps,
//! in this order:
//!
//! ```text
//! 1 write   name.tmp        a crash here leaves a name nobody opens
//! 2 fsync   name.tmp        the bytes are on disk before the name that promises them
//! 3 rename  name.tmp name   atomic: old file, new file, never neither
//! 4 fsync   the folder      the name is on disk
//! ```
//!
//! [`AtomicFile`] is these steps over any [`Directory`]; leaving one out is not possible from
//! outside this module.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::directory::{Directory, DirectoryError, FileWriter, parent_of};
use crate::format::TEMPORARY_SUFFIX;

/// A file that gets its name when it is complete and durable.
///
/// Dropped before [`AtomicFile::commit`], it is removed.
#[derive(Debug)]
pub struct AtomicFile<'d> {
    directory: &'d dyn Directory,
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once committed.
    writer: Option<Box<dyn FileWriter>>,
}

impl<'d> AtomicFile<'d> {
    /// Starts a file that will be called `path`.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when the temporary file cannot be created.
    pub fn create(directory: &'d dyn Directory, path: &Path) -> Result<Self, DirectoryError> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(TEMPORARY_SUFFIX);
        let temporary = PathBuf::from(temporary);
        let writer = Some(directory.create(&temporary)?);
        Ok(Self { directory, path: path.to_owned(), temporary, writer })
    }

    /// Appends all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`]; the file cannot be completed any more.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), DirectoryError> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.append(bytes))
    }

    /// Makes the file durable and gives it its name, replacing a file that has it.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`]. The file may then have its name already, and may lose it in a power cut:
    /// the caller must not rely on it.
    pub fn commit(mut self) -> Result<(), DirectoryError> {
        if let Some(writer) = &mut self.writer {
            writer.fsync()?;
        }
        self.directory.rename(&self.temporary, &self.path)?;
        self.writer = None;
        self.directory.fsync(parent_of(&self.path))
    }

    /// Returns the name the file will have.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AtomicFile<'_> {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // Best effort: what stays has a name that nobody opens.
            let _ = self.directory.delete(&self.temporary);
        }
    }
}

/// Creates a folder and its missing parents, durably. One that exists is left as it is.
///
/// # Errors
///
/// [`DirectoryError`] when a folder cannot be created.
pub fn create_folder(directory: &dyn Directory, path: &Path) -> Result<(), DirectoryError> {
    let mut missing: Vec<&Path> = path.ancestors().collect();
    missing.pop(); // the root, which always exists
    for folder in missing.into_iter().rev() {
        match directory.create_dir(folder) {
            // An existing folder is fsynced too: whoever created it may have crashed before.
            Ok(()) => directory.fsync(parent_of(folder))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                directory.fsync(parent_of(folder))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes a folder with everything in it, durably. One that does not exist is no error.
///
/// # Errors
///
/// [`DirectoryError`]; some of the files may then be gone.
pub fn remove_folder(directory: &dyn Directory, path: &Path) -> Result<(), DirectoryError> {
    match directory.remove_dir_all(path) {
        Ok(()) => directory.fsync(parent_of(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Renames a file of the file system. For [`crate::MmapDirectory`] only.
#[expect(clippy::disallowed_methods, reason = "this is the place where it is allowed")]
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Makes the names in a folder of the file system durable.
pub(crate) fn fsync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::RamDirectory;

    #[test]
    fn a_file_has_no_name_before_it_is_complete() {
        let directory = RamDirectory::new();
        let mut file = AtomicFile::create(&directory, Path::new("a")).unwrap();
        file.append(b"x").unwrap();
        assert!(directory.open(Path::new("a")).is_err());
        file.commit().unwrap();
        assert_eq!(directory.open(Path::new("a")).unwrap().len(), 1);
        assert_eq!(directory.list(Path::new("")).unwrap().len(), 1);
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let directory = RamDirectory::new();
        let mut file = AtomicFile::create(&directory, Path::new("a")).unwrap();
        file.append(b"x").unwrap();
        drop(file);
        assert_eq!(directory.list(Path::new("")).unwrap(), []);
    }

    #[test]
    fn folders_are_created_with_their_parents_and_removed_twice() {
        let directory = RamDirectory::new();
        let path = Path::new("a/b/c");
        create_folder(&directory, path).unwrap();
        create_folder(&directory, path).unwrap();
        assert!(directory.list(path).unwrap().is_empty());
        remove_folder(&directory, Path::new("a")).unwrap();
        remove_folder(&directory, Path::new("a")).unwrap();
        assert!(directory.list(Path::new("a")).is_err());
    }
}

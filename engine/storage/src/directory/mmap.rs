//! A real folder: preads, memory maps, and fsyncs that are asked for.

#![expect(unsafe_code, reason = "memory maps and what the kernel knows of them")]

use std::fs::{self as std_fs, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::OnceLock;

use memmap2::Mmap;

use super::directory::{check_path, end_of_read};
use super::{Directory, DirectoryError, Entry, EntryKind, FileReader, FileWriter};
use crate::fs;

/// A folder of the file system.
///
/// ```
/// use std::path::Path;
/// use bigrain_storage::{Directory, MmapDirectory, fs::AtomicFile};
///
/// # let root = tempfile::tempdir()?;
/// let directory = MmapDirectory::open(root.path())?;
/// let mut file = AtomicFile::create(&directory, Path::new("greeting"))?;
/// file.append(b"hello")?;
/// file.commit()?;
/// assert_eq!(directory.open(Path::new("greeting"))?.map(), Some(&b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MmapDirectory {
    root: Arc<Path>,
}

impl MmapDirectory {
    /// Opens a folder, creating it and its parents where they are missing.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when the folder cannot be created or is not one.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, DirectoryError> {
        let root = root.as_ref();
        let failed = |error| DirectoryError::new("open folder", root, error);
        std_fs::create_dir_all(root).map_err(failed)?;
        // Absolute, so that a later change of the working folder moves nothing.
        Ok(Self { root: std_fs::canonicalize(root).map_err(failed)?.into() })
    }

    /// Returns the folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn resolve(&self, operation: &'static str, path: &Path) -> Result<PathBuf, DirectoryError> {
        check_path(operation, path)?;
        Ok(self.root.join(path))
    }
}

impl Directory for MmapDirectory {
    fn create(&self, path: &Path) -> Result<Box<dyn FileWriter>, DirectoryError> {
        let full = self.resolve("create", path)?;
        let file = File::create(&full).map_err(|e| DirectoryError::new("create", &full, e))?;
        Ok(Box::new(MmapWriter { path: full, file }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileReader>, DirectoryError> {
        let full = self.resolve("open", path)?;
        let reader = MmapReader::open(&full).map_err(|e| DirectoryError::new("open", full, e))?;
        Ok(Box::new(reader))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DirectoryError> {
        let full_from = self.resolve("rename", from)?;
        let full_to = self.resolve("rename", to)?;
        fs::rename(&full_from, &full_to).map_err(|e| DirectoryError::new("rename", full_from, e))
    }

    fn delete(&self, path: &Path) -> Result<(), DirectoryError> {
        let full = self.resolve("delete", path)?;
        std_fs::remove_file(&full).map_err(|e| DirectoryError::new("delete", full, e))
    }

    fn create_dir(&self, path: &Path) -> Result<(), DirectoryError> {
        let full = self.resolve("create folder", path)?;
        std_fs::create_dir(&full).map_err(|e| DirectoryError::new("create folder", full, e))
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), DirectoryError> {
        let full = self.resolve("remove folder", path)?;
        if path.as_os_str().is_empty() {
            let refused = io::Error::new(io::ErrorKind::InvalidInput, "this is the root");
            return Err(DirectoryError::new("remove folder", full, refused));
        }
        std_fs::remove_dir_all(&full).map_err(|e| DirectoryError::new("remove folder", full, e))
    }

    fn list(&self, folder: &Path) -> Result<Vec<Entry>, DirectoryError> {
        let full = self.resolve("list", folder)?;
        list_folder(&full).map_err(|e| DirectoryError::new("list", full, e))
    }

    fn fsync(&self, folder: &Path) -> Result<(), DirectoryError> {
        let full = self.resolve("fsync folder", folder)?;
        fs::fsync_folder(&full).map_err(|e| DirectoryError::new("fsync folder", full, e))
    }
}

fn list_folder(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std_fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| {
            let reason = format!("name is not utf-8: {}", name.display());
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?;
        let folder = entry.file_type()?.is_dir();
        let kind = if folder { EntryKind::Folder } else { EntryKind::File };
        entries.push(Entry { name, kind });
    }
    entries.sort();
    Ok(entries)
}

#[derive(Debug)]
struct MmapWriter {
    path: PathBuf,
    file: File,
}

impl FileWriter for MmapWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), DirectoryError> {
        self.file.write_all(bytes).map_err(|e| DirectoryError::new("write", &self.path, e))
    }

    fn fsync(&mut self) -> Result<(), DirectoryError> {
        self.file.sync_all().map_err(|e| DirectoryError::new("fsync", &self.path, e))
    }
}

#[derive(Debug)]
struct MmapReader {
    path: PathBuf,
    file: File,
    length: u64,
    /// `None` for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl MmapReader {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        let length = metadata.len();
        let map = if length == 0 { None } else { Some(map_file(&file)?) };
        Ok(Self { path: path.to_owned(), file, length, map })
    }
}

/// Returns the size of a page, which the kernel's questions and answers are about.
#[cfg(target_os = "linux")]
fn page_bytes() -> usize {
    static PAGE_BYTES: OnceLock<usize> = OnceLock::new();
    *PAGE_BYTES.get_or_init(|| {
        // SAFETY: asks for a number and touches no memory of ours.
        let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(bytes).ok().filter(|&bytes| bytes > 0).unwrap_or(4096)
    })
}

fn map_file(file: &File) -> io::Result<Mmap> {
    // SAFETY: the bytes must not change while the map lives. Files get their names after their
    // last write and are never written again, the map keeps a deleted file's bytes, and the lock
    // on the data folder keeps other processes of ours out.
    unsafe { Mmap::map(file) }
}

impl FileReader for MmapReader {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DirectoryError> {
        end_of_read(&self.path, self.length, offset, bytes.len())?;
        let read = self.file.read_exact_at(bytes, offset);
        read.map_err(|e| DirectoryError::new("read", &self.path, e))
    }

    fn map(&self) -> Option<&[u8]> {
        self.map.as_deref()
    }

    #[cfg(target_os = "linux")]
    fn is_cached(&self, offset: u64) -> bool {
        let Some(map) = self.map.as_deref().filter(|_| offset < self.length) else {
            return true;
        };
        let page = offset as usize / page_bytes() * page_bytes();
        let page = map[page..].as_ptr().cast_mut().cast();
        let mut state = 0;
        // SAFETY: the page lies in the map, whose start is aligned to pages, and `state` is the one
        // byte written for it. The page is looked at by the kernel only, not touched.
        let answer = unsafe { libc::mincore(page, 1, &raw mut state) };
        answer != 0 || state & 1 == 1
    }

    #[cfg(target_os = "linux")]
    fn expect_scattered_reads(&self) {
        use std::os::fd::AsRawFd;
        // SAFETY: the descriptor is open as long as `file` lives; the call reads and writes no
        // memory of ours. It is advice, so a refusal changes nothing.
        unsafe { libc::posix_fadvise(self.file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) };
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

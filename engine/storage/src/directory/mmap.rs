//! A real folder: preads, memory maps, and fsyncs that are asked for.

#![expect(unsafe_code, reason = "memory maps and what the kernel knows of them")]

use std::fs::{self as std_fs, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use memmap2::Mmap;

use super::directory::{check_path, end_of_read};
use super::handles::{Handle, Handles};
use super::maps;
use super::write_behind::WriteBehind;
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
/// assert_eq!(directory.open(Path::new("greeting"))?.map()?, Some(&b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MmapDirectory {
    root: Arc<Path>,
    handles: Arc<Handles>,
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
        let root = std_fs::canonicalize(root).map_err(failed)?.into();
        Ok(Self { root, handles: Arc::default() })
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
        let file = create_alone(&full).map_err(|e| DirectoryError::new("create", &full, e))?;
        Ok(Box::new(MmapWriter { path: full, file, behind: WriteBehind::default() }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileReader>, DirectoryError> {
        let full = self.resolve("open", path)?;
        let reader = MmapReader::open(&full, &self.handles);
        Ok(Box::new(reader.map_err(|e| DirectoryError::new("open", full, e))?))
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

/// Opens a file to be written anew, unless somebody is writing it: two that write one file at once
/// would both believe it to be theirs.
fn create_alone(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "somebody else is writing it"));
    }
    if file.metadata()?.len() > 0 {
        file.set_len(0)?;
    }
    Ok(file)
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
    behind: WriteBehind,
}

impl FileWriter for MmapWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), DirectoryError> {
        let written = self.file.write_all(bytes);
        let sent = written.and_then(|()| self.behind.wrote(&self.file, bytes.len() as u64));
        sent.map_err(|e| DirectoryError::new("write", &self.path, e))
    }

    fn fsync(&mut self) -> Result<(), DirectoryError> {
        self.file.sync_all().map_err(|e| DirectoryError::new("fsync", &self.path, e))
    }
}

#[derive(Debug)]
struct MmapReader {
    path: PathBuf,
    handles: Arc<Handles>,
    handle: Handle,
    length: u64,
    /// Whether reads go to and fro.
    scattered: AtomicBool,
    /// Made when it is asked for. Most files of most collections are never looked into, and maps are
    /// what a process may have tens of thousands of.
    map: OnceLock<Mmap>,
}

impl MmapReader {
    fn open(path: &Path, handles: &Arc<Handles>) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        let length = metadata.len();
        Ok(Self {
            path: path.to_owned(),
            handles: Arc::clone(handles),
            handle: handles.add(file, &metadata),
            length,
            scattered: AtomicBool::new(false),
            map: OnceLock::new(),
        })
    }

    /// Returns the map, made the first time.
    fn mapped(&self) -> Result<Option<&Mmap>, DirectoryError> {
        // An empty file cannot be mapped.
        if self.length == 0 {
            return Ok(None);
        }
        if let Some(map) = self.map.get() {
            return Ok(Some(map));
        }
        let failed = |e| DirectoryError::new("map", &self.path, e);
        let file = self.lend().map_err(failed)?;
        let file = file.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let map = map_file(&file).map_err(|error| failed(maps::explained(error)))?;
        let map = self.map.get_or_init(|| map);
        if self.scattered.load(Ordering::Relaxed) {
            advise_scattered_touches(map);
        }
        Ok(Some(map))
    }

    fn lend(&self) -> io::Result<Option<Arc<File>>> {
        let reopened = |file: &File| {
            if self.scattered.load(Ordering::Relaxed) {
                advise_scattered_reads(file);
            }
        };
        self.handles.lend(&self.handle, &self.path, reopened)
    }
}

impl Drop for MmapReader {
    fn drop(&mut self) {
        self.handles.remove(&self.handle);
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
        let failed = |e| DirectoryError::new("read", &self.path, e);
        if let Some(file) = self.lend().map_err(failed)? {
            return file.read_exact_at(bytes, offset).map_err(failed);
        }
        // The name is gone, so nobody can make the file shorter: the map has all of it, if there is one.
        let start = offset as usize;
        let map = self.map.get().and_then(|map| map.get(start..start + bytes.len()));
        bytes.copy_from_slice(map.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?);
        Ok(())
    }

    fn map(&self) -> Result<Option<&[u8]>, DirectoryError> {
        Ok(self.mapped()?.map(|map| &map[..]))
    }

    #[cfg(target_os = "linux")]
    fn is_cached(&self, offset: u64) -> bool {
        let map = self.map().ok().flatten();
        let Some(map) = map.filter(|map| offset < map.len() as u64) else { return true };
        let page = offset as usize / page_bytes() * page_bytes();
        let page = map[page..].as_ptr().cast_mut().cast();
        let mut state = 0;
        // SAFETY: the page lies in the map, whose start is aligned to pages, and `state` is the one
        // byte written for it. The page is looked at by the kernel only, not touched.
        let answer = unsafe { libc::mincore(page, 1, &raw mut state) };
        answer != 0 || state & 1 == 1
    }

    fn expect_scattered_reads(&self) {
        self.scattered.store(true, Ordering::Relaxed);
        if let Ok(Some(file)) = self.lend() {
            advise_scattered_reads(&file);
        }
        if let Some(map) = self.map.get() {
            advise_scattered_touches(map);
        }
    }

    fn fetch_ahead(&self, offset: u64, length: u64) {
        if let Ok(Some(map)) = self.mapped() {
            let end = map.len().min(offset.saturating_add(length) as usize);
            let start = end.min(offset as usize);
            // Advice: what is refused is read when it is touched.
            let _ = map.advise_range(memmap2::Advice::WillNeed, start, end - start);
        }
    }

    fn file(&self) -> Option<Arc<File>> {
        self.lend().ok().flatten()
    }
}

#[cfg(target_os = "linux")]
fn advise_scattered_reads(file: &File) {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open as long as `file` lives; the call reads and writes no memory
    // of ours. It is advice, so a refusal changes nothing.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) };
}

#[cfg(not(target_os = "linux"))]
fn advise_scattered_reads(_: &File) {}

/// Without this a touch of a missing page reads what lies around it, on some disks megabytes of it, for which pages
/// that are needed have to go where memory is short.
fn advise_scattered_touches(map: &Mmap) {
    // Advice: what is refused only costs time.
    let _ = map.advise(memmap2::Advice::Random);
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn a_file_has_one_writer_and_begins_anew_with_the_next() {
        let root = tempfile::tempdir().unwrap();
        let directory = MmapDirectory::open(root.path()).unwrap();
        let create = || directory.create(Path::new("a"));
        let mut first = create().unwrap();
        first.append(b"first").unwrap();
        let error = create().unwrap_err().to_string();
        assert!(error.contains("somebody else is writing it"), "{error}");
        drop(first);
        create().unwrap().append(b"2").unwrap();
        assert_eq!(std_fs::read(root.path().join("a")).unwrap(), b"2");
    }

    #[test]
    fn hints_change_nothing_wherever_they_point() {
        let root = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..20_000_u32).map(|at| at as u8).collect();
        for name in ["a", "empty"] {
            std_fs::write(root.path().join(name), if name == "a" { &bytes[..] } else { &[] })
                .unwrap();
        }
        let directory = MmapDirectory::open(root.path()).unwrap();
        let [file, empty] = ["a", "empty"].map(|name| directory.open(Path::new(name)).unwrap());
        for (offset, length) in
            [(0, 10), (5000, 9000), (19_999, 1 << 40), (1 << 40, 1), (u64::MAX, u64::MAX)]
        {
            file.fetch_ahead(offset, length);
            empty.fetch_ahead(offset, length);
        }
        assert_eq!(file.map().unwrap(), Some(&bytes[..]));
        file.expect_scattered_reads();
        file.fetch_ahead(100, 10_000);
        assert_eq!(file.map().unwrap(), Some(&bytes[..]));
    }

    #[test]
    fn a_closed_file_outlives_its_name() {
        let root = tempfile::tempdir().unwrap();
        let directory = MmapDirectory::open(root.path()).unwrap();
        let directory =
            MmapDirectory { handles: Arc::new(Handles::new(NonZeroUsize::MIN)), ..directory };
        for name in ["a", "b"] {
            std_fs::write(root.path().join(name), name.repeat(10)).unwrap();
        }
        let open = |name: &str| directory.open(Path::new(name)).unwrap();
        let (first, second) = (open("a"), open("b"));
        assert_eq!(first.map().unwrap(), Some(&b"aaaaaaaaaa"[..]));
        assert_eq!(second.map().unwrap(), Some(&b"bbbbbbbbbb"[..]));
        let read = |reader: &dyn FileReader| {
            let mut bytes = [0; 3];
            reader.read_at(7, &mut bytes).unwrap();
            bytes
        };
        assert_eq!((&read(&*first), &read(&*second)), (b"aaa", b"bbb"));
        directory.rename(Path::new("b"), Path::new("a")).unwrap();
        assert_eq!((&read(&*first), &read(&*second)), (b"aaa", b"bbb"));
        directory.delete(Path::new("a")).unwrap();
        assert_eq!((&read(&*first), &read(&*second)), (b"aaa", b"bbb"));
        assert!(first.file().is_none(), "there is nothing to open");

        std_fs::write(root.path().join("c"), b"c").unwrap();
        let (third, _fourth) = (open("c"), open("c"));
        directory.delete(Path::new("c")).unwrap();
        assert_eq!(third.map().unwrap_err().kind(), io::ErrorKind::NotFound, "never mapped");
    }
}

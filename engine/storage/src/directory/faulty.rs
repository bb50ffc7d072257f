//! A directory that fails on purpose and forgets what was not fsynced.
//!
//! A crash test runs its scenario once to count the steps, then once for each step with a fault
//! there, and looks at what is left after [`FaultyDirectory::crash`]:
//!
//! ```
//! use std::{path::Path, sync::Arc};
//! use bigrain_storage::{Directory, Fault, FaultyDirectory, RamDirectory, fs::AtomicFile};
//!
//! let write = |directory: &dyn Directory| {
//!     let mut file = AtomicFile::create(directory, Path::new("list"))?;
//!     file.append(b"complete")?;
//!     file.commit()
//! };
//! let counted = FaultyDirectory::new(Arc::new(RamDirectory::new()))?;
//! write(&counted)?;
//! for step in 0..counted.steps() {
//!     let directory = FaultyDirectory::new(Arc::new(RamDirectory::new()))?;
//!     directory.fail_at(step, Fault::PowerCut);
//!     assert!(write(&directory).is_err());
//!     directory.crash()?;
//!     if let Ok(file) = directory.open(Path::new("list")) {
//!         assert_eq!(file.len(), 8, "a file is complete or absent");
//!     }
//! }
//! # Ok::<(), bigrain_storage::DirectoryError>(())
//! ```
//!
//! # What it remembers
//!
//! A file system in two halves, as a power cut sees it. `names` is what the process sees; `durable`
//! is what the disk knows, and changes only when a folder is fsynced. A file is a number, and
//! `synced` holds the bytes of each as of its last fsync, so a name made durable before its bytes
//! comes back empty: the mistake this type exists to catch.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::directory::{check_path, parent_of};
use super::{Directory, DirectoryError, Entry, EntryKind, FileReader, FileWriter};

/// What happens at the chosen step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The step fails with this kind of error and does nothing. Later steps work.
    Error(io::ErrorKind),
    /// An append writes the first half of its bytes, then fails because the disk is full; any
    /// other step just fails so. Later steps work.
    ShortWrite,
    /// This step and all that follow fail, until [`FaultyDirectory::crash`].
    PowerCut,
}

/// A directory that fails at a chosen step, around one that works. Clones share their state.
///
/// A *step* is a call that changes something: create, append, fsync (of a file or a folder),
/// rename, delete, create or remove a folder. Lists always work, and reads do unless
/// [`FaultyDirectory::fail_reads`] says otherwise.
#[derive(Clone, Debug)]
pub struct FaultyDirectory {
    inner: Arc<dyn Directory>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    steps: u64,
    plan: Option<(u64, Fault)>,
    power_is_out: bool,
    next_number: u64,
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    synced: HashMap<u64, Vec<u8>>,
    reads_fail: Option<io::ErrorKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder(u64),
    File(u64),
}

impl FaultyDirectory {
    /// Wraps a directory; what it already holds counts as durable.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when `inner` cannot be read.
    pub fn new(inner: Arc<dyn Directory>) -> Result<Self, DirectoryError> {
        let mut state = State::default();
        state.adopt(&*inner, Path::new(""))?;
        state.durable = state.names.clone();
        Ok(Self { inner, state: Arc::new(Mutex::new(state)) })
    }

    /// Plans a fault at a step, counted from 0 at creation. A later plan replaces this one.
    pub fn fail_at(&self, step: u64, fault: Fault) {
        self.state.lock().plan = Some((step, fault));
    }

    /// Lets every read of a file fail with this kind of error from now on, files that are open
    /// already included; `None` ends it. Maps cannot fail so and stay as they are.
    pub fn fail_reads(&self, kind: Option<io::ErrorKind>) {
        self.state.lock().reads_fail = kind;
    }

    /// Returns how many steps were taken or refused so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    /// Cuts the power and restores it: what was not fsynced is gone, the plan is forgotten, and
    /// steps work again. Files that are open for reading stay readable.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when the wrapped directory refuses to be rewritten.
    pub fn crash(&self) -> Result<(), DirectoryError> {
        let mut state = self.state.lock();
        state.power_is_out = false;
        state.plan = None;
        clear(&*self.inner)?;
        state.forget_unreachable();
        for (path, node) in &state.durable {
            match node {
                Node::Folder(_) => self.inner.create_dir(path)?,
                Node::File(file) => {
                    let bytes = state.synced.get(file).map_or(&[][..], Vec::as_slice);
                    self.inner.create(path)?.append(bytes)?;
                }
            }
        }
        state.names = state.durable.clone();
        Ok(())
    }

    /// Counts one step and returns the planned error if it is this one's turn.
    fn step(&self, operation: &'static str, path: &Path) -> Result<(), DirectoryError> {
        match self.state.lock().step() {
            None => Ok(()),
            Some(fault) => Err(planned_error(operation, path, fault)),
        }
    }
}

impl State {
    fn step(&mut self) -> Option<Fault> {
        let step = self.steps;
        self.steps += 1;
        if self.power_is_out {
            return Some(Fault::PowerCut);
        }
        let (_, fault) = self.plan.filter(|(planned, _)| *planned == step)?;
        self.power_is_out = fault == Fault::PowerCut;
        Some(fault)
    }

    fn new_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn create_dir(&mut self, path: &Path) {
        let folder = Node::Folder(self.new_number());
        self.names.insert(path.to_owned(), folder);
    }

    fn adopt(&mut self, inner: &dyn Directory, folder: &Path) -> Result<(), DirectoryError> {
        for entry in inner.list(folder)? {
            let path = folder.join(&entry.name);
            match entry.kind {
                EntryKind::Folder => {
                    self.create_dir(&path);
                    self.adopt(inner, &path)?;
                }
                EntryKind::File => {
                    let reader = inner.open(&path)?;
                    let mut bytes = vec![0; reader.len() as usize];
                    reader.read_at(0, &mut bytes)?;
                    let file = self.new_number();
                    self.synced.insert(file, bytes);
                    self.names.insert(path, Node::File(file));
                }
            }
        }
        Ok(())
    }

    /// Creating a file over another one keeps the file and empties it, on disk too.
    fn create(&mut self, path: &Path) -> u64 {
        let file = match self.names.get(path) {
            Some(Node::File(file)) => *file,
            Some(Node::Folder(_)) | None => self.new_number(),
        };
        self.synced.insert(file, Vec::new());
        self.names.insert(path.to_owned(), Node::File(file));
        file
    }

    /// Copies the names of one folder to the disk's half.
    fn fsync_folder(&mut self, folder: &Path) {
        let names = &self.names;
        let gone: Vec<PathBuf> = self
            .durable
            .iter()
            .filter(|(path, node)| parent_of(path) == folder && names.get(*path) != Some(node))
            .map(|(path, _)| path.clone())
            .collect();
        self.durable.retain(|path, _| !gone.iter().any(|gone| path.starts_with(gone)));
        let names = names.iter().filter(|(path, _)| parent_of(path) == folder);
        self.durable.extend(names.map(|(path, node)| (path.clone(), *node)));
    }

    /// Drops durable names in folders whose own name never became durable.
    fn forget_unreachable(&mut self) {
        let mut reachable = BTreeMap::new();
        // Parents sort before their children.
        for (path, node) in &self.durable {
            let parent = parent_of(path);
            let is_root = parent.as_os_str().is_empty();
            if is_root || matches!(reachable.get(parent), Some(Node::Folder(_))) {
                reachable.insert(path.clone(), *node);
            }
        }
        self.durable = reachable;
    }
}

impl Directory for FaultyDirectory {
    fn create(&self, path: &Path) -> Result<Box<dyn FileWriter>, DirectoryError> {
        check_path("create", path)?;
        self.step("create", path)?;
        let inner = self.inner.create(path)?;
        let file = self.state.lock().create(path);
        let directory = self.clone();
        let path = path.to_owned();
        Ok(Box::new(FaultyWriter { directory, inner, path, file, written: Vec::new() }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileReader>, DirectoryError> {
        let inner = self.inner.open(path)?;
        Ok(Box::new(FaultyReader { inner, state: Arc::clone(&self.state) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DirectoryError> {
        self.step("rename", from)?;
        self.inner.rename(from, to)?;
        let mut state = self.state.lock();
        if let Some(node) = state.names.remove(from) {
            state.names.insert(to.to_owned(), node);
        }
        Ok(())
    }

    fn delete(&self, path: &Path) -> Result<(), DirectoryError> {
        self.step("delete", path)?;
        self.inner.delete(path)?;
        self.state.lock().names.remove(path);
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> Result<(), DirectoryError> {
        self.step("create folder", path)?;
        self.inner.create_dir(path)?;
        self.state.lock().create_dir(path);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), DirectoryError> {
        self.step("remove folder", path)?;
        self.inner.remove_dir_all(path)?;
        self.state.lock().names.retain(|name, _| !name.starts_with(path));
        Ok(())
    }

    fn list(&self, folder: &Path) -> Result<Vec<Entry>, DirectoryError> {
        self.inner.list(folder)
    }

    fn fsync(&self, folder: &Path) -> Result<(), DirectoryError> {
        self.step("fsync folder", folder)?;
        self.inner.fsync(folder)?;
        self.state.lock().fsync_folder(folder);
        Ok(())
    }
}

/// Has no file of its own to give out, so that every read comes through here.
#[derive(Debug)]
struct FaultyReader {
    inner: Box<dyn FileReader>,
    state: Arc<Mutex<State>>,
}

impl FileReader for FaultyReader {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DirectoryError> {
        if let Some(kind) = self.state.lock().reads_fail {
            return Err(DirectoryError::new("read", self.path(), kind.into()));
        }
        self.inner.read_at(offset, bytes)
    }

    fn map(&self) -> Result<Option<&[u8]>, DirectoryError> {
        self.inner.map()
    }
}

#[derive(Debug)]
struct FaultyWriter {
    directory: FaultyDirectory,
    inner: Box<dyn FileWriter>,
    path: PathBuf,
    file: u64,
    written: Vec<u8>,
}

impl FileWriter for FaultyWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), DirectoryError> {
        let fault = self.directory.state.lock().step();
        let kept = match fault {
            None => bytes,
            Some(Fault::ShortWrite) => &bytes[..bytes.len() / 2],
            Some(Fault::Error(_) | Fault::PowerCut) => &[],
        };
        self.inner.append(kept)?;
        self.written.extend_from_slice(kept);
        fault.map_or(Ok(()), |fault| Err(planned_error("write", &self.path, fault)))
    }

    fn fsync(&mut self) -> Result<(), DirectoryError> {
        self.directory.step("fsync", &self.path)?;
        self.inner.fsync()?;
        self.directory.state.lock().synced.insert(self.file, self.written.clone());
        Ok(())
    }
}

fn planned_error(operation: &'static str, path: &Path, fault: Fault) -> DirectoryError {
    let source = match fault {
        Fault::Error(kind) => kind.into(),
        Fault::ShortWrite => io::ErrorKind::StorageFull.into(),
        Fault::PowerCut => io::Error::other("the power is out"),
    };
    DirectoryError::new(operation, path, source)
}

fn clear(directory: &dyn Directory) -> Result<(), DirectoryError> {
    for entry in directory.list(Path::new(""))? {
        let path = Path::new(&entry.name);
        match entry.kind {
            EntryKind::Folder => directory.remove_dir_all(path)?,
            EntryKind::File => directory.delete(path)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::RamDirectory;
    use crate::fs::{AtomicFile, create_folder};

    fn faulty() -> FaultyDirectory {
        FaultyDirectory::new(Arc::new(RamDirectory::new())).unwrap()
    }

    fn write(directory: &dyn Directory, path: &str, bytes: &[u8]) -> Result<(), DirectoryError> {
        let mut file = AtomicFile::create(directory, Path::new(path))?;
        file.append(bytes)?;
        file.commit()
    }

    fn read(directory: &dyn Directory, path: &str) -> Option<Vec<u8>> {
        let reader = directory.open(Path::new(path)).ok()?;
        let mut bytes = vec![0; reader.len() as usize];
        reader.read_at(0, &mut bytes).unwrap();
        Some(bytes)
    }

    #[test]
    fn a_name_made_durable_before_its_bytes_comes_back_empty() {
        let directory = faulty();
        let mut writer = directory.create(Path::new("a")).unwrap();
        writer.append(b"lost").unwrap();
        directory.fsync(Path::new("")).unwrap();
        directory.crash().unwrap();
        assert_eq!(read(&directory, "a").unwrap(), b"");
    }

    #[test]
    fn a_name_not_made_durable_is_gone() {
        let directory = faulty();
        let mut writer = directory.create(Path::new("a")).unwrap();
        writer.append(b"lost").unwrap();
        writer.fsync().unwrap();
        directory.crash().unwrap();
        assert!(read(&directory, "a").is_none());
    }

    #[test]
    fn a_folder_not_made_durable_takes_its_files_along() {
        let directory = faulty();
        directory.create_dir(Path::new("f")).unwrap();
        write(&directory, "f/a", b"x").unwrap();
        directory.crash().unwrap();
        assert_eq!(directory.list(Path::new("")).unwrap(), []);
    }

    #[test]
    fn a_folder_made_durable_after_its_files_keeps_them() {
        let directory = faulty();
        directory.create_dir(Path::new("f")).unwrap();
        write(&directory, "f/a", b"x").unwrap();
        directory.fsync(Path::new("")).unwrap();
        directory.crash().unwrap();
        assert_eq!(read(&directory, "f/a").unwrap(), b"x");
    }

    #[test]
    fn a_folder_made_again_does_not_get_its_old_files_back() {
        let directory = faulty();
        create_folder(&directory, Path::new("f")).unwrap();
        write(&directory, "f/a", b"x").unwrap();
        directory.remove_dir_all(Path::new("f")).unwrap();
        create_folder(&directory, Path::new("f")).unwrap();
        directory.crash().unwrap();
        assert_eq!(directory.list(Path::new("f")).unwrap(), []);
    }

    #[test]
    fn a_deletion_not_made_durable_is_undone() {
        let directory = faulty();
        write(&directory, "a", b"x").unwrap();
        directory.delete(Path::new("a")).unwrap();
        directory.crash().unwrap();
        assert_eq!(read(&directory, "a").unwrap(), b"x");
        directory.delete(Path::new("a")).unwrap();
        directory.fsync(Path::new("")).unwrap();
        directory.crash().unwrap();
        assert!(read(&directory, "a").is_none());
    }

    #[test]
    fn what_was_there_before_counts_as_durable() {
        let inner = Arc::new(RamDirectory::new());
        create_folder(&*inner, Path::new("f")).unwrap();
        write(&*inner, "f/a", b"old").unwrap();
        let directory = FaultyDirectory::new(inner).unwrap();
        directory.crash().unwrap();
        assert_eq!(read(&directory, "f/a").unwrap(), b"old");
    }

    #[test]
    fn at_every_step_of_a_replacement_the_old_file_or_the_new_one_survives() {
        let counted = faulty();
        write(&counted, "a", b"old").unwrap();
        let first = counted.steps();
        write(&counted, "a", b"new one").unwrap();
        let faults = [Fault::Error(io::ErrorKind::StorageFull), Fault::ShortWrite, Fault::PowerCut];
        for step in first..counted.steps() {
            for fault in faults {
                let directory = faulty();
                write(&directory, "a", b"old").unwrap();
                directory.fail_at(step, fault);
                write(&directory, "a", b"new one").unwrap_err();
                directory.crash().unwrap();
                let left = read(&directory, "a").unwrap();
                assert!(left == b"old" || left == b"new one", "step {step}, {fault:?}: {left:?}");
                write(&directory, "a", b"again").unwrap();
            }
        }
    }

    #[test]
    fn reads_fail_while_they_are_told_to() {
        let directory = faulty();
        write(&directory, "a", b"x").unwrap();
        let reader = directory.open(Path::new("a")).unwrap();
        directory.fail_reads(Some(io::ErrorKind::TimedOut));
        let error = reader.read_at(0, &mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().starts_with("read a: "), "{error}");
        directory.fail_reads(None);
        reader.read_at(0, &mut [0]).unwrap();
    }

    #[test]
    fn a_full_disk_is_named_and_leaves_no_temporary_file() {
        let directory = faulty();
        directory.fail_at(1, Fault::ShortWrite);
        let error = write(&directory, "a", b"12345678").unwrap_err();
        assert!(error.is_disk_full());
        assert!(error.to_string().starts_with("write a.tmp: "), "{error}");
        assert_eq!(directory.list(Path::new("")).unwrap(), []);
    }
}

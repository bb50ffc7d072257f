//! A directory in memory: for tests, and for collections that need not outlive the process.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::directory::{check_path, end_of_read, parent_of};
use super::{Directory, DirectoryError, Entry, EntryKind, FileReader, FileWriter};

/// A directory in memory. Clones share their files.
#[derive(Clone, Debug, Default)]
pub struct RamDirectory {
    nodes: Arc<RwLock<BTreeMap<PathBuf, Node>>>,
}

#[derive(Clone, Debug)]
enum Node {
    Folder,
    File(Arc<Mutex<Vec<u8>>>),
}

impl RamDirectory {
    /// Returns an empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Directory for RamDirectory {
    fn create(&self, path: &Path) -> Result<Box<dyn FileWriter>, DirectoryError> {
        check_path("create", path)?;
        let mut nodes = self.nodes.write();
        expect_folder(&nodes, "create", parent_of(path))?;
        if path.as_os_str().is_empty() || matches!(nodes.get(path), Some(Node::Folder)) {
            return Err(refused("create", path, io::ErrorKind::IsADirectory));
        }
        let bytes = Arc::new(Mutex::new(Vec::new()));
        nodes.insert(path.to_owned(), Node::File(Arc::clone(&bytes)));
        Ok(Box::new(RamWriter { bytes }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileReader>, DirectoryError> {
        check_path("open", path)?;
        match self.nodes.read().get(path) {
            Some(Node::File(bytes)) => Ok(Box::new(RamReader::new(path, &bytes.lock()))),
            Some(Node::Folder) => Err(refused("open", path, io::ErrorKind::InvalidInput)),
            None => Err(refused("open", path, io::ErrorKind::NotFound)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DirectoryError> {
        check_path("rename", from)?;
        check_path("rename", to)?;
        let mut nodes = self.nodes.write();
        expect_folder(&nodes, "rename", parent_of(to))?;
        if matches!(nodes.get(to), Some(Node::Folder)) {
            return Err(refused("rename", to, io::ErrorKind::IsADirectory));
        }
        let Some(Node::File(bytes)) = nodes.get(from).cloned() else {
            return Err(refused("rename", from, io::ErrorKind::NotFound));
        };
        nodes.remove(from);
        nodes.insert(to.to_owned(), Node::File(bytes));
        Ok(())
    }

    fn delete(&self, path: &Path) -> Result<(), DirectoryError> {
        check_path("delete", path)?;
        let mut nodes = self.nodes.write();
        if !matches!(nodes.get(path), Some(Node::File(_))) {
            return Err(refused("delete", path, io::ErrorKind::NotFound));
        }
        nodes.remove(path);
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> Result<(), DirectoryError> {
        check_path("create folder", path)?;
        let mut nodes = self.nodes.write();
        expect_folder(&nodes, "create folder", parent_of(path))?;
        if path.as_os_str().is_empty() || nodes.contains_key(path) {
            return Err(refused("create folder", path, io::ErrorKind::AlreadyExists));
        }
        nodes.insert(path.to_owned(), Node::Folder);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), DirectoryError> {
        check_path("remove folder", path)?;
        if path.as_os_str().is_empty() {
            return Err(refused("remove folder", path, io::ErrorKind::InvalidInput));
        }
        let mut nodes = self.nodes.write();
        expect_folder(&nodes, "remove folder", path)?;
        nodes.retain(|name, _| !name.starts_with(path));
        Ok(())
    }

    fn list(&self, folder: &Path) -> Result<Vec<Entry>, DirectoryError> {
        check_path("list", folder)?;
        let nodes = self.nodes.read();
        expect_folder(&nodes, "list", folder)?;
        let mut entries = Vec::new();
        for (path, node) in nodes.iter().filter(|(path, _)| path.parent() == Some(folder)) {
            let kind = match node {
                Node::Folder => EntryKind::Folder,
                Node::File(_) => EntryKind::File,
            };
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            entries.push(Entry { name: name.to_owned(), kind });
        }
        entries.sort();
        Ok(entries)
    }

    fn fsync(&self, folder: &Path) -> Result<(), DirectoryError> {
        check_path("fsync folder", folder)?;
        expect_folder(&self.nodes.read(), "fsync folder", folder)
    }
}

fn expect_folder(
    nodes: &BTreeMap<PathBuf, Node>,
    operation: &'static str,
    folder: &Path,
) -> Result<(), DirectoryError> {
    if folder.as_os_str().is_empty() || matches!(nodes.get(folder), Some(Node::Folder)) {
        return Ok(());
    }
    Err(refused(operation, folder, io::ErrorKind::NotFound))
}

fn refused(operation: &'static str, path: &Path, kind: io::ErrorKind) -> DirectoryError {
    DirectoryError::new(operation, path, kind.into())
}

#[derive(Debug)]
struct RamWriter {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl FileWriter for RamWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), DirectoryError> {
        self.bytes.lock().extend_from_slice(bytes);
        Ok(())
    }

    fn fsync(&mut self) -> Result<(), DirectoryError> {
        Ok(())
    }
}

/// A copy of a file's bytes, kept in words so that it is aligned to 8 as a map is.
#[derive(Debug)]
struct RamReader {
    path: PathBuf,
    words: Vec<u64>,
    length: usize,
}

impl RamReader {
    fn new(path: &Path, bytes: &[u8]) -> Self {
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { path: path.to_owned(), words, length: bytes.len() }
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }
}

impl FileReader for RamReader {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> u64 {
        self.length as u64
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DirectoryError> {
        end_of_read(&self.path, self.len(), offset, bytes.len())?;
        // In bounds, so the offset fits in memory's range.
        let start = offset as usize;
        bytes.copy_from_slice(&self.bytes()[start..start + bytes.len()]);
        Ok(())
    }

    fn map(&self) -> Result<Option<&[u8]>, DirectoryError> {
        Ok((self.length > 0).then(|| self.bytes()))
    }
}

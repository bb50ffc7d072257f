//! Files that are open, as many at a time as the system lets a process have.
//!
//! A reader keeps its map for as long as it lives, and the file's bytes with it. Its descriptor is
//! wanted now and then only, and descriptors run out first: 1,024 for a process is common. So they
//! are lent, the least recently used one is closed when there are too many, and a closed one is
//! opened again under the file's name.

use std::fs::{File, Metadata};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lru::LruCache;
use parking_lot::Mutex;

use super::space::descriptor_limit;

/// Descriptors kept open where the system sets no limit, or does not tell.
const MOST: usize = 4096;
/// Descriptors kept open at least.
const LEAST: usize = 16;
/// What part of a process's descriptors one directory takes: the store and sockets want theirs.
const PART: usize = 4;

/// The open files of a directory.
#[derive(Debug)]
pub(super) struct Handles {
    open: Mutex<LruCache<u64, Arc<File>>>,
    next: AtomicU64,
}

/// A file that can be opened again.
#[derive(Debug)]
pub(super) struct Handle {
    number: u64,
    device: u64,
    inode: u64,
}

impl Default for Handles {
    fn default() -> Self {
        let limit = descriptor_limit().map_or(MOST, |limit| (limit / PART).clamp(LEAST, MOST));
        Self::new(NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN))
    }
}

impl Handles {
    /// Keeps at most `limit` files open.
    pub fn new(limit: NonZeroUsize) -> Self {
        Self { open: Mutex::new(LruCache::new(limit)), next: AtomicU64::new(0) }
    }

    /// Takes a file that was just opened.
    pub fn add(&self, file: File, metadata: &Metadata) -> Handle {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().put(number, Arc::new(file));
        Handle { number, device: metadata.dev(), inode: metadata.ino() }
    }

    /// Lends the file of a handle, opened again if it was closed: then `reopened` is called with it.
    /// None when nothing, or another file, has its name by now.
    pub fn lend(
        &self,
        handle: &Handle,
        path: &Path,
        reopened: impl FnOnce(&File),
    ) -> io::Result<Option<Arc<File>>> {
        if let Some(file) = self.open.lock().get(&handle.number) {
            return Ok(Some(Arc::clone(file)));
        }
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if (found.dev(), found.ino()) != (handle.device, handle.inode) {
            return Ok(None);
        }
        reopened(&file);
        let file = Arc::new(file);
        self.open.lock().put(handle.number, Arc::clone(&file));
        Ok(Some(file))
    }

    /// Closes the file of a handle that nobody will use again.
    pub fn remove(&self, handle: &Handle) {
        let closed = self.open.lock().pop(&handle.number);
        // Closed here, not under the lock.
        drop(closed);
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.open.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn text(file: Option<Arc<File>>) -> Option<String> {
        let mut text = String::new();
        (&*file?).read_to_string(&mut text).ok()?;
        Some(text)
    }

    #[test]
    fn closed_files_open_again_unless_their_name_means_another() {
        let folder = tempfile::tempdir().unwrap();
        let handles = Handles::new(NonZeroUsize::new(2).unwrap());
        let names = ["a", "b", "c"];
        let path = |name: &str| folder.path().join(name);
        let open = |name: &str| {
            std::fs::write(path(name), name).unwrap();
            let file = File::open(path(name)).unwrap();
            let metadata = file.metadata().unwrap();
            handles.add(file, &metadata)
        };
        let files = names.map(open);
        assert_eq!(handles.count(), 2);
        let mut opened_again = 0;
        let mut lend = |index: usize| {
            let again = |_: &File| opened_again += 1;
            text(handles.lend(&files[index], &path(names[index]), again).unwrap())
        };
        assert_eq!(lend(0).as_deref(), Some("a"));
        assert_eq!(lend(2).as_deref(), Some("c"), "is open still");
        assert_eq!(lend(1).as_deref(), Some("b"));
        crate::fs::rename(&path("c"), &path("a")).unwrap();
        assert_eq!(lend(0), None, "another file has the name");
        assert_eq!(opened_again, 2);
        assert_eq!(handles.count(), 2);
        for file in &files {
            handles.remove(file);
        }
        assert_eq!(handles.count(), 0);
    }
}

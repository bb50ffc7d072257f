//! Who reads, and how.

use std::io;
use std::sync::OnceLock;

use parking_lot::Mutex;

use super::ScatterBatch;
use super::pread_pool::PreadPool;
use crate::directory::Ring;

/// Rings and buffers kept for later batches; more exist only while more threads read at once.
const KEPT_LANES: usize = 16;
/// Bytes of buffers kept with each; more exist only during a batch of many or large rows.
const KEPT_BYTES: usize = 2 << 20;

/// Opens a ring, or says why there is none.
type OpenRing = fn() -> io::Result<Ring>;

/// Reads many places of block files at a time, for any number of threads.
///
/// ```
/// use std::path::Path;
/// use bigrain_storage::{
///     BlockFile, BlockFileWriter, Extent, FileKind, RamDirectory, ScatterReader,
/// };
///
/// # let directory = RamDirectory::new();
/// # let path = Path::new("dense.text");
/// # let mut writer = BlockFileWriter::create(&directory, path, FileKind::Dense)?;
/// # writer.append(&[b"one", &[0; 9000][..], b"two"].concat())?;
/// # writer.finish()?;
/// let file = BlockFile::open(&directory, path, FileKind::Dense)?;
/// let reader = ScatterReader::auto();
/// let mut batch = reader.batch();
/// batch.read(&[
///     Extent { file: &file, offset: 9003, length: 3 },
///     Extent { file: &file, offset: 0, length: 3 },
/// ])?;
/// assert_eq!((batch.bytes(0), batch.bytes(1)), (&b"two"[..], &b"one"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ScatterReader {
    open_ring: Option<OpenRing>,
    /// Started when first needed.
    pool: OnceLock<Option<PreadPool>>,
    lanes: Mutex<Vec<Lane>>,
}

/// What one batch needs for itself.
#[derive(Default)]
pub(super) struct Lane {
    pub ring: Option<Ring>,
    pub buffers: Vec<Vec<u64>>,
}

impl ScatterReader {
    /// Reads through io_uring where the system has it, and else by threads that pread.
    #[must_use]
    pub fn auto() -> Self {
        Self::auto_with(Ring::open)
    }

    /// Reads through io_uring.
    ///
    /// # Errors
    ///
    /// The system's: it is too old, io_uring is switched off or filtered, or resources are short.
    pub fn uring() -> io::Result<Self> {
        Self::with_rings(Ring::open)
    }

    /// Reads by threads that pread.
    #[must_use]
    pub fn pread() -> Self {
        Self { open_ring: None, pool: OnceLock::new(), lanes: Mutex::default() }
    }

    pub(super) fn auto_with(open_ring: OpenRing) -> Self {
        Self::with_rings(open_ring).unwrap_or_else(|_| Self::pread())
    }

    /// Opens one ring, to see that it can be done, and keeps it.
    fn with_rings(open_ring: OpenRing) -> io::Result<Self> {
        let lane = Lane { ring: Some(open_ring()?), buffers: Vec::new() };
        Ok(Self { open_ring: Some(open_ring), lanes: Mutex::new(vec![lane]), ..Self::pread() })
    }

    /// One that was equipped for io_uring and gets no ring any more.
    #[cfg(test)]
    pub(super) fn that_lost_its_rings() -> Self {
        let open_ring: OpenRing = || Err(io::ErrorKind::OutOfMemory.into());
        Self { open_ring: Some(open_ring), ..Self::pread() }
    }

    /// Whether reads go through io_uring.
    #[must_use]
    pub fn uses_uring(&self) -> bool {
        self.open_ring.is_some()
    }

    /// Returns an empty batch; its buffers come back here when it is dropped.
    #[must_use]
    pub fn batch(&self) -> ScatterBatch<'_> {
        let lane = self.lanes.lock().pop().unwrap_or_default();
        ScatterBatch::new(self, lane)
    }

    /// Gives a lane its ring. Without one (this time: descriptors or memory may be short) the pool
    /// reads.
    pub(super) fn equip(&self, lane: &mut Lane) {
        if lane.ring.is_none() {
            lane.ring = self.open_ring.and_then(|open| open().ok());
        }
    }

    /// Returns the threads, or nothing where the system gives none.
    pub(super) fn pool(&self) -> Option<&PreadPool> {
        self.pool.get_or_init(|| PreadPool::start().ok()).as_ref()
    }

    pub(super) fn take_back(&self, mut lane: Lane) {
        if lane.buffers.iter().map(|buffer| 8 * buffer.capacity()).sum::<usize>() > KEPT_BYTES {
            lane.buffers.clear();
        }
        let mut lanes = self.lanes.lock();
        if lanes.len() < KEPT_LANES {
            lanes.push(lane);
        }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("buffers", &self.buffers.len()).finish_non_exhaustive()
    }
}

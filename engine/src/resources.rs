//! What the collections of an engine share.

use std::path::Path;
use std::sync::Arc;

use bigrain_index::verify::RowIo;
use bigrain_storage::{Directory, MmapDirectory, Store, StoreConfig, heap};

use crate::Result;
use crate::background::{Appointments, Background};
use crate::config::EngineConfig;
use crate::device::{self, Device, ScanDevice};
use crate::filtering::FilterCache;
use crate::kept_memory::KeptMemory;
use crate::memory::{Charge, Memory, Purpose};
use crate::threads::Threads;
use crate::word_cache::WordCache;

/// What is known of words may take this part of what rows of filters may, beside these.
const WORDS_PART: u64 = 16;

/// The store, files, threads, caches and limits of an engine.
#[derive(Debug)]
pub(crate) struct Resources {
    pub store: Arc<Store>,
    pub directory: Arc<dyn Directory>,
    pub threads: Threads,
    /// Merges segments: the background's share of the machine, or all of it where there is none.
    pub builders: Threads,
    /// Makes segments of memtables, with as many threads of its own: writers wait for a flush, which must not
    /// wait for a merge.
    pub flushers: Threads,
    pub row_io: RowIo,
    /// What scans codes in place of this CPU, if the caller opened something.
    pub device: Option<Arc<Device>>,
    /// Rows of segments that matched a filter.
    pub filters: FilterCache,
    /// What is known of words that many rows of a segment have.
    pub words: WordCache,
    pub limits: EngineConfig,
    pub memory: Arc<Memory>,
    /// What the store may take for as long as it is open.
    _store: Charge,
    /// What the allocator keeps.
    pub kept: KeptMemory,
    pub appointments: Arc<Appointments>,
}

impl Resources {
    /// Opens the store of a data folder and starts threads, those of the background included: they
    /// end when it is dropped.
    pub fn open(
        data_dir: &Path,
        limits: EngineConfig,
        device: Option<ScanDevice>,
    ) -> Result<(Self, Background)> {
        if let Some(budget) = limits.memory_budget_bytes {
            heap::keep_little(budget);
        }
        let store_config = StoreConfig {
            block_cache_bytes: limits.block_cache_bytes,
            write_buffer_bytes: limits.write_buffer_bytes,
            ..StoreConfig::default()
        };
        let store = Arc::new(Store::open(data_dir, &store_config)?);
        let directory: Arc<dyn Directory> = Arc::new(MmapDirectory::open(data_dir)?);
        let threads = Threads::start(limits.threads)?;
        let start_builders = |name| match limits.background_threads {
            0 => Ok(threads.clone()),
            count => Threads::start_builders(name, count),
        };
        let (builders, flushers) = (start_builders("merge")?, start_builders("flush")?);
        let background = Background::start(limits.background_threads)?;
        let row_io = RowIo::open(limits.verify_io)?;
        tracing::debug!(verify_io = %row_io.io(), io_uring = row_io.uses_uring(), "rows are read");
        let memory = Memory::new(limits.memory_budget_bytes);
        let resources = Self {
            store,
            directory,
            threads,
            builders,
            flushers,
            row_io,
            device: device.map(|device| Arc::new(Device::new(device))),
            filters: FilterCache::new(limits.filter_cache_bytes, &memory),
            words: WordCache::new(limits.filter_cache_bytes / WORDS_PART, &memory),
            _store: memory.charge(Purpose::Caches, limits.store_bytes()),
            kept: KeptMemory::new(limits.memory_budget_bytes, &memory),
            memory,
            appointments: Arc::clone(background.appointments()),
            limits,
        };
        Ok((resources, background))
    }

    /// Says, for people, that the CPU scans something that no device scans; nothing where there is none.
    pub fn scanned_here(&self, why: &str) -> Option<String> {
        self.device.as_ref().map(|_| device::host(&why))
    }

    /// Has the caches give way to something of so many bytes, as far as there is no room for it.
    pub fn make_room(&self, bytes: u64) {
        self.kept.look();
        self.filters.make_room(bytes);
        self.words.make_room(bytes);
    }
}

//! Extents that are read together.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::channel;

use super::ScatterReader;
use super::plan::{Place, Plan, Run};
use super::pread_pool::{Answer, Job};
use super::reader::Lane;
use crate::directory::RingRead;
use crate::{BlockFile, ReadError};

/// A range of a block file's body.
#[derive(Clone, Copy, Debug)]
pub struct Extent<'f> {
    /// The file.
    pub file: &'f BlockFile,
    /// Where the range starts in the body.
    pub offset: u64,
    /// How many bytes it has.
    pub length: usize,
}

/// Extents that are read together, and then their bytes. Reused, it keeps its buffers.
pub struct ScatterBatch<'r> {
    reader: &'r ScatterReader,
    lane: Lane,
    plan: Plan,
    results: Vec<i32>,
}

impl<'r> ScatterBatch<'r> {
    pub(super) fn new(reader: &'r ScatterReader, lane: Lane) -> Self {
        Self { reader, lane, plan: Plan::default(), results: Vec::new() }
    }

    /// Reads the blocks under every extent, each block once, checks them, and returns how many bytes
    /// that were. What an earlier read of this batch brought is gone.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when an extent ends behind its file's body, a file cannot be read or has become
    /// shorter, or a block is damaged. There are no bytes then.
    pub fn read(&mut self, extents: &[Extent<'_>]) -> Result<u64, ReadError> {
        let read = self.read_all(extents);
        if read.is_err() {
            self.plan.places.clear();
        }
        read
    }

    /// Returns the bytes of the extent at `index` of the last read; their start is aligned for plain
    /// values as it is in the body.
    ///
    /// # Panics
    ///
    /// When the last read failed or had fewer extents.
    #[must_use]
    pub fn bytes(&self, index: usize) -> &[u8] {
        let Place { run, start, length } = self.plan.places[index];
        if length == 0 {
            // No block was read for it, so its start may lie behind the buffer.
            return &[];
        }
        &bytemuck::cast_slice(&self.lane.buffers[run])[start..start + length]
    }

    fn read_all(&mut self, extents: &[Extent<'_>]) -> Result<u64, ReadError> {
        self.plan.make(extents)?;
        self.make_room(extents);
        if !self.read_through_ring(extents) {
            self.read_through_pool(extents);
        }
        let mut total = 0;
        for (number, run) in self.plan.runs.iter().enumerate() {
            let (file, length) = (run.file(extents), run.length(extents));
            let bytes = &mut bytemuck::cast_slice_mut(&mut self.lane.buffers[number])[..length];
            if usize::try_from(self.results[number]) != Ok(length) {
                file.reader().read_at(run.start(), bytes)?;
            }
            file.check(run.blocks.clone(), bytes)?;
            total += length as u64;
        }
        Ok(total)
    }

    /// Makes a buffer of sufficient size for each run.
    fn make_room(&mut self, extents: &[Extent<'_>]) {
        let buffers = &mut self.lane.buffers;
        if buffers.len() < self.plan.runs.len() {
            buffers.resize_with(self.plan.runs.len(), Vec::new);
        }
        for (run, buffer) in self.plan.runs.iter().zip(buffers) {
            let words = run.length(extents).div_ceil(8);
            if buffer.len() < words {
                buffer.resize(words, 0);
            }
        }
    }

    /// Returns whether the ring has read what it could. Its results say what that is.
    fn read_through_ring(&mut self, extents: &[Extent<'_>]) -> bool {
        self.reader.equip(&mut self.lane);
        let Some(ring) = &mut self.lane.ring else { return false };
        let read = |run: &Run| {
            let file = run.file(extents).reader().file()?;
            Some(RingRead { file, offset: run.start(), length: run.length(extents) })
        };
        // Files in memory have no descriptor; a batch with one of them has little to wait for.
        let Some(reads) = self.plan.runs.iter().map(read).collect::<Option<Vec<_>>>() else {
            return false;
        };
        if ring.read(&reads, &mut self.lane.buffers, &mut self.results).is_ok() {
            return true;
        }
        self.lane.ring = None;
        self.make_room(extents);
        false
    }

    /// Reads with many threads. What they cannot read is left to be read again, by name.
    fn read_through_pool(&mut self, extents: &[Extent<'_>]) {
        let runs = &self.plan.runs;
        self.results.clear();
        self.results.resize(runs.len(), 0);
        if runs.len() < 2 {
            return;
        }
        let Some(pool) = self.reader.pool() else { return };
        let (done, answers) = channel();
        let buffers = &mut self.lane.buffers;
        pool.submit(runs.iter().enumerate().map(|(number, run)| Job {
            number,
            reader: Arc::clone(run.file(extents).reader()),
            offset: run.start(),
            length: run.length(extents),
            buffer: std::mem::take(&mut buffers[number]),
            done: done.clone(),
        }));
        drop(done);
        for Answer { number, buffer, result } in answers {
            self.lane.buffers[number] = buffer;
            if result.is_ok() {
                self.results[number] = runs[number].length(extents) as i32;
            }
        }
        // A thread that died took its buffer along.
        self.make_room(extents);
    }
}

impl Drop for ScatterBatch<'_> {
    fn drop(&mut self) {
        self.reader.take_back(std::mem::take(&mut self.lane));
    }
}

impl fmt::Debug for ScatterBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScatterBatch").field("plan", &self.plan).finish_non_exhaustive()
    }
}

//! Codes in the memory of a device.

use std::sync::Arc;

use bigrain_binarize::{CodeBlocks, CodeLayout};
use bigrain_kernels::{BLOCK_ROWS, QueryPlanes, block_bytes};

use crate::backend::{download, send};
use crate::{Arg, Backend, CodeShape, DeviceBuffer, GpuError, Kernel, Launch};

/// Threads of a block of the kernels that give each code a thread.
pub(crate) const THREADS: u32 = 256;

/// Bytes of codes that are rearranged and copied at a time.
const STAGE_BYTES: usize = 8 << 20;

/// What is left free on a device for searches: a part of its memory.
const KEPT_FREE: u64 = 16;

/// The most shared memory that a block of threads may have on every device, in bytes.
pub(crate) const MAX_SHARED_BYTES: usize = 48 << 10;

/// Codes with their factors in the memory of a device, as `kernels/scan.cu` wants them.
///
/// The bytes of a block of 32 codes stay in the block; four columns of bytes become one column of words:
///
/// ```text
///  in memory here:    | byte 0 of 32 codes | byte 1 of 32 codes | byte 2 .. | byte 3 .. | byte 4 .. |
///  on the device:     | word 0 (bytes 0 to 3) of 32 codes                               | word 1 .. |
/// ```
#[derive(Debug)]
pub struct GpuCodes {
    pub(crate) backend: Arc<dyn Backend>,
    layout: CodeLayout,
    rows: usize,
    bytes: u64,
    pub(crate) planes: DeviceBuffer,
    pub(crate) add: DeviceBuffer,
    pub(crate) rescale: DeviceBuffer,
    pub(crate) error: DeviceBuffer,
}

impl GpuCodes {
    /// Copies codes to a device.
    ///
    /// # Errors
    ///
    /// [`GpuError::OutOfMemory`] unless they fit and a sixteenth of all memory stays free for searches, however many
    /// codes are loaded;
    /// [`GpuError::Shape`] for slices that are no such codes; [`GpuError::Device`].
    pub fn load(backend: Arc<dyn Backend>, codes: &CodeBlocks<'_>) -> Result<Self, GpuError> {
        let CodeBlocks { layout, rows, ref planes, factors } = *codes;
        let blocks = rows.div_ceil(BLOCK_ROWS);
        let plane_bytes = blocks * block_bytes(layout.dims());
        let whole = planes.len() == layout.levels().count()
            && planes.iter().all(|plane| plane.len() >= plane_bytes)
            && [factors.add.len(), factors.rescale.len(), factors.error.len()]
                .iter()
                .all(|&len| len >= rows);
        if !whole {
            let levels = layout.levels().count();
            return Err(GpuError::Shape(format!(
                "planes or factors are too short for {rows} codes of {levels} levels"
            )));
        }
        let bytes = (planes.len() * plane_bytes + rows * 8) as u64;
        let kept = backend.total_bytes()? / KEPT_FREE;
        let free = backend.free_bytes()?;
        if bytes > free.saturating_sub(kept) {
            return Err(GpuError::OutOfMemory { what: "codes", needed: bytes, free });
        }
        let on_device = backend.allocate("codes", (planes.len() * plane_bytes).max(1))?;
        let block = block_bytes(layout.dims());
        let stage = (STAGE_BYTES / block).max(1) * block;
        for (level, plane) in planes.iter().enumerate() {
            for (part, from) in plane[..plane_bytes].chunks(stage).zip((0..).step_by(stage)) {
                // The next part is rearranged while this one is copied.
                let words = weave(part, block);
                let at = level * plane_bytes + from;
                backend.send(&on_device, at, bytemuck::cast_slice(&words))?;
            }
        }
        let loaded = Self {
            layout,
            rows,
            bytes,
            planes: on_device,
            add: send(&*backend, "factors", &factors.add[..rows])?,
            rescale: send(&*backend, "factors", &factors.rescale[..rows])?,
            error: send(&*backend, "factors", &factors.error[..rows])?,
            backend,
        };
        // Other threads scan them.
        loaded.backend.finish()?;
        Ok(loaded)
    }

    /// Returns the shape of each code.
    #[must_use]
    pub fn layout(&self) -> CodeLayout {
        self.layout
    }

    /// Returns how many codes there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the bytes they take on the device, factors included.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the score of each code for each query, query by query.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for queries of different widths or another length; what the device reports.
    pub fn scores(&self, queries: &[QueryPlanes<'_>]) -> Result<Vec<i32>, GpuError> {
        let Some(first) = queries.first().filter(|_| self.rows > 0) else { return Ok(Vec::new()) };
        let (shape, planes) = self.query_words(queries)?;
        let on_device = send(&*self.backend, "queries", &planes)?;
        let count = queries.len() * self.rows;
        let scores = self.backend.allocate("scores", 4 * count)?;
        let args = [
            Arg::Buffer(&self.planes),
            Arg::U64(self.level_stride()),
            Arg::Buffer(&on_device),
            Arg::I32(self.words() as i32),
            Arg::I32(first.dims() as i32),
            Arg::U32(self.rows as u32),
            Arg::Buffer(&scores),
        ];
        let launch = Launch {
            kernel: Kernel::ScoreCodes,
            shape,
            grid: [(self.rows as u32).div_ceil(THREADS), queries.len() as u32],
            threads: THREADS,
            shared_bytes: shared_bytes(4 * self.words() * usize::from(shape.width))?,
            args: &args,
        };
        self.launch(&launch)?;
        download(&*self.backend, &scores, count)
    }

    /// Starts one of the kernels that look at the codes.
    #[expect(unsafe_code, reason = "kernels take pointers")]
    pub(crate) fn launch(&self, launch: &Launch<'_>) -> Result<(), GpuError> {
        // SAFETY: this crate's callers pass what the kernels in `kernels/` declare, and buffers that are as long as the
        // numbers passed beside them say; tests run each kernel on the host with the same arguments.
        unsafe { self.backend.launch(launch) }
    }

    /// Returns the words of 32 bits of a plane of a code.
    pub(crate) fn words(&self) -> usize {
        self.layout.dims() / 32
    }

    /// Returns the words of 32 bits from one level to the next.
    pub(crate) fn level_stride(&self) -> u64 {
        (self.rows.div_ceil(BLOCK_ROWS) * block_bytes(self.layout.dims()) / 4) as u64
    }

    /// Returns the planes of queries in words of 32 bits, and what to compile for.
    pub(crate) fn query_words(
        &self,
        queries: &[QueryPlanes<'_>],
    ) -> Result<(CodeShape, Vec<u32>), GpuError> {
        let (Some(first), words) = (queries.first(), self.words()) else {
            return Err(GpuError::Shape("no queries".to_owned()));
        };
        let mut planes = Vec::with_capacity(queries.len() * first.width() * words);
        for query in queries {
            if 2 * query.words() != words
                || (query.width(), query.dims()) != (first.width(), first.dims())
            {
                return Err(GpuError::Shape(format!(
                    "a query of {} dimensions and {} planes among those of {} and {}; codes have {}",
                    query.dims(),
                    query.width(),
                    first.dims(),
                    first.width(),
                    self.layout.dims()
                )));
            }
            for plane in 0..query.width() {
                let halves = |word: &u64| [*word as u32, (*word >> 32) as u32];
                planes.extend(query.plane(plane).iter().flat_map(halves));
            }
        }
        Ok((CodeShape { levels: self.layout.levels().get(), width: first.width() as u8 }, planes))
    }
}

/// Checks that shared memory suffices on every device.
pub(crate) fn shared_bytes(bytes: usize) -> Result<u32, GpuError> {
    if bytes > MAX_SHARED_BYTES {
        return Err(GpuError::Shape(format!(
            "{bytes} bytes of shared memory are needed, and blocks of threads have {MAX_SHARED_BYTES}: fewer dimensions \
             fit"
        )));
    }
    Ok(bytes as u32)
}

/// Makes columns of words of columns of bytes, in blocks of `block` bytes.
fn weave(blocks: &[u8], block: usize) -> Vec<u32> {
    let mut words = vec![0; blocks.len() / 4];
    for (words, block) in words.chunks_mut(block / 4).zip(blocks.chunks(block)) {
        let columns = block.chunks(4 * BLOCK_ROWS).zip(words.chunks_mut(BLOCK_ROWS));
        for (bytes, words) in columns {
            for (lane, word) in words.iter_mut().enumerate() {
                let byte = |k: usize| bytes[k * BLOCK_ROWS + lane];
                *word = u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]);
            }
        }
    }
    words
}

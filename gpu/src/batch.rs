//! Many queries at once, on tensor cores.

use std::marker::PhantomData;

use bigrain_kernels::{BLOCK_ROWS, QueryPlanes, Scored};

use crate::backend::{download, send};
use crate::codes::{GpuCodes, THREADS, shared_bytes};
use crate::{Arg, CodeShape, DeviceBuffer, GpuError, Kernel, Launch};

/// The most planes of a query in a batch: their odd integers are bytes.
pub const MAX_BATCH_WIDTH: usize = 7;

/// Results of a query in a batch, at most.
const MAX_LIMIT: usize = 1024;

/// Queries and codes of a tile, as in batch.cu.
const TILE_QUERIES: u32 = 64;
const TILE_CODES: u32 = 128;

/// A query of a batch and what makes similarities of its scores: `add + constant + rescale * scale * S`.
#[derive(Clone, Copy, Debug)]
pub struct BatchQuery<'a> {
    /// Its planes, at most [`MAX_BATCH_WIDTH`].
    pub planes: QueryPlanes<'a>,
    /// What every similarity contains.
    pub constant: f32,
    /// What the score is multiplied with, times the factor of the code.
    pub scale: f32,
}

/// Queries in the memory of a device, ready for codes. They are there for the thread that has sent them, and so this
/// stays with it.
#[derive(Debug)]
pub struct BatchScan<'a> {
    codes: &'a GpuCodes,
    shape: CodeShape,
    queries: u32,
    padded: usize,
    values: DeviceBuffer,
    sums: DeviceBuffer,
    terms: DeviceBuffer,
    /// Neither sent to nor shared with another thread.
    _thread: PhantomData<*const ()>,
}

impl<'a> BatchScan<'a> {
    /// Copies queries to the device and makes bytes of them.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for no queries, too many planes, or different shapes; what the device reports.
    pub fn new(codes: &'a GpuCodes, queries: &[BatchQuery<'_>]) -> Result<Self, GpuError> {
        let planes: Vec<QueryPlanes<'_>> = queries.iter().map(|query| query.planes).collect();
        let (shape, words) = codes.query_words(&planes)?;
        if usize::from(shape.width) > MAX_BATCH_WIDTH {
            let width = shape.width;
            return Err(GpuError::Shape(format!(
                "queries of {width} planes: batches take {MAX_BATCH_WIDTH} at most"
            )));
        }
        let backend = &*codes.backend;
        let padded = codes.layout().dims();
        let dims = planes.first().map_or(0, QueryPlanes::dims);
        let on_device = send(backend, "queries", &words)?;
        let terms: Vec<[f32; 5]> =
            queries.iter().map(|query| [query.constant, query.scale, 0.0, 0.0, 0.0]).collect();
        let scan = Self {
            codes,
            shape,
            queries: queries.len() as u32,
            padded,
            values: backend.allocate("queries", queries.len() * padded)?,
            sums: backend.allocate("queries", 4 * queries.len())?,
            terms: send(backend, "terms", &terms)?,
            _thread: PhantomData,
        };
        codes.launch(&Launch {
            kernel: Kernel::DecodeQueries,
            shape,
            grid: [scan.queries, 1],
            threads: THREADS,
            shared_bytes: 0,
            args: &[
                Arg::Buffer(&on_device),
                Arg::I32(codes.words() as i32),
                Arg::I32(dims as i32),
                Arg::I32(padded as i32),
                Arg::Buffer(&scan.values),
                Arg::Buffer(&scan.sums),
            ],
        })?;
        Ok(scan)
    }

    /// Returns the score of each code for each query, query by query.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn scores(&self) -> Result<Vec<i32>, GpuError> {
        let rows = self.codes.rows() as u32;
        let count = self.queries as usize * rows as usize;
        let out = self.codes.backend.allocate("scores", (4 * count).max(1))?;
        if count > 0 {
            self.multiply(0, rows, None, false, &out)?;
        }
        download(&*self.codes.backend, &out, count)
    }

    /// Returns the `limit` codes with the largest similarities for each query, best first and the smaller row first
    /// among equals. Codes outside the mask, if there is one, and similarities that are no numbers are left out.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for a limit of 0 or above 1,024, or a mask that is too short; what the device reports.
    pub fn best(&self, limit: usize, mask: Option<&[u32]>) -> Result<Vec<Vec<Scored>>, GpuError> {
        let rows = self.codes.rows();
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(GpuError::Shape(format!("limit {limit}: expected 1 to {MAX_LIMIT}")));
        }
        if let Some(mask) = mask.filter(|mask| mask.len() < rows.div_ceil(BLOCK_ROWS)) {
            return Err(GpuError::Shape(format!(
                "a mask of {} words for {rows} codes",
                mask.len()
            )));
        }
        let backend = &*self.codes.backend;
        let mask = mask.map(|mask| send(backend, "mask", mask)).transpose()?;
        // The matrix of similarities of a stretch of codes takes a quarter of what is free.
        let room = backend.free_bytes()? / 4 / (4 * u64::from(self.queries));
        let columns = room.clamp(u64::from(TILE_CODES), 1 << 20) as u32 / TILE_CODES * TILE_CODES;
        let columns = columns.min((rows as u32).max(1));
        let parts = (rows as u32).div_ceil(columns);
        let matrix =
            backend.allocate("similarities", 4 * columns as usize * self.queries as usize)?;
        let keys = 8 * self.queries as usize * limit;
        let (partial, best) = (
            backend.allocate("keys", (keys * parts as usize).max(1))?,
            backend.allocate("keys", keys)?,
        );
        let capacity = limit.next_power_of_two().max(THREADS as usize) as u32;
        for part in 0..parts {
            let first = part * columns;
            let columns = columns.min(rows as u32 - first);
            self.multiply(first, columns, mask.as_ref(), true, &matrix)?;
            let args = [
                Arg::Buffer(&matrix),
                Arg::U32(columns),
                Arg::U32(first),
                Arg::U32(part),
                Arg::U32(parts),
                Arg::Buffer(&partial),
                Arg::U32(limit as u32),
                Arg::U32(capacity),
            ];
            self.select(Kernel::SelectRows, capacity, &args)?;
        }
        let ranges: Vec<u32> = (0..=self.queries).map(|query| query * parts).collect();
        let ranges = send(backend, "ranges", &ranges)?;
        let args = [
            Arg::Buffer(&partial),
            Arg::Buffer(&ranges),
            Arg::Buffer(&best),
            Arg::U32(limit as u32),
            Arg::U32(capacity),
        ];
        self.select(Kernel::MergeBest, capacity, &args)?;
        let keys: Vec<u64> = download(backend, &best, self.queries as usize * limit)?;
        let of = |keys: &[u64]| keys.iter().take_while(|&&key| key != 0).map(scored).collect();
        Ok(keys.chunks(limit).map(of).collect())
    }

    /// Multiplies queries with codes from `first` on, into a matrix of as many columns.
    fn multiply(
        &self,
        first: u32,
        columns: u32,
        mask: Option<&DeviceBuffer>,
        as_similarities: bool,
        out: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        let codes = self.codes;
        let add = if as_similarities { Arg::Buffer(&codes.add) } else { Arg::Null };
        codes.launch(&Launch {
            kernel: Kernel::BatchScores,
            shape: self.shape,
            grid: [columns.div_ceil(TILE_CODES), self.queries.div_ceil(TILE_QUERIES)],
            threads: THREADS,
            shared_bytes: 0,
            args: &[
                Arg::Buffer(&codes.planes),
                Arg::U64(codes.level_stride()),
                Arg::Buffer(&self.values),
                Arg::Buffer(&self.sums),
                Arg::I32(codes.words() as i32),
                Arg::I32(self.padded as i32),
                Arg::U32(self.queries),
                Arg::U32(first),
                Arg::U32(columns),
                add,
                Arg::Buffer(&codes.rescale),
                Arg::Buffer(&self.terms),
                mask.map_or(Arg::Null, Arg::Buffer),
                Arg::Buffer(out),
            ],
        })
    }

    fn select(&self, kernel: Kernel, capacity: u32, args: &[Arg<'_>]) -> Result<(), GpuError> {
        self.codes.launch(&Launch {
            kernel,
            shape: self.shape,
            grid: [self.queries, 1],
            threads: THREADS,
            shared_bytes: shared_bytes(16 * capacity as usize)?,
            args,
        })
    }
}

/// Reads a key; see `key_of` in common.cuh.
fn scored(key: &u64) -> Scored {
    let rising = (key >> 32) as u32;
    let bits = if rising >> 31 == 1 { rising & 0x7fff_ffff } else { !rising };
    Scored { score: f32::from_bits(bits), offset: !(*key as u32) }
}

//! Scanning lists: which rows may be among the best of each request.

use bigrain_binarize::{ScanRequest, ScannedList, ScoredCode};
use bigrain_kernels::{BLOCK_ROWS, Bounds, QueryPlanes};

use crate::backend::{download, send};
use crate::codes::{GpuCodes, THREADS, shared_bytes};
use crate::{Arg, CodeShape, DeviceBuffer, GpuError, Kernel, Launch};

/// With more results wanted than this no lower bounds are kept, and everything above the floor is returned.
const MAX_WANTED: usize = 1024;

/// Parts that lists are cut into, about: enough to keep every multiprocessor busy to the end.
const PARTS: u64 = 2048;

/// Rows of a part.
const PART_ROWS: std::ops::RangeInclusive<u64> = 1024..=1 << 16;

/// Survivors that there is room for at first, for each request.
const ROOM: usize = 4096;

/// Bytes a row takes while it is scanned: score and upper bound.
const ROW_BYTES: u64 = 8;

impl GpuCodes {
    /// Returns the rows of each request that may be among its best; see
    /// [`LoadedCodes::scan`](bigrain_binarize::LoadedCodes::scan). Requests are scanned together as far as they fit.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for requests that do not belong together or to these codes; [`GpuError::OutOfMemory`] when
    /// one request alone does not fit; what the device reports.
    pub fn scan(&self, requests: &[ScanRequest<'_>]) -> Result<Vec<Vec<ScoredCode>>, GpuError> {
        requests.iter().try_for_each(|request| self.check(request))?;
        let budget = self.backend.free_bytes()? / 2;
        let mut found = Vec::with_capacity(requests.len());
        let mut rest = requests;
        while let Some((first, others)) = rest.split_first() {
            // Those that have the same mask and limit, and fit.
            let mut bytes = ROW_BYTES * rows_of(first);
            let together = others.iter().take_while(|other| {
                bytes += ROW_BYTES * rows_of(other);
                bytes <= budget && other.limit == first.limit && same(other.mask, first.mask)
            });
            let count = 1 + together.count();
            let (batch, after) = rest.split_at(count);
            found.extend(self.scan_together(batch)?);
            rest = after;
        }
        Ok(found)
    }

    fn check(&self, request: &ScanRequest<'_>) -> Result<(), GpuError> {
        let rows = self.rows() as u32;
        let outside = |list: &&ScannedList| list.rows.start > list.rows.end || list.rows.end > rows;
        if let Some(list) = request.lists.iter().find(outside) {
            let wanted = &list.rows;
            return Err(GpuError::Shape(format!("rows {wanted:?} of {rows} codes")));
        }
        let words = self.rows().div_ceil(BLOCK_ROWS);
        match request.mask.filter(|mask| mask.len() < words) {
            Some(mask) => {
                Err(GpuError::Shape(format!("a mask of {} words for {rows} codes", mask.len())))
            }
            None => Ok(()),
        }
    }

    /// Scans requests with one mask and limit.
    fn scan_together(
        &self,
        requests: &[ScanRequest<'_>],
    ) -> Result<Vec<Vec<ScoredCode>>, GpuError> {
        let parts = Parts::of(requests);
        let Some(first) = requests.first().filter(|_| parts.rows > 0) else {
            return Ok(vec![Vec::new(); requests.len()]);
        };
        let queries: Vec<QueryPlanes<'_>> = requests.iter().map(|request| request.query).collect();
        let (shape, planes) = self.query_words(&queries)?;
        let backend = &*self.backend;
        let prunes = (1..=MAX_WANTED).contains(&first.limit);
        let wanted = if prunes { first.limit } else { 1 };
        let run = Run {
            codes: self,
            shape,
            parts: parts.items.len() as u32,
            wanted: wanted as u32,
            capacity: wanted.next_power_of_two().max(THREADS as usize) as u32,
            items: send(backend, "parts of lists", &parts.items)?,
            scores: backend.allocate("scores", 4 * parts.rows as usize)?,
            uppers: backend.allocate("bounds", 4 * parts.rows as usize)?,
        };
        let queries = send(backend, "queries", &planes)?;
        let terms = send(backend, "terms", &parts.terms)?;
        let mask = first.mask.map(|mask| send(backend, "mask", mask)).transpose()?;
        let best = run.scan(&queries, first.query.dims(), &terms, mask.as_ref(), &parts.ranges)?;
        let floors: Vec<f32> = requests.iter().map(|request| request.floor).collect();
        run.collect(&best, &send(backend, "floors", &floors)?, requests.len(), prunes)
    }
}

/// Lists of all requests, cut into parts.
#[derive(Default)]
struct Parts {
    /// Query, list, first and last row, and where its rows are written (two words): see `ScanItem` in scan.cu.
    items: Vec<[u32; 6]>,
    /// See `Terms` in common.cuh.
    terms: Vec<[f32; 5]>,
    /// Parts of request `i`: `ranges[i]..ranges[i + 1]`.
    ranges: Vec<u32>,
    rows: u64,
}

impl Parts {
    fn of(requests: &[ScanRequest<'_>]) -> Self {
        let total: u64 = requests.iter().map(rows_of).sum();
        let rows = (total / PARTS).clamp(*PART_ROWS.start(), *PART_ROWS.end()) as usize;
        let mut parts = Self { ranges: vec![0], ..Self::default() };
        for (query, request) in requests.iter().enumerate() {
            for ScannedList { rows: list, bounds, rounding } in request.lists {
                for first in list.clone().step_by(rows) {
                    let end = list.end.min(first.saturating_add(rows as u32));
                    let (out, list) = (parts.rows, parts.terms.len() as u32);
                    let item = [query as u32, list, first, end, out as u32, (out >> 32) as u32];
                    parts.items.push(item);
                    parts.rows += u64::from(end - first);
                }
                let Bounds { constant, scale, error, bias } = *bounds;
                parts.terms.push([constant, scale, error, bias, *rounding]);
            }
            parts.ranges.push(parts.items.len() as u32);
        }
        parts
    }
}

/// What the kernels of one scan share.
struct Run<'a> {
    codes: &'a GpuCodes,
    shape: CodeShape,
    parts: u32,
    wanted: u32,
    capacity: u32,
    items: DeviceBuffer,
    scores: DeviceBuffer,
    uppers: DeviceBuffer,
}

impl Run<'_> {
    /// Scores and bounds all rows; returns the best lower bounds of each request.
    fn scan(
        &self,
        queries: &DeviceBuffer,
        dims: usize,
        terms: &DeviceBuffer,
        mask: Option<&DeviceBuffer>,
        ranges: &[u32],
    ) -> Result<DeviceBuffer, GpuError> {
        let Self { codes, shape, wanted, capacity, .. } = self;
        let backend = &*codes.backend;
        let keys = backend.allocate("keys", 8 * self.parts as usize * *wanted as usize)?;
        let selection = 16 * *capacity as usize;
        let args = [
            Arg::Buffer(&codes.planes),
            Arg::U64(codes.level_stride()),
            Arg::Buffer(&codes.add),
            Arg::Buffer(&codes.rescale),
            Arg::Buffer(&codes.error),
            Arg::Buffer(queries),
            Arg::Buffer(&self.items),
            Arg::Buffer(terms),
            mask.map_or(Arg::Null, Arg::Buffer),
            Arg::I32(codes.words() as i32),
            Arg::I32(dims as i32),
            Arg::U32(*wanted),
            Arg::U32(*capacity),
            Arg::Buffer(&self.scores),
            Arg::Buffer(&self.uppers),
            Arg::Buffer(&keys),
        ];
        let query_bytes = 4 * codes.words() * usize::from(shape.width);
        codes.launch(&Launch {
            kernel: Kernel::ScanLists,
            shape: *shape,
            grid: [self.parts, 1],
            threads: THREADS,
            shared_bytes: shared_bytes(selection + query_bytes)?,
            args: &args,
        })?;
        let requests = ranges.len() - 1;
        let best = backend.allocate("keys", 8 * requests * *wanted as usize)?;
        let ranges = send(backend, "parts of requests", ranges)?;
        codes.launch(&Launch {
            kernel: Kernel::MergeBest,
            shape: *shape,
            grid: [requests as u32, 1],
            threads: THREADS,
            shared_bytes: shared_bytes(selection)?,
            args: &[
                Arg::Buffer(&keys),
                Arg::Buffer(&ranges),
                Arg::Buffer(&best),
                Arg::U32(*wanted),
                Arg::U32(*capacity),
            ],
        })?;
        Ok(best)
    }

    /// Fetches the rows that may be among the best; where there are more than there was room for, once more.
    fn collect(
        &self,
        best: &DeviceBuffer,
        floors: &DeviceBuffer,
        requests: usize,
        prunes: bool,
    ) -> Result<Vec<Vec<ScoredCode>>, GpuError> {
        let backend = &*self.codes.backend;
        let mut room = ROOM;
        loop {
            let counts = backend.allocate("counts", 4 * requests)?;
            let survivors = backend.allocate("survivors", 8 * requests * room)?;
            self.codes.launch(&Launch {
                kernel: Kernel::Collect,
                shape: self.shape,
                grid: [self.parts, 1],
                threads: THREADS,
                shared_bytes: 0,
                args: &[
                    Arg::Buffer(&self.items),
                    Arg::Buffer(&self.scores),
                    Arg::Buffer(&self.uppers),
                    Arg::Buffer(best),
                    Arg::Buffer(floors),
                    Arg::U32(self.wanted),
                    Arg::I32(i32::from(prunes)),
                    Arg::U32(room as u32),
                    Arg::Buffer(&counts),
                    Arg::Buffer(&survivors),
                ],
            })?;
            let counts: Vec<u32> = download(backend, &counts, requests)?;
            let most = counts.iter().copied().max().unwrap_or(0) as usize;
            if most > room {
                room = most;
                continue;
            }
            let found: Vec<[u32; 2]> = download(backend, &survivors, requests * room)?;
            let of = |(&count, found): (&u32, &[[u32; 2]])| {
                let scored = |&[row, score]: &[u32; 2]| ScoredCode { row, score: score as i32 };
                found[..count as usize].iter().map(scored).collect()
            };
            return Ok(counts.iter().zip(found.chunks(room)).map(of).collect());
        }
    }
}

fn rows_of(request: &ScanRequest<'_>) -> u64 {
    request.lists.iter().map(|list| list.rows.len() as u64).sum()
}

/// Whether two masks are one slice.
fn same(a: Option<&[u32]>, b: Option<&[u32]>) -> bool {
    a.map(<[u32]>::as_ptr_range) == b.map(<[u32]>::as_ptr_range)
}

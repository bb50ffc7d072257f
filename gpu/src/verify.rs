//! Exact similarities on a device.

use bigrain_types::Metric;

use crate::backend::{download, send, upload};
use crate::codes::{THREADS, shared_bytes};
use crate::encode::{run, whole_rows};
use crate::{Arg, Backend, CodeShape, DeviceBuffer, GpuError, Kernel, Launch};

/// Dense rows in the memory of a device.
#[derive(Debug)]
pub struct DenseRows {
    numbers: DeviceBuffer,
    dims: usize,
    rows: usize,
    halves: bool,
}

impl DenseRows {
    /// Copies rows of `dims` numbers to a device.
    ///
    /// # Errors
    ///
    /// [`GpuError::Shape`] for rows that are not whole; [`GpuError::OutOfMemory`]; what the device reports.
    pub fn load(backend: &dyn Backend, numbers: &[f32], dims: usize) -> Result<Self, GpuError> {
        let rows = whole_rows(numbers.len(), dims)?;
        Ok(Self { numbers: upload(backend, "dense rows", numbers)?, dims, rows, halves: false })
    }

    /// As [`DenseRows::load`], for the bits of binary16 numbers.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn load_halves(
        backend: &dyn Backend,
        numbers: &[u16],
        dims: usize,
    ) -> Result<Self, GpuError> {
        let rows = whole_rows(numbers.len(), dims)?;
        Ok(Self { numbers: upload(backend, "dense rows", numbers)?, dims, rows, halves: true })
    }
}

/// Rows to be scored for each of some queries.
#[derive(Clone, Copy, Debug)]
pub struct Shortlists<'a> {
    /// Queries, one after the other.
    pub queries: &'a [f32],
    /// As many rows for each query, query by query.
    pub rows: &'a [u32],
}

/// Returns the similarity of each row of each shortlist, in their order: dot products, or minus squared distances.
/// Sums run in an order of the device's, so they agree with the CPU's within what rounding of `dims` terms may do.
///
/// # Errors
///
/// [`GpuError::Shape`] for a row that is not there or lists of different lengths; what the device reports.
pub fn verify_rows(
    backend: &dyn Backend,
    rows: &DenseRows,
    metric: Metric,
    shortlists: Shortlists<'_>,
) -> Result<Vec<f32>, GpuError> {
    let queries = whole_rows(shortlists.queries.len(), rows.dims)?;
    if let Some(row) = shortlists.rows.iter().find(|&&row| row as usize >= rows.rows) {
        return Err(GpuError::Shape(format!("row {row} of {}", rows.rows)));
    }
    if shortlists.rows.is_empty() {
        return Ok(Vec::new());
    }
    if queries == 0 || !shortlists.rows.len().is_multiple_of(queries) {
        let count = shortlists.rows.len();
        return Err(GpuError::Shape(format!("{count} candidates for {queries} queries")));
    }
    let length = (shortlists.rows.len() / queries) as u32;
    let on_device = send(backend, "queries", shortlists.queries)?;
    let candidates = send(backend, "shortlists", shortlists.rows)?;
    let similarities = backend.allocate("similarities", 4 * shortlists.rows.len())?;
    let launch = Launch {
        kernel: Kernel::VerifyRows,
        shape: CodeShape::ANY,
        grid: [length.div_ceil(THREADS / 32), queries as u32],
        threads: THREADS,
        shared_bytes: 0,
        args: &[
            Arg::Buffer(&rows.numbers),
            Arg::I32(i32::from(rows.halves)),
            Arg::I32(rows.dims as i32),
            Arg::Buffer(&on_device),
            Arg::Buffer(&candidates),
            Arg::U32(length),
            Arg::I32(i32::from(metric == Metric::L2)),
            Arg::Buffer(&similarities),
        ],
    };
    run(backend, &launch)?;
    download(backend, &similarities, shortlists.rows.len())
}

/// Returns the MaxSim of a query (rows of `dims` numbers) with each multi-vector: point `p` has the tokens
/// `starts[p]..starts[p + 1]`, bits of binary16 numbers. Of a point without tokens it is minus infinity.
///
/// # Errors
///
/// [`GpuError::Shape`] for tokens that are not whole or not there, or a query without tokens; what the device reports.
pub fn max_sim(
    backend: &dyn Backend,
    tokens: &[u16],
    starts: &[u32],
    dims: usize,
    query: &[f32],
) -> Result<Vec<f32>, GpuError> {
    let (count, query_tokens) = (whole_rows(tokens.len(), dims)?, whole_rows(query.len(), dims)?);
    let rising = starts.is_sorted() && starts.last().is_none_or(|&end| end as usize <= count);
    if !rising || query_tokens == 0 {
        return Err(GpuError::Shape(format!(
            "starts of points do not rise to {count} tokens at most, or the query has none"
        )));
    }
    let points = starts.len().saturating_sub(1);
    if points == 0 {
        return Ok(Vec::new());
    }
    let tokens = send(backend, "tokens", tokens)?;
    let starts = send(backend, "tokens", starts)?;
    let query = send(backend, "query", query)?;
    let similarities = backend.allocate("similarities", 4 * points)?;
    let launch = Launch {
        kernel: Kernel::MaxSim,
        shape: CodeShape::ANY,
        grid: [points as u32, 1],
        threads: THREADS,
        shared_bytes: shared_bytes(4 * query_tokens)?,
        args: &[
            Arg::Buffer(&tokens),
            Arg::Buffer(&starts),
            Arg::I32(dims as i32),
            Arg::Buffer(&query),
            Arg::I32(query_tokens as i32),
            Arg::Buffer(&similarities),
        ],
    };
    run(backend, &launch)?;
    download(backend, &similarities, points)
}

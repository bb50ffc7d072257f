//! What both sides must agree on before anything is measured.

use std::fmt::Debug;
use std::sync::Arc;

use anyhow::bail;
use bigrain_binarize::{ListCentroids, Rotation, ScanRequest, ScannedList, ScoredCode};
use bigrain_gpu::{Backend, BatchQuery, BatchScan, GpuCodes, quantize_rows, rotate_rows};
use bigrain_kernels::{Bounds, QueryPlanes};
use bigrain_types::Levels;

use super::codes::RandomCodes;
use super::host;

/// Queries whose scores are compared for all codes, and whose results are compared.
const QUERIES: usize = 3;

/// Codes whose scores are compared for all queries.
const CODES: usize = 4096;

/// Rows that are compared: encoded, and with all centroids one by one.
const ROWS: usize = 256;

/// Refuses a device that gives other integer scores than the CPU, or other results of scans and batches.
pub(super) fn scores_agree(
    device: &Arc<dyn Backend>,
    codes: &RandomCodes,
    (loaded, queries): (&GpuCodes, &[QueryPlanes<'_>]),
    bounds: Bounds,
    limit: usize,
) -> anyhow::Result<()> {
    let levels = codes.layout.levels();
    let few = &queries[..queries.len().min(QUERIES)];
    for (at, query) in few.iter().enumerate() {
        let expected = host::scores(codes, *query, codes.rows);
        let what = format!("score of query {at} and code");
        same(&what, levels, &loaded.scores(&[*query])?, &expected)?;
        let found = scan(loaded, *query, bounds, limit)?;
        let what = format!("row that may be among the best of query {at}:");
        same(&what, levels, &found, &host::survivors(codes, *query, bounds, limit))?;
    }
    let batch = batch_of(queries, bounds);
    let rows = codes.rows.min(CODES);
    let first = GpuCodes::load(Arc::clone(device), &codes.first(rows))?;
    let found = BatchScan::new(&first, &batch)?.scores()?;
    for (at, (query, found)) in queries.iter().zip(found.chunks(rows)).enumerate() {
        let what = format!("score in a batch of query {at} and code");
        same(&what, levels, found, &host::scores(codes, *query, rows))?;
    }
    let found = BatchScan::new(loaded, &batch[..few.len()])?.best(limit, None)?;
    for (at, (found, expected)) in
        found.iter().zip(host::best(codes, few, bounds, limit)).enumerate()
    {
        same(&format!("result in a batch of query {at}:"), levels, found, &expected)?;
    }
    Ok(())
}

/// Scans all codes as one list; the rows come rising.
pub(super) fn scan(
    loaded: &GpuCodes,
    query: QueryPlanes<'_>,
    bounds: Bounds,
    limit: usize,
) -> anyhow::Result<Vec<ScoredCode>> {
    let lists = [ScannedList { rows: 0..loaded.rows() as u32, bounds, rounding: 0.0 }];
    let floor = f32::NEG_INFINITY;
    let found = loaded.scan(&[ScanRequest { query, lists: &lists, mask: None, limit, floor }])?;
    let mut found: Vec<ScoredCode> = found.into_iter().flatten().collect();
    found.sort_unstable();
    Ok(found)
}

/// Makes a batch of queries.
pub(super) fn batch_of<'a>(queries: &[QueryPlanes<'a>], bounds: Bounds) -> Vec<BatchQuery<'a>> {
    let Bounds { constant, scale, .. } = bounds;
    queries.iter().map(|&planes| BatchQuery { planes, constant, scale }).collect()
}

/// Rotates and rounds rows on a device.
pub(super) fn encode(
    device: &dyn Backend,
    rotation: &Rotation,
    rows: &[f32],
    inverse_scales: &[f32],
    levels: Levels,
) -> anyhow::Result<Vec<u64>> {
    let rotated = rotate_rows(device, rotation, rows)?;
    Ok(quantize_rows(device, &rotated, inverse_scales, levels)?.planes)
}

/// Refuses a device that encodes rows otherwise than the CPU.
pub(super) fn codes_agree(
    device: &dyn Backend,
    rotation: &Rotation,
    rows: &[f32],
    inverse_scales: &[f32],
    levels: Levels,
) -> anyhow::Result<()> {
    let scales = &inverse_scales[..inverse_scales.len().min(ROWS)];
    let rows = &rows[..scales.len() * rotation.dims()];
    let found = encode(device, rotation, rows, scales, levels)?;
    same("word of codes", levels, &found, &host::encode(rotation, rows, scales, levels))
}

/// Refuses lists of rows that are not the nearest ones, but for rounding.
pub(super) fn lists_are_nearest(
    centroids: &ListCentroids<'_>,
    rows: &[f32],
    found: &[u32],
) -> anyhow::Result<()> {
    let squared_distance = |row: &[f32], centroid: &[f32]| -> f64 {
        let squared = |(x, c): (&f32, &f32)| (f64::from(*x) - f64::from(*c)).powi(2);
        row.iter().zip(centroid).map(squared).sum()
    };
    let dims = centroids.dims;
    for (at, (row, &found)) in rows.chunks(dims).zip(found).take(ROWS).enumerate() {
        let distances = centroids.vectors.chunks(dims).map(|c| squared_distance(row, c));
        let distances: Vec<f64> = distances.collect();
        let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
        let length = squared_distance(row, &vec![0.0; dims]);
        let slack = 4.0 * f64::from(f32::EPSILON) * dims as f64 * (1.0 + length);
        match distances.get(found as usize) {
            Some(distance) if *distance <= least + slack => {}
            distance => bail!(
                "the device differs from the CPU: list {found} of row {at} has distance {distance:?}, the nearest {least}"
            ),
        }
    }
    Ok(())
}

/// Refuses values that differ.
fn same<T: PartialEq + Debug>(
    what: &str,
    levels: Levels,
    device: &[T],
    cpu: &[T],
) -> anyhow::Result<()> {
    if device.len() != cpu.len() {
        let (device, cpu) = (device.len(), cpu.len());
        bail!(
            "the device differs from the CPU at {levels:?}: {what} {device} of the device, {cpu} of the CPU"
        );
    }
    match device.iter().zip(cpu).position(|(device, cpu)| device != cpu) {
        Some(at) => bail!(
            "the device differs from the CPU at {levels:?}: {what} {at} is {:?} on the device, {:?} on the CPU",
            device[at],
            cpu[at]
        ),
        None => Ok(()),
    }
}

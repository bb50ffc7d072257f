//! Lists that a device scans in place of this CPU.
//!
//! ```text
//!  lists ──ScanRequest──> device ──> (row, integer score) ──terms of the row's list──> estimates ──> candidates
//! ```
//!
//! The device returns every row whose upper bound reaches the `limit`-th best lower bound of what it scanned. All that
//! [`Candidates`](crate::Candidates) keep of a scan here is among these, whatever the order, and a score is made a
//! similarity by the operations of a scan here. So candidates are the same, bit for bit, with one exception: where a
//! scan here reads the signs first, it passes over codes that their signs give no hope, while a device bounds whole
//! codes. What the bounds of signs lost is then found, and raises the threshold for the rest: candidates differ where bounds
//! are so narrow that they lose any.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bigrain_binarize::{
    CodeBlocks, CodeScanner, DeviceError, Estimate, LoadedCodes, QueryCode, ScanRequest,
    ScannedList, ScoredCode,
};
use bigrain_kernels::{BLOCK_ROWS, Bounded, RowFactors, bound_blocks};

use super::list_scan::{ListTerms, bounds_of};
use super::{Offers, RowMask};
use crate::codes::ResidentCodes;

/// What a device adds to errors for rounding, relative to the terms of a similarity, where a scan here makes
/// similarities by other operations than it: twice what [`Terms::estimate`](bigrain_binarize::Terms::estimate) adds.
const ROUNDING: f32 = 1.0 / (1 << 20) as f32;

/// A list to scan, and what its codes have in common.
pub(super) type ListRows = (Range<u32>, ListTerms);

/// The codes of a segment on a device, for one search.
#[derive(Debug)]
pub struct DeviceScan<'a> {
    codes: &'a dyn LoadedCodes,
    live: Option<&'a RowMask>,
    least_codes: u64,
    scanned: AtomicU64,
    failed: OnceLock<DeviceError>,
}

impl<'a> DeviceScan<'a> {
    /// Scans codes that were loaded ([`load`]). Of searches without a mask only the rows of `live` count, if it is
    /// there. Fewer codes than `least_codes` at a time are left to the CPU.
    #[must_use]
    pub fn new(codes: &'a dyn LoadedCodes, live: Option<&'a RowMask>, least_codes: u64) -> Self {
        let (scanned, failed) = (AtomicU64::new(0), OnceLock::new());
        Self { codes, live, least_codes, scanned, failed }
    }

    /// Returns how many codes the device has scanned.
    #[must_use]
    pub fn codes_scanned(&self) -> u64 {
        self.scanned.load(Ordering::Relaxed)
    }

    /// Returns what the device refused, if it did; the CPU has scanned that and all that followed.
    #[must_use]
    pub fn into_failure(self) -> Option<DeviceError> {
        self.failed.into_inner()
    }

    /// Offers the rows of some lists; false, and nothing is offered, where the CPU should scan them. `count` is how
    /// many codes that would be; a mask goes over the live rows.
    pub(super) fn scan(
        &self,
        (codes, query): (&ResidentCodes, &QueryCode),
        mask: Option<&RowMask>,
        (lists, count): (&[ListRows], u64),
        offers: &mut Offers<'_, impl Fn(u32) -> bool>,
    ) -> bool {
        if count < self.least_codes.max(1) || self.failed.get().is_some() {
            return false;
        }
        let scanned: Vec<ScannedList> =
            lists.iter().map(|(rows, terms)| scanned_list(codes, rows.clone(), terms)).collect();
        let request = ScanRequest {
            query: query.planes(),
            lists: &scanned,
            mask: mask.or(self.live).map(RowMask::words),
            limit: offers.limit(),
            floor: offers.threshold(),
        };
        let found = self.codes.scan(std::slice::from_ref(&request)).and_then(|found| {
            let of_one = <[Vec<ScoredCode>; 1]>::try_from(found);
            let several = |found: Vec<_>| {
                DeviceError::Unsupported(format!("{} answers to one request", found.len()))
            };
            let [found] = of_one.map_err(several)?;
            offer(codes, lists, found, offers)
        });
        match found {
            Ok(()) => {
                self.scanned.fetch_add(count, Ordering::Relaxed);
                true
            }
            Err(error) => {
                // Whoever comes second has nothing to add.
                let _ = self.failed.set(error);
                false
            }
        }
    }
}

/// Copies codes to a device.
///
/// # Errors
///
/// What the device says.
pub fn load(
    scanner: &dyn CodeScanner,
    codes: &ResidentCodes,
) -> Result<Box<dyn LoadedCodes>, DeviceError> {
    codes.with_whole_factors(|planes, factors| {
        scanner.load(&CodeBlocks { layout: codes.layout(), rows: codes.rows(), planes, factors })
    })
}

/// Says what a list's codes have in common, as devices take it.
fn scanned_list(codes: &ResidentCodes, rows: Range<u32>, terms: &ListTerms) -> ScannedList {
    let mut bounds = bounds_of(codes, &terms.full);
    if !codes.signs_first() {
        return ScannedList { rows, bounds, rounding: 0.0 };
    }
    // A device's bounds must be no narrower than those here, whose operations come in another order.
    bounds.error *= 1.0 + ROUNDING;
    bounds.bias *= 1.0 + ROUNDING;
    ScannedList { rows, bounds, rounding: ROUNDING }
}

/// Offers rows with the estimates that a scan of their lists here gives them. Nothing is offered if a row is in none.
fn offer(
    codes: &ResidentCodes,
    lists: &[ListRows],
    mut found: Vec<ScoredCode>,
    offers: &mut Offers<'_, impl Fn(u32) -> bool>,
) -> Result<(), DeviceError> {
    found.sort_unstable();
    let mut lists: Vec<&ListRows> = lists.iter().collect();
    lists.sort_unstable_by_key(|(rows, _)| rows.start);
    let mut of_lists = Vec::with_capacity(lists.len());
    let mut rest = &found[..];
    for (rows, terms) in lists {
        let end = rest.partition_point(|scored| scored.row < rows.end);
        let (of_list, after) = rest.split_at(end);
        if let Some(stray) = of_list.first().filter(|scored| scored.row < rows.start) {
            return Err(unasked(*stray));
        }
        of_lists.push((terms, of_list));
        rest = after;
    }
    if let Some(stray) = rest.first() {
        return Err(unasked(*stray));
    }
    for (terms, of_list) in of_lists {
        of_list.chunks(BLOCK_ROWS).for_each(|part| offer_some(codes, terms, part, offers));
    }
    Ok(())
}

fn unasked(scored: ScoredCode) -> DeviceError {
    DeviceError::Unsupported(format!("row {} is in none of the lists", scored.row))
}

/// Offers at most 32 rows of one list.
fn offer_some(
    codes: &ResidentCodes,
    terms: &ListTerms,
    found: &[ScoredCode],
    offers: &mut Offers<'_, impl Fn(u32) -> bool>,
) {
    if codes.signs_first() {
        for &ScoredCode { row, score } in found {
            offers.push(terms.full.estimate(score, codes.rest_factors(row as usize)), row);
        }
        return;
    }
    let count = found.len();
    let (mut scores, mut add) = ([0; BLOCK_ROWS], [0.0; BLOCK_ROWS]);
    let (mut rescale, mut error) = ([0; BLOCK_ROWS], [0; BLOCK_ROWS]);
    for (at, scored) in found.iter().enumerate() {
        let row = scored.row as usize;
        let factors = codes.scan_factors(row / BLOCK_ROWS..row / BLOCK_ROWS + 1);
        let lane = row % BLOCK_ROWS;
        scores[at] = scored.score;
        (add[at], rescale[at], error[at]) =
            (factors.add[lane], factors.rescale[lane], factors.error[lane]);
    }
    let (mut similarities, mut uppers) = ([0.0; BLOCK_ROWS], [0.0; BLOCK_ROWS]);
    let mut out = Bounded {
        similarities: &mut similarities[..count],
        uppers: &mut uppers[..count],
        survivors: &mut [0],
    };
    let factors =
        RowFactors { add: &add[..count], rescale: &rescale[..count], error: &error[..count] };
    let bounds = bounds_of(codes, &terms.full);
    bound_blocks(&scores[..count], factors, bounds, f32::NEG_INFINITY, &mut out);
    for (at, scored) in found.iter().enumerate() {
        let similarity = similarities[at];
        offers.push(Estimate { similarity, error: uppers[at] - similarity }, scored.row);
    }
}

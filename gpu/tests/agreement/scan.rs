//! Scans of lists return what a search of the CPU could keep.

use std::sync::Arc;

use bigrain_binarize::{DeviceError, LoadedCodes, ScanRequest, ScannedList, ScoredCode};
use bigrain_emulation::Emulated;
use bigrain_gpu::Backend;
use bigrain_kernels::{BLOCK_ROWS, Bounds, QueryPlanes, reference, scan};

use crate::support::{Codes, Numbers, devices};

/// What the definition says: every row whose upper bound reaches the `limit`-th best lower bound and the floor.
fn expected(codes: &Codes, request: &ScanRequest<'_>) -> Vec<ScoredCode> {
    let mut scores = vec![0; codes.rows];
    scan(&codes.slices(), request.query, &mut scores);
    let mut bounded = Vec::new();
    for list in request.lists {
        for row in list.rows.clone() {
            let at = row as usize;
            if request.mask.is_some_and(|mask| mask[at / BLOCK_ROWS] >> (at % BLOCK_ROWS) & 1 == 0)
            {
                continue;
            }
            let (add, rescale, error) = (codes.add[at], codes.rescale[at], codes.error[at]);
            let (similarity, upper) =
                reference::bound(scores[at], add, rescale, error, list.bounds);
            let (lower, upper) =
                (similarity - (upper - similarity), similarity + (upper - similarity));
            let or = |bound: f32, unknown| if bound.is_nan() { unknown } else { bound };
            bounded.push((or(lower, f32::NEG_INFINITY), or(upper, f32::INFINITY), row));
        }
    }
    let mut lowers: Vec<f32> = bounded.iter().map(|bounds| bounds.0).collect();
    lowers.sort_by(|a, b| b.total_cmp(a));
    let threshold = lowers.get(request.limit - 1).copied().unwrap_or(f32::NEG_INFINITY);
    let threshold = threshold.max(request.floor);
    let kept = bounded.into_iter().filter(|bounds| bounds.1 >= threshold);
    let mut kept: Vec<ScoredCode> =
        kept.map(|(_, _, row)| ScoredCode { row, score: scores[row as usize] }).collect();
    kept.sort_unstable();
    kept
}

fn check(codes: &Codes, requests: &[ScanRequest<'_>], what: &str) {
    let expected: Vec<_> = requests.iter().map(|request| expected(codes, request)).collect();
    for device in devices() {
        let found = codes.load(&device).scan(requests).unwrap();
        for (mut found, expected) in found.into_iter().zip(&expected) {
            found.sort_unstable();
            assert_eq!(&found, expected, "{}: {what}", device.name());
        }
    }
}

fn list(rows: std::ops::Range<u32>, constant: f32) -> ScannedList {
    let bounds = Bounds { constant, scale: 1e-3, error: 0.05, bias: 0.01 };
    ScannedList { rows, bounds, rounding: 0.0 }
}

fn query(dims: usize, width: usize, seed: u64) -> Vec<u64> {
    Numbers(seed).planes(width, dims)
}

#[test]
fn what_may_be_among_the_best_is_found_at_every_level() {
    for levels in 1..=4 {
        for (dims, rows) in [(64, 31), (100, 32), (192, 33), (768, 70)] {
            let codes = Codes::new(dims, levels, rows, usize::MAX, 3);
            let words = query(dims, 5, 9);
            let query = QueryPlanes::new(&words, dims).unwrap();
            let lists = [list(0..rows as u32, 0.25)];
            let request = ScanRequest {
                query,
                lists: &lists,
                mask: None,
                limit: 5,
                floor: f32::NEG_INFINITY,
            };
            check(&codes, &[request], &format!("{levels} levels, {dims} dims, {rows} rows"));
        }
    }
}

#[test]
fn lists_may_begin_and_end_inside_blocks_and_be_longer_than_a_part() {
    let codes = Codes::new(64, 1, 3000, usize::MAX, 5);
    let words = query(64, 5, 11);
    let query = QueryPlanes::new(&words, 64).unwrap();
    let lists =
        [list(2999..3000, 0.5), list(5..5, 0.0), list(7..2300, -0.25), list(2301..2302, 9.0)];
    for limit in [1, 10, 300, 5000] {
        let request =
            ScanRequest { query, lists: &lists, mask: None, limit, floor: f32::NEG_INFINITY };
        check(&codes, &[request], &format!("limit {limit}"));
    }
}

#[test]
fn equal_codes_are_all_kept_or_all_dropped() {
    let codes = Codes::new(64, 2, 700, 2, 7);
    let words = query(64, 5, 13);
    let query = QueryPlanes::new(&words, 64).unwrap();
    let mut lists = [list(0..700, 0.0)];
    for error in [0.0, 0.05] {
        lists[0].bounds.error = error;
        lists[0].bounds.bias = 0.0;
        let request =
            ScanRequest { query, lists: &lists, mask: None, limit: 3, floor: f32::NEG_INFINITY };
        check(&codes, &[request], &format!("error {error}"));
    }
}

#[test]
fn only_rows_of_the_mask_and_above_the_floor_are_returned() {
    let codes = Codes::new(128, 2, 500, usize::MAX, 15);
    let words = query(128, 6, 17);
    let query = QueryPlanes::new(&words, 128).unwrap();
    let lists = [list(3..250, 0.0), list(250..500, 0.1)];
    let mut numbers = Numbers(19);
    let some: Vec<u32> = (0..16).map(|_| numbers.word() as u32).collect();
    for (name, mask) in [("none", vec![0; 16]), ("all", vec![u32::MAX; 16]), ("some", some)] {
        for floor in [f32::NEG_INFINITY, 0.5, f32::INFINITY] {
            let mask = Some(&mask[..]);
            let request = ScanRequest { query, lists: &lists, mask, limit: 10, floor };
            check(&codes, &[request], &format!("{name} in the mask, floor {floor}"));
        }
    }
}

#[test]
fn requests_of_one_call_have_lists_of_their_own() {
    let codes = Codes::new(64, 1, 200, usize::MAX, 21);
    let words: Vec<Vec<u64>> = (0..3).map(|seed| query(64, 5, seed)).collect();
    let lists = [vec![list(0..50, 0.0), list(90..200, 0.0)], vec![], vec![list(20..120, 1.0)]];
    let request = |(words, lists)| ScanRequest {
        query: QueryPlanes::new(words, 64).unwrap(),
        lists,
        mask: None,
        limit: 4,
        floor: f32::NEG_INFINITY,
    };
    let pairs = words.iter().map(Vec::as_slice).zip(lists.iter().map(Vec::as_slice));
    let requests: Vec<ScanRequest<'_>> = pairs.map(request).collect();
    check(&codes, &requests, "three requests");
}

#[test]
fn bounds_that_are_no_numbers_keep_their_rows() {
    let mut codes = Codes::new(64, 1, 64, usize::MAX, 23);
    codes.add[40] = f32::NAN;
    codes.rescale[41] = 0x7c00;
    codes.error[42] = 0x7c00;
    let words = query(64, 5, 25);
    let query = QueryPlanes::new(&words, 64).unwrap();
    let lists = [list(0..64, 0.0)];
    let request = ScanRequest { query, lists: &lists, mask: None, limit: 1, floor: 0.0 };
    assert!(expected(&codes, &request).iter().any(|scored| scored.row == 40));
    check(&codes, &[request], "not a number");
}

#[test]
fn rows_that_are_not_there_and_short_masks_are_refused() {
    let codes = Codes::new(64, 1, 64, usize::MAX, 27);
    let words = query(64, 5, 29);
    let query = QueryPlanes::new(&words, 64).unwrap();
    for device in devices() {
        let loaded = codes.load(&device);
        let scan = |lists: &[ScannedList], mask: Option<&[u32]>| {
            let request = ScanRequest { query, lists, mask, limit: 1, floor: 0.0 };
            LoadedCodes::scan(&loaded, &[request]).unwrap_err()
        };
        let error = scan(&[list(0..65, 0.0)], None);
        assert!(error.to_string().contains("0..65 of 64"), "{error}");
        let error = scan(&[list(0..64, 0.0)], Some(&[1]));
        assert!(matches!(error, DeviceError::Unsupported(_)), "{error}");
    }
}

#[test]
fn a_scan_that_does_not_fit_says_so_and_gives_its_memory_back() {
    let device: Arc<dyn Backend> = Arc::new(Emulated::open().unwrap().with_memory(100_000));
    let codes = Codes::new(64, 1, 4000, usize::MAX, 31).load(&device);
    let free = device.free_bytes().unwrap();
    let words = query(64, 5, 33);
    let query = QueryPlanes::new(&words, 64).unwrap();
    let lists = [list(0..4000, 0.0)];
    let request = ScanRequest { query, lists: &lists, mask: None, limit: 1000, floor: 0.0 };
    let error = LoadedCodes::scan(&codes, &[request]).unwrap_err();
    assert!(matches!(error, DeviceError::DoesNotFit { .. }), "{error}");
    assert_eq!(device.free_bytes().unwrap(), free);
}

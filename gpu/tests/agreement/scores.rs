//! Integer scores are those of the CPU.

use std::sync::Arc;

use bigrain_binarize::CodeBlocks;
use bigrain_emulation::Emulated;
use bigrain_gpu::{Backend, BatchQuery, BatchScan, GpuCodes, GpuError, MAX_BATCH_WIDTH};
use bigrain_kernels::{QueryPlanes, scan};

use crate::support::{Codes, Numbers, devices};

/// Scores random codes on every device, for as many queries, one by one and as a batch.
fn check(dims: usize, levels: u8, width: usize, rows: usize, queries: usize) {
    let what = (dims, levels, width, rows, queries);
    let codes = Codes::new(dims, levels, rows, usize::MAX, dims as u64);
    let words = dims.div_ceil(64);
    let planes = Numbers(width as u64).planes(queries * width, dims);
    let queries: Vec<QueryPlanes<'_>> =
        planes.chunks(width * words).map(|query| QueryPlanes::new(query, dims).unwrap()).collect();
    let mut expected = vec![0; queries.len() * rows];
    for (query, scores) in queries.iter().zip(expected.chunks_mut(rows.max(1))) {
        scan(&codes.slices(), *query, scores);
    }
    for device in devices() {
        let codes = codes.load(&device);
        assert_eq!(codes.scores(&queries).unwrap(), expected, "{}: {what:?}", device.name());
        if width <= MAX_BATCH_WIDTH {
            let mut batch = Vec::new();
            for &planes in &queries {
                batch.push(BatchQuery { planes, constant: 0.0, scale: 1.0 });
            }
            let scores = BatchScan::new(&codes, &batch).unwrap().scores().unwrap();
            assert_eq!(scores, expected, "{} in a batch: {what:?}", device.name());
        }
    }
}

#[test]
fn scores_are_those_of_the_cpu_for_every_dimension_and_level() {
    for dims in [7, 8, 9, 63, 64, 65, 100, 384, 768, 1536, 4096] {
        for levels in 1..=4 {
            check(dims, levels, 5, 33, 2);
        }
    }
}

#[test]
fn scores_are_those_of_the_cpu_for_every_width() {
    for width in 1..=8 {
        for levels in 1..=4 {
            check(128, levels, width, 40, 3);
        }
    }
}

#[test]
fn blocks_of_rows_and_tiles_of_queries_may_be_full_or_not() {
    for rows in [0, 1, 31, 32, 33, 127, 128, 129, 257] {
        check(64, 2, 5, rows, 1);
    }
    for queries in [63, 64, 65] {
        check(192, 2, 5, 130, queries);
    }
}

#[test]
fn the_largest_scores_fit() {
    let dims = 4096;
    let ones = vec![u64::MAX; dims / 64];
    for device in devices() {
        let mut codes = Codes::new(dims, 4, 2, usize::MAX, 1);
        for plane in &mut codes.planes {
            plane[..dims / 64].fill(u64::MAX);
            plane[dims / 64..].fill(0);
        }
        let query = ones.repeat(8);
        let query = QueryPlanes::new(&query, dims).unwrap();
        let largest = 15 * 255 * dims as i32;
        assert_eq!(codes.load(&device).scores(&[query]).unwrap(), [largest, -largest]);
    }
}

#[test]
fn queries_of_another_shape_are_refused_by_name() {
    for device in devices() {
        let codes = Codes::new(128, 1, 3, usize::MAX, 1).load(&device);
        let (short, long) = ([0; 5], [0; 10]);
        let short = QueryPlanes::new(&short, 64).unwrap();
        let long = QueryPlanes::new(&long, 128).unwrap();
        let error = codes.scores(&[long, short]).unwrap_err();
        assert!(matches!(error, GpuError::Shape(_)), "{error}");
        assert!(error.to_string().contains("64 dimensions"), "{error}");
    }
}

#[test]
fn codes_that_do_not_fit_are_refused_with_the_numbers() {
    let device: Arc<dyn Backend> = Arc::new(Emulated::open().unwrap().with_memory(1 << 16));
    let codes = Codes::new(64, 1, 6000, usize::MAX, 1);
    let blocks = vec![0; 6016 * 8];
    let (layout, rows) = (codes.layout, codes.rows);
    let blocks = CodeBlocks { layout, rows, planes: vec![&blocks], factors: codes.factors() };
    let error = GpuCodes::load(Arc::clone(&device), &blocks).unwrap_err();
    assert!(matches!(error, GpuError::OutOfMemory { needed: 96_128, free: 65_536, .. }), "{error}");
    assert_eq!(device.free_bytes().unwrap(), 1 << 16);
}

#[test]
fn however_many_codes_are_loaded_a_sixteenth_of_all_memory_stays_free() {
    let device: Arc<dyn Backend> = Arc::new(Emulated::open().unwrap().with_memory(1 << 20));
    let codes = Codes::new(64, 1, 1000, usize::MAX, 1);
    let load = || {
        let blocks = vec![0; 1024 * 8];
        let (layout, rows) = (codes.layout, codes.rows);
        let blocks = CodeBlocks { layout, rows, planes: vec![&blocks], factors: codes.factors() };
        GpuCodes::load(Arc::clone(&device), &blocks)
    };
    let mut loaded = Vec::new();
    let refused = loop {
        match load() {
            Ok(codes) => loaded.push(codes),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, GpuError::OutOfMemory { what: "codes", .. }), "{refused}");
    let free = device.free_bytes().unwrap();
    let bytes = loaded[0].memory_bytes();
    assert!((1 << 16..(1 << 16) + bytes).contains(&free), "{free} are free, each takes {bytes}");
    // There is room when another has gone.
    loaded.pop();
    load().unwrap();
}

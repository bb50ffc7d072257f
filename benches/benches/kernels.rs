//! What does a code cost to scan, and a vector to encode?
//!
//! ```text
//! cargo bench -p bigrain-benches --bench kernels              # all
//! cargo bench -p bigrain-benches --bench kernels -- scan      # one group
//! cargo bench -p bigrain-benches --bench kernels -- scan/768/2x4
//! ```
//!
//! Scan times are for a block of codes that stays in the second-level cache; divide by
//! [`CODES`], or read the throughput: 1 Gelem/s is one nanosecond per code. Those named `memory` walk
//! through [`LARGE_BYTES`] of codes, list after list.

use std::hint::black_box;
use std::time::Duration;

use bigrain_binarize::{Binarizer, EncodeScratch, QueryWidth, Rotation};
use bigrain_kernels::{
    BLOCK_ROWS, BlockTable, Bounded, Bounds, Int8Matrix, Int8Parts, Int8Rows, Isa, PANEL_COLUMNS,
    QueryPlanes, RowFactors, block_bytes, bound_blocks_with, dot_with, hadamard_with,
    l2_squared_with, multiply_i8_with, pack_blocks_with, quantize, scan_blocks_with, scan_with,
};
use bigrain_types::{Levels, Metric};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const DIMS: [usize; 4] = [256, 384, 768, 1024];
/// Levels of the code, planes of the query.
const WIDTHS: [(usize, usize); 5] = [(1, 1), (1, 4), (1, 6), (2, 2), (2, 4)];
const CODES: usize = 4096;
/// Dimensions and query planes of the block scan.
const BLOCK_DIMS: [usize; 6] = [64, 128, 256, 384, 768, 1024];
const BLOCK_WIDTHS: [usize; 2] = [4, 6];
/// Codes that no cache holds, and how many blocks of them make a list.
const LARGE_BYTES: usize = 64 << 20;
const LIST_BLOCKS: usize = 64;

/// Rows, inputs and outputs of linear layers: of a query, and of a block of a batch.
const LAYERS: [(usize, usize, usize); 3] = [(12, 384, 1536), (192, 384, 1536), (192, 1536, 384)];

fn isas() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

/// A stream of words, the same in every run.
fn words(count: usize) -> Vec<u64> {
    let mut state = 0x0123_4567_89ab_cdef_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count).map(|_| next()).collect()
}

/// Numbers in -1..1.
fn numbers(count: usize) -> Vec<f32> {
    words(count).iter().map(|&word| (word >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

fn scan(criterion: &mut Criterion) {
    for dims in DIMS {
        let mut group = criterion.benchmark_group(format!("scan/{dims}"));
        group.throughput(Throughput::Elements(CODES as u64));
        for (levels, width) in WIDTHS {
            let per_plane = dims / 64;
            let code = words(CODES * per_plane * levels);
            let planes: Vec<&[u64]> = code.chunks(CODES * per_plane).collect();
            let query = words(width * per_plane);
            let mut scores = vec![0; CODES];
            for isa in isas() {
                let id = BenchmarkId::new(format!("{levels}x{width}"), isa);
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        if let Ok(query) = QueryPlanes::new(black_box(&query), dims) {
                            scan_with(isa, black_box(&planes), query, black_box(&mut scores));
                        }
                    });
                });
            }
        }
    }
}

/// The planes of a query whose coordinates are about normal, as those of a rotated vector are: how
/// many table entries are added as bytes depends on it. The scale is the best for such coordinates.
fn normal_query(dims: usize, width: usize) -> Vec<u64> {
    let inverse_scale = if width == 4 { 1.0 / 0.1676 } else { 1.0 / 0.052_03 };
    let sums = numbers(12 * dims);
    let coordinates: Vec<f32> =
        sums.chunks(12).map(|some| some.iter().sum::<f32>() / 2.0).collect();
    let mut planes = vec![0; width * dims / 64];
    quantize(&coordinates, inverse_scale, width, &mut planes);
    planes
}

fn block_table(query: &[u64], dims: usize) -> BlockTable {
    let mut table = BlockTable::default();
    if let Ok(query) = QueryPlanes::new(query, dims) {
        table.rebuild(query);
    }
    table
}

fn scan_blocks(criterion: &mut Criterion) {
    let large: Vec<u8> = words(LARGE_BYTES / 8).into_iter().flat_map(u64::to_le_bytes).collect();
    for dims in BLOCK_DIMS {
        let mut group = criterion.benchmark_group(format!("scan_blocks/{dims}"));
        for width in BLOCK_WIDTHS {
            let table = block_table(&normal_query(dims, width), dims);
            let blocks = &large[..CODES / BLOCK_ROWS * block_bytes(dims)];
            let mut scores = vec![0; CODES];
            group.throughput(Throughput::Elements(CODES as u64));
            for isa in isas() {
                group.bench_function(BenchmarkId::new(format!("1x{width}"), isa), |bencher| {
                    bencher.iter(|| {
                        scan_blocks_with(isa, black_box(blocks), &table, black_box(&mut scores));
                    });
                });
            }
            let mut lists = large.chunks_exact(LIST_BLOCKS * block_bytes(dims)).cycle();
            let mut scores = vec![0; LIST_BLOCKS * BLOCK_ROWS];
            group.throughput(Throughput::Elements(scores.len() as u64));
            group.bench_function(BenchmarkId::new(format!("1x{width}"), "memory"), |bencher| {
                bencher.iter(|| {
                    let list = lists.next().unwrap_or_default();
                    scan_blocks_with(Isa::best(), list, &table, black_box(&mut scores));
                });
            });
        }
    }
}

fn blocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("blocks/768");
    let dims = 768;
    group.throughput(Throughput::Elements(1));
    for width in BLOCK_WIDTHS {
        let query = normal_query(dims, width);
        let mut table = BlockTable::default();
        for isa in isas() {
            group.bench_function(
                BenchmarkId::new(format!("table, {width} bits"), isa),
                |bencher| {
                    bencher.iter(|| {
                        if let Ok(query) = QueryPlanes::new(black_box(&query), dims) {
                            table.rebuild_with(isa, query);
                        }
                    });
                },
            );
        }
    }
    group.throughput(Throughput::Elements(CODES as u64));
    let plane = words(CODES * dims / 64);
    let mut packed = vec![0; CODES / BLOCK_ROWS * block_bytes(dims)];
    for isa in isas() {
        group.bench_function(BenchmarkId::new("pack", isa), |bencher| {
            bencher.iter(|| pack_blocks_with(isa, black_box(&plane), dims / 64, &mut packed));
        });
    }
    let scores: Vec<i32> = words(CODES).iter().map(|&word| i32::from(word as i16)).collect();
    let add = numbers(CODES);
    // Every half between 0 and 1.
    let factors: Vec<u16> = words(CODES).iter().map(|word| (word % 0x3c00) as u16).collect();
    let (mut similarities, mut uppers) = (vec![0.0; CODES], vec![0.0; CODES]);
    let mut survivors = vec![0; CODES / 32];
    let bounds = Bounds { constant: 0.1, scale: 1e-4, error: 0.1, bias: 0.001 };
    for isa in isas() {
        group.bench_function(BenchmarkId::new("bound", isa), |bencher| {
            bencher.iter(|| {
                let rows = RowFactors { add: &add, rescale: &factors, error: &factors };
                let mut out = Bounded {
                    similarities: &mut similarities,
                    uppers: &mut uppers,
                    survivors: &mut survivors,
                };
                bound_blocks_with(isa, black_box(&scores), rows, bounds, 0.5, &mut out);
            });
        });
    }
}

fn encode(criterion: &mut Criterion) {
    for dims in DIMS {
        let mut group = criterion.benchmark_group(format!("encode/{dims}"));
        group.throughput(Throughput::Elements(1));
        let vector = numbers(dims);
        for levels in [1, 2, 4].map(|levels| Levels::new(levels).unwrap_or(Levels::ONE)) {
            let Ok(binarizer) = Binarizer::new_rotation(dims, levels, Metric::Dot, 1) else {
                continue;
            };
            let mut scratch = EncodeScratch::default();
            let mut code = vec![0; binarizer.layout().words()];
            group.bench_function(format!("{} levels", levels.get()), |bencher| {
                bencher.iter(|| binarizer.encode(black_box(&vector), &mut scratch, &mut code));
            });
            group.bench_function(format!("{} levels, query", levels.get()), |bencher| {
                let width = QueryWidth::DEFAULT;
                bencher.iter(|| binarizer.prepare_query(black_box(&vector), width));
            });
        }
        if let Ok(rotation) = Rotation::new(dims, 1) {
            let mut rotated = vec![0.0; rotation.rotated_dims()];
            group.bench_function("rotation alone", |bencher| {
                bencher.iter(|| rotation.rotate(black_box(&vector), &mut rotated));
            });
        }
    }
}

fn floats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("floats/768");
    group.throughput(Throughput::Elements(1));
    let (a, b) = (numbers(768), numbers(800).split_off(32));
    let mut values = numbers(512);
    for isa in isas() {
        group.bench_function(BenchmarkId::new("dot", isa), |bencher| {
            bencher.iter(|| dot_with(isa, black_box(&a), black_box(&b)));
        });
        group.bench_function(BenchmarkId::new("l2_squared", isa), |bencher| {
            bencher.iter(|| l2_squared_with(isa, black_box(&a), black_box(&b)));
        });
        group.bench_function(BenchmarkId::new("hadamard of 512", isa), |bencher| {
            bencher.iter(|| {
                hadamard_with(isa, black_box(&mut values));
                // Keeps the numbers in range from one transform to the next.
                values.iter_mut().for_each(|value| *value *= 0.044_194_174);
            });
        });
    }
}

fn config() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(30)
}

/// One linear layer in int8 on a block of rows, with its rows quantised; elements are products.
fn layers(criterion: &mut Criterion) {
    for (rows, inputs, outputs) in LAYERS {
        let weights: Vec<i8> = words(inputs * outputs).iter().map(|&word| word as i8).collect();
        let columns = numbers(outputs);
        let matrix = Int8Matrix::new(
            inputs,
            Int8Parts {
                weights: &weights,
                scales: &columns,
                bias: &columns,
                exact_inputs: &[3, 5],
                exact_weights: &numbers(2 * outputs),
            },
        );
        let (x, mut out) = (numbers(rows * inputs), vec![0.0; rows * outputs]);
        let mut group = criterion.benchmark_group(format!("layer/{rows}x{inputs}x{outputs}"));
        group.throughput(Throughput::Elements((rows * inputs * outputs) as u64));
        for isa in isas() {
            let mut quantized = Int8Rows::default();
            group.bench_function(BenchmarkId::from_parameter(isa), |bencher| {
                bencher.iter(|| {
                    quantized.quantize_with(isa, &matrix, black_box(&x));
                    let panels = 0..outputs.div_ceil(PANEL_COLUMNS);
                    multiply_i8_with(isa, &quantized, &matrix, panels, (&mut out, outputs));
                });
            });
        }
    }
}

criterion_group! { name = benches; config = config(); targets = scan, scan_blocks, blocks, encode, floats, layers }
criterion_main!(benches);

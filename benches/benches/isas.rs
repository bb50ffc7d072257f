//! What does each instruction set of this machine make of the same work?
//!
//! ```text
//! taskset -c 1 cargo bench -p bigrain-benches --bench isas              # all
//! taskset -c 1 cargo bench -p bigrain-benches --bench isas -- blocks    # lines that contain a word
//! ```
//!
//! Prints nanoseconds as a table in Markdown: the median of many short batches, in which instruction
//! sets take turns, so that whatever else the machine does meets all of them alike. A criterion
//! benchmark measures one after the other, and on a busy machine the second may differ by more than
//! the code does.

#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bigrain_kernels::{
    BLOCK_ROWS, BlockTable, Bounded, Bounds, Isa, QueryPlanes, RowFactors, block_bytes,
    bound_blocks_with, dot_f16_with, dot_i8_with, dot_with, hadamard_with, l2_squared_f16_with,
    l2_squared_i8_with, l2_squared_with, max_sim_f16_with, pack_blocks_with, quantize,
    quantize_with, scan_blocks_with, scan_with,
};

const DIMS: [usize; 6] = [64, 128, 256, 384, 768, 1024];
/// Bytes of codes that stay in the second-level cache, and that no cache holds.
const CACHED_BYTES: usize = 256 << 10;
const LARGE_BYTES: usize = 256 << 20;
/// Codes of a list in memory.
const LIST_ROWS: usize = 48 * BLOCK_ROWS;
/// How long a batch takes at least: far less than a slice of the scheduler, far more than a clock.
const BATCH: Duration = Duration::from_micros(40);
/// Turns of each instruction set.
const TURNS: usize = 401;

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let isas: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect();
    // Portable code is there to be right: it is timed once, by the criterion benchmark.
    let fast: Vec<Isa> = isas.iter().copied().filter(|&isa| isa != Isa::Portable).collect();
    let table = Table { isas: if fast.is_empty() { isas } else { fast }, filter };
    table.print_head();
    blocks(&table);
    popcounts(&table);
    floats(&table);
    max_sims(&table);
    rest(&table);
}

/// Lines of one column for each instruction set.
struct Table {
    isas: Vec<Isa>,
    filter: Option<String>,
}

impl Table {
    fn print_head(&self) {
        let names: Vec<&str> = self.isas.iter().map(|isa| isa.name()).collect();
        println!("| ns | {} | first / last |", names.join(" | "));
        println!("| --- |{}", " ---: |".repeat(self.isas.len() + 1));
    }

    /// Prints what one of `units` pieces of work takes.
    fn line(&self, name: &str, units: usize, mut work: impl FnMut(Isa)) {
        if self.filter.as_ref().is_some_and(|word| !name.contains(word.as_str())) {
            return;
        }
        let repeats: Vec<u32> = self.isas.iter().map(|&isa| repeats(|| work(isa))).collect();
        let mut times = vec![Vec::with_capacity(TURNS); self.isas.len()];
        for _ in 0..TURNS {
            for ((&isa, &repeats), times) in self.isas.iter().zip(&repeats).zip(&mut times) {
                let started = Instant::now();
                (0..repeats).for_each(|_| work(isa));
                times.push(started.elapsed().as_secs_f64() / f64::from(repeats));
            }
        }
        let medians: Vec<f64> = times
            .iter_mut()
            .map(|times| {
                times.sort_unstable_by(f64::total_cmp);
                1e9 * times[times.len() / 2] / units as f64
            })
            .collect();
        let cells: Vec<String> = medians.iter().map(|ns| format!("{ns:.2}")).collect();
        let ratio = medians[0] / medians[medians.len() - 1];
        println!("| {name} | {} | {ratio:.2} |", cells.join(" | "));
    }
}

/// Returns how often work is repeated in a batch.
fn repeats(mut work: impl FnMut()) -> u32 {
    let mut repeats = 1;
    loop {
        let started = Instant::now();
        (0..repeats).for_each(|_| work());
        if started.elapsed() >= BATCH {
            return repeats;
        }
        repeats *= 2;
    }
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

/// Half the best step of a uniform quantiser of a normal variable.
fn step(width: usize) -> f32 {
    [0.797_88, 0.497_87, 0.293_01, 0.167_60, 0.094_07, 0.052_03, 0.028_42, 0.015_39][width - 1]
}

/// The planes of a query whose coordinates are about normal, as those of a rotated vector are.
fn normal_query(dims: usize, width: usize) -> Vec<u64> {
    let sums = numbers(12 * dims);
    let coordinates: Vec<f32> =
        sums.chunks(12).map(|some| some.iter().sum::<f32>() / 2.0).collect();
    let mut planes = vec![0; width * dims / 64];
    quantize(&coordinates, 1.0 / step(width), width, &mut planes);
    planes
}

fn block_table(dims: usize, width: usize) -> BlockTable {
    let mut table = BlockTable::default();
    if let Ok(query) = QueryPlanes::new(&normal_query(dims, width), dims) {
        table.rebuild(query);
    }
    table
}

fn blocks(table: &Table) {
    let large: Vec<u8> = words(LARGE_BYTES / 8).into_iter().flat_map(u64::to_le_bytes).collect();
    for dims in DIMS {
        for width in [4, 5, 6, 8] {
            let query = block_table(dims, width);
            let count = CACHED_BYTES / block_bytes(dims);
            let mut scores = vec![0; count * BLOCK_ROWS];
            let blocks = &large[..count * block_bytes(dims)];
            table.line(&format!("blocks {dims} 1x{width}"), scores.len(), |isa| {
                scan_blocks_with(isa, black_box(blocks), &query, black_box(&mut scores));
            });
        }
    }
    for dims in DIMS {
        for width in [5, 6] {
            let query = block_table(dims, width);
            let bytes = LIST_ROWS / BLOCK_ROWS * block_bytes(dims);
            let lists: Vec<&[u8]> = large.chunks_exact(bytes).collect();
            let mut scores = vec![0; LIST_ROWS];
            let mut next = 0;
            // Every list once before any again, in an order that no prefetcher follows.
            let step = (lists.len() / 3..).find(|step| coprime(*step, lists.len())).unwrap_or(1);
            table.line(&format!("blocks {dims} 1x{width} from memory"), LIST_ROWS, |isa| {
                next = (next + step) % lists.len();
                scan_blocks_with(isa, lists[next], &query, black_box(&mut scores));
            });
        }
        let bytes = LIST_ROWS / BLOCK_ROWS * block_bytes(dims);
        let lists: Vec<&[u8]> = large.chunks_exact(bytes).collect();
        let step = (lists.len() / 3..).find(|step| coprime(*step, lists.len())).unwrap_or(1);
        let mut next = 0;
        table.line(&format!("blocks {dims} only read from memory"), LIST_ROWS, |_| {
            next = (next + step) % lists.len();
            let lines = lists[next].chunks(64).map(|line| u64::from(line[0]));
            black_box(lines.sum::<u64>());
        });
    }
}

fn coprime(a: usize, b: usize) -> bool {
    if b == 0 { a == 1 } else { coprime(b, a % b) }
}

fn popcounts(table: &Table) {
    for dims in DIMS {
        let per_plane = dims / 64;
        let codes = CACHED_BYTES / 2 / (8 * per_plane);
        let code = words(2 * codes * per_plane);
        let mut scores = vec![0; codes];
        for (levels, width) in [(1, 1), (1, 4), (1, 5), (1, 6), (2, 2), (2, 4), (2, 5)] {
            let planes: Vec<&[u64]> = code.chunks(codes * per_plane).take(levels).collect();
            let query = words(width * per_plane);
            let Ok(query) = QueryPlanes::new(&query, dims) else { continue };
            table.line(&format!("popcount {dims} {levels}x{width}"), codes, |isa| {
                scan_with(isa, black_box(&planes), query, black_box(&mut scores));
            });
        }
    }
}

/// Rows that are scored one after the other: half of them are in the first-level cache.
const ROWS: usize = 16;

fn floats(table: &Table) {
    for dims in [50, 128, 384, 768, 1024] {
        let (query, rows) = (numbers(dims), numbers(ROWS * dims));
        let halves: Vec<u16> =
            words(ROWS * dims).iter().map(|word| (word % 0x3c00) as u16).collect();
        let bytes: Vec<i8> = words(ROWS * dims).iter().map(|&word| word as i8).collect();
        let mut sum = 0.0_f32;
        table.line(&format!("float {dims} dot f32"), ROWS, |isa| {
            let rows = black_box(&rows).chunks_exact(dims);
            sum += rows.map(|row| dot_with(isa, black_box(&query), row)).sum::<f32>();
        });
        table.line(&format!("float {dims} l2 f32"), ROWS, |isa| {
            let rows = black_box(&rows).chunks_exact(dims);
            sum += rows.map(|row| l2_squared_with(isa, black_box(&query), row)).sum::<f32>();
        });
        table.line(&format!("float {dims} dot f16"), ROWS, |isa| {
            let rows = black_box(&halves).chunks_exact(dims);
            sum += rows.map(|row| dot_f16_with(isa, black_box(&query), row)).sum::<f32>();
        });
        table.line(&format!("float {dims} l2 f16"), ROWS, |isa| {
            let rows = black_box(&halves).chunks_exact(dims);
            sum += rows.map(|row| l2_squared_f16_with(isa, black_box(&query), row)).sum::<f32>();
        });
        table.line(&format!("float {dims} dot i8"), ROWS, |isa| {
            let rows = black_box(&bytes).chunks_exact(dims);
            sum += rows.map(|row| dot_i8_with(isa, black_box(&query), row, 0.1)).sum::<f32>();
        });
        table.line(&format!("float {dims} l2 i8"), ROWS, |isa| {
            let rows = black_box(&bytes).chunks_exact(dims);
            sum +=
                rows.map(|row| l2_squared_i8_with(isa, black_box(&query), row, 0.1)).sum::<f32>();
        });
        black_box(sum);
    }
}

/// Tokens of the query and of the point: a caption and the patches of an image.
const ASKED: usize = 12;
const TOKENS: usize = 49;

/// Nanoseconds a product: of the kernel, and of one product at a time as it was before.
fn max_sims(table: &Table) {
    for dims in [96, 128, 256, 384] {
        let query = numbers(ASKED * dims);
        let tokens: Vec<u16> =
            words(TOKENS * dims).iter().map(|word| (word % 0x3c00) as u16).collect();
        let mut best = [0.0; ASKED];
        table.line(&format!("maxsim {dims}"), ASKED * TOKENS, |isa| {
            best.fill(f32::NEG_INFINITY);
            max_sim_f16_with(isa, black_box(&query), black_box(&tokens), &mut best);
            black_box(&best);
        });
        table.line(&format!("maxsim {dims} one by one"), ASKED * TOKENS, |isa| {
            best.fill(f32::NEG_INFINITY);
            for token in black_box(&tokens).chunks_exact(dims) {
                for (best, query) in best.iter_mut().zip(black_box(&query).chunks_exact(dims)) {
                    *best = best.max(dot_f16_with(isa, query, token));
                }
            }
            black_box(&best);
        });
    }
}

fn rest(table: &Table) {
    for dims in DIMS {
        let values = numbers(dims);
        let length = 1 << dims.ilog2();
        let mut transformed = values[..length].to_vec();
        table.line(&format!("hadamard {length}"), 1, |isa| {
            // A copy keeps the numbers in range, and is what a rotation does first.
            transformed.copy_from_slice(&values[..length]);
            hadamard_with(isa, black_box(&mut transformed));
        });
        for levels in [1, 2, 4, 5] {
            let mut planes = vec![0; levels * dims.div_ceil(64)];
            table.line(&format!("quantize {dims} {levels} levels"), 1, |isa| {
                let scale = black_box(1.7);
                black_box(quantize_with(isa, black_box(&values), scale, levels, &mut planes));
            });
        }
        for width in [5, 6] {
            let query = normal_query(dims, width);
            let mut built = BlockTable::default();
            table.line(&format!("table {dims} {width} bits"), 1, |isa| {
                if let Ok(query) = QueryPlanes::new(black_box(&query), dims) {
                    built.rebuild_with(isa, query);
                }
            });
        }
        let rows = CACHED_BYTES / block_bytes(dims) * BLOCK_ROWS;
        let plane = words(rows * dims / 64);
        let mut packed = vec![0; rows / BLOCK_ROWS * block_bytes(dims)];
        table.line(&format!("pack {dims}"), rows, |isa| {
            pack_blocks_with(isa, black_box(&plane), dims / 64, &mut packed);
        });
    }
    let rows = 32 * BLOCK_ROWS;
    let scores: Vec<i32> = words(rows).iter().map(|&word| i32::from(word as i16)).collect();
    let add = numbers(rows);
    let factors: Vec<u16> = words(rows).iter().map(|word| (word % 0x3c00) as u16).collect();
    let (mut similarities, mut uppers) = (vec![0.0; rows], vec![0.0; rows]);
    let mut survivors = vec![0; rows / BLOCK_ROWS];
    let bounds = Bounds { constant: 0.1, scale: 1e-4, error: 0.1, bias: 0.001 };
    table.line("bounds", rows, |isa| {
        let rows = RowFactors { add: &add, rescale: &factors, error: &factors };
        let mut out = Bounded {
            similarities: &mut similarities,
            uppers: &mut uppers,
            survivors: &mut survivors,
        };
        bound_blocks_with(isa, black_box(&scores), rows, bounds, 0.5, &mut out);
    });
}

//! A build takes no more memory than it says.

#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bigrain_binarize::Binarizer;
use bigrain_index::build::{BuildParams, build};
use bigrain_types::{Levels, Metric};

use crate::data::Clustered;

/// What threads take for themselves while they encode and search.
const SCRATCH: usize = 3 << 20;

/// Counts what is in use, and the most that ever was; of all threads, so a test that asks must be alone in its
/// process.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Builds an index; returns what it said it would take, and what it took.
fn said_and_taken(rows: &Clustered, levels: u8, sample_bytes: Option<usize>) -> (usize, usize) {
    let levels = Levels::new(levels).unwrap();
    let binarizer = Binarizer::new_rotation(rows.dims, levels, Metric::Cosine, 3).unwrap();
    let params = BuildParams { sample_bytes, seed: 5, ..BuildParams::default() };
    let said = params.memory_bytes(rows.values.len() / rows.dims, &binarizer) as usize;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let before = IN_USE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let built = pool.install(|| build(rows, &binarizer, &params)).unwrap();
    drop(built);
    (said, MOST.load(Ordering::Relaxed) - before)
}

#[test]
fn a_build_takes_no_more_memory_than_it_says() {
    // The sample, the codes, and the centroids take most, one after the other.
    for (rows, dims, levels, sample) in
        [(12_000, 256, 1, None), (20_000, 128, 4, Some(1 << 20)), (4_000, 2048, 1, Some(1 << 20))]
    {
        let rows = Clustered::new(rows, dims, Metric::Cosine, 1);
        let (said, taken) = said_and_taken(&rows, levels, sample);
        assert!(taken <= said + SCRATCH, "{dims} dimensions: said {said}, taken {taken}");
        assert!(said <= 2 * taken, "{dims} dimensions: said {said}, taken {taken}");
    }
}

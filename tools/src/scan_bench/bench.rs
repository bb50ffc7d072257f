//! All workloads of all levels.

use std::sync::Arc;

use anyhow::Context;
use bigrain_binarize::{Binarizer, CodeLayout, ListCentroids, Rotation};
use bigrain_engine::Cancel;
use bigrain_gpu::{Backend, BatchScan, GpuCentroids, GpuCodes};
use bigrain_index::lists::{NearestCentroid, Nearness, OwnedCentroids, stage_bytes};
use bigrain_kernels::QueryPlanes;
use bigrain_types::{Levels, Metric};
use rayon::prelude::*;
use serde::Serialize;

use super::checks;
use super::codes::{RandomCodes, RandomQueries, random_rows};
use super::host;
use super::result::Measured;
use super::workload::{Side, Turns, Workload};
use crate::machine::{LoadAverage, Machine};

/// Queries of a pass of `scan`, one after the other.
const SCANS: usize = 8;

/// Queries of a pass of `batch` on the CPU, which takes one after the other: so many tell its rate.
const CPU_QUERIES: usize = 64;

/// Rows that a thread of the CPU finds the lists of at a time.
const CPU_ROWS: usize = 256;

/// What is scanned, encoded and assigned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BenchShape {
    /// Dimensions of embeddings.
    pub dims: usize,
    /// Codes that are scanned.
    pub rows: usize,
    /// Rows that are encoded, and that lists are found for.
    pub dense_rows: usize,
    /// Queries of a batch.
    pub queries: usize,
    /// Lists among which the nearest is found.
    pub lists: usize,
    /// Results wanted of a query.
    pub limit: usize,
    /// Where randomness begins.
    pub seed: u64,
}

/// What to measure, and how often.
#[derive(Clone, Debug)]
pub struct BenchPlan<'a> {
    /// Its sizes.
    pub shape: BenchShape,
    /// The levels of codes, one after the other.
    pub levels: &'a [Levels],
    /// Passes that count.
    pub repeat: usize,
    /// Raised to stop between passes.
    pub cancel: &'a Cancel,
}

/// What a benchmark found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScanBench {
    /// What it ran on; its device is the one that was measured.
    pub machine: Machine,
    /// The threads of the CPU's side, which also serve the device.
    pub threads: usize,
    /// Processes that wanted a core, in the mean over the last minute: before and after.
    pub load: [LoadAverage; 2],
    /// Bytes a second that the device's memory gives at most, by what its driver says.
    pub memory_bandwidth: Option<u64>,
    /// What was scanned, encoded and assigned.
    pub shape: BenchShape,
    /// That codes, rows and queries are random ones.
    pub random: bool,
    /// The workloads.
    pub workloads: Vec<Measured>,
}

impl BenchShape {
    /// Returns how many codes fit into so many bytes, at all of some levels.
    #[must_use]
    pub fn fitting_rows(dims: usize, levels: &[Levels], bytes: u64) -> usize {
        let of = |levels: &Levels| CodeLayout::for_embedding(dims, *levels).ok();
        let layouts = levels.iter().filter_map(of);
        let largest = layouts.map(|layout| RandomCodes::bytes_per_code(&layout)).max();
        (bytes / largest.unwrap_or(1) as u64).clamp(1, 1 << 31) as usize
    }

    /// Returns how many rows fit into so many bytes, as they are and rotated.
    #[must_use]
    pub fn fitting_dense_rows(dims: usize, bytes: u64) -> usize {
        (bytes / (4 * (dims + dims.next_multiple_of(64)) as u64)).max(1) as usize
    }
}

impl BenchPlan<'_> {
    /// Returns how many passes of both sides there are.
    #[must_use]
    pub fn passes(&self) -> u64 {
        ((3 * self.levels.len() + 1) * (self.repeat + 1)) as u64
    }

    /// Measures on the current thread pool: a device beside the CPU, or the CPU alone. `on_pass` is told after each pass.
    ///
    /// # Errors
    ///
    /// When the device answers otherwise than the CPU or refuses something, sizes are out of range, or the caller
    /// cancels.
    pub fn run(
        &self,
        device: Option<&Arc<dyn Backend>>,
        on_pass: &mut (dyn FnMut() + Send),
    ) -> anyhow::Result<ScanBench> {
        let before = LoadAverage::now();
        let bandwidth = device.and_then(|device| device.memory_bandwidth());
        let mut turns = Turns { repeat: self.repeat, cancel: self.cancel, on_pass };
        let mut workloads = Vec::new();
        for &levels in self.levels {
            workloads.extend(self.of_levels(levels, device, bandwidth, &mut turns)?);
        }
        workloads.extend(self.of_lists(device, &mut turns)?);
        Ok(ScanBench {
            machine: Machine { device: device.map(|device| device.name()), ..Machine::here() },
            threads: rayon::current_num_threads(),
            load: [before, LoadAverage::now()],
            memory_bandwidth: bandwidth,
            shape: self.shape,
            random: true,
            workloads,
        })
    }

    /// Measures `scan`, `batch` and `encode`.
    fn of_levels(
        &self,
        levels: Levels,
        device: Option<&Arc<dyn Backend>>,
        bandwidth: Option<u64>,
        turns: &mut Turns<'_>,
    ) -> anyhow::Result<Vec<Measured>> {
        let BenchShape { dims, rows, dense_rows, queries, limit, seed, .. } = self.shape;
        let layout = CodeLayout::for_embedding(dims, levels)?;
        let codes = RandomCodes::new(layout, rows, seed);
        let random = RandomQueries::new(&layout, queries.max(SCANS), seed);
        let (queries, bounds) = (&random.iter()?[..], random.bounds());
        let scans = &queries[..SCANS];
        let batch = checks::batch_of(&queries[..self.shape.queries], bounds);
        let cpu_batch = &queries[..self.shape.queries.min(CPU_QUERIES)];
        let rotation = Rotation::new(dims, seed)?;
        let dense = random_rows(dense_rows, dims, seed);
        let scales: Vec<f32> = (0..dense_rows).map(|row| 2.0 + 0.1 * (row % 7) as f32).collect();
        let loaded = device.map(|device| GpuCodes::load(Arc::clone(device), &codes.first(rows)));
        let loaded = loaded.transpose().context("copy codes to the device (fewer --rows fit)")?;
        if let Some((device, loaded)) = device.zip(loaded.as_ref()) {
            let of_batch = (loaded, &queries[..self.shape.queries]);
            checks::scores_agree(device, &codes, of_batch, bounds, limit)?;
            checks::codes_agree(&**device, &rotation, &dense, &scales, levels)?;
        }
        let there = device.zip(loaded.as_ref());
        let workload = |name, unit, cpu, device| Workload {
            name,
            levels: Some(levels.get()),
            unit,
            bytes_each: None,
            operations_each: None,
            cpu,
            device,
            cpu_finds_nearest: None,
        };
        let scan_here: Side<'_> = Box::new(|| {
            scans.iter().for_each(|query| drop(host::survivors(&codes, *query, bounds, limit)));
            Ok(())
        });
        let scan_there = there.map(|(_, loaded)| -> Side<'_> {
            Box::new(move || {
                let scan = |query: &QueryPlanes<'_>| checks::scan(loaded, *query, bounds, limit);
                scans.iter().try_for_each(|query| scan(query).map(drop))
            })
        });
        let best_here: Side<'_> = Box::new(|| {
            drop(host::best(&codes, cpu_batch, bounds, limit));
            Ok(())
        });
        let batch = &batch;
        let best_there = there.map(|(_, loaded)| -> Side<'_> {
            Box::new(move || {
                BatchScan::new(loaded, batch)?.best(limit, None)?;
                Ok(())
            })
        });
        let encode_here: Side<'_> = Box::new(|| {
            drop(host::encode(&rotation, &dense, &scales, levels));
            Ok(())
        });
        let (rotation, dense, scales) = (&rotation, &dense[..], &scales[..]);
        let encode_there = there.map(|(device, _)| -> Side<'_> {
            let encode = || checks::encode(&**device, rotation, dense, scales, levels);
            Box::new(move || encode().map(drop))
        });
        let scanned = (SCANS * rows) as u64;
        let pairs = |queries: usize| (queries * rows) as u64;
        let workloads = [
            Workload {
                bytes_each: Some(RandomCodes::bytes_per_code(&layout) as u64),
                ..workload("scan", "codes", (scanned, scan_here), counted(scanned, scan_there))
            },
            Workload {
                operations_each: Some(2 * layout.dims() as u64),
                ..workload(
                    "batch",
                    "queries x codes",
                    (pairs(cpu_batch.len()), best_here),
                    counted(pairs(batch.len()), best_there),
                )
            },
            workload(
                "encode",
                "rows",
                (dense_rows as u64, encode_here),
                counted(dense_rows as u64, encode_there),
            ),
        ];
        turns.run(&workloads, bandwidth)
    }

    /// Measures `assign`.
    fn of_lists(
        &self,
        device: Option<&Arc<dyn Backend>>,
        turns: &mut Turns<'_>,
    ) -> anyhow::Result<Vec<Measured>> {
        let BenchShape { dims, dense_rows, lists, seed, .. } = self.shape;
        let binarizer = Binarizer::new_rotation(dims, Levels::ONE, Metric::L2, seed)?;
        let by_distance = binarizer.for_centroids(Metric::L2)?;
        let rotated_dims = binarizer.layout().dims();
        let random = random_rows(dense_rows, dims, seed);
        let mut rows = vec![0.0; dense_rows * rotated_dims];
        let rotate = |(row, to): (&[f32], &mut [f32])| binarizer.rotate(row, to);
        random.par_chunks(dims).zip(rows.par_chunks_mut(rotated_dims)).for_each(rotate);
        drop(random);
        // Rows that lie apart, as far as there are enough of them.
        let step = (dense_rows / lists).max(1);
        let centre = |list: usize| list * step % dense_rows * rotated_dims;
        let centroids = (0..lists).flat_map(|list| &rows[centre(list)..][..rotated_dims]);
        let centroids: Vec<f32> = centroids.map(|x| 0.5 * x).collect();
        let centroids =
            OwnedCentroids::new(centroids, Vec::new(), &by_distance, Nearness::Distance);
        let vectors = centroids.as_centroids();
        let vectors = ListCentroids {
            vectors: vectors.vectors,
            dims: rotated_dims,
            norms_squared: vectors.norms_squared,
            penalties: &[],
        };
        let here = || -> Vec<u32> {
            let of_part = |rows: &[f32]| {
                let mut nearest = NearestCentroid::new(&centroids, &by_distance);
                rows.chunks(rotated_dims).map(|row| nearest.of(row)).collect::<Vec<_>>()
            };
            rows.par_chunks(CPU_ROWS * rotated_dims).flat_map_iter(of_part).collect()
        };
        let loaded = device
            .map(|device| GpuCentroids::load(Arc::clone(device), &vectors, None))
            .transpose()?;
        // As a build hands rows over, so that several threads' rows are copied and compared at a time.
        let handed = (stage_bytes() / 2 / (4 * rotated_dims)).max(1) * rotated_dims;
        let there = |loaded: &GpuCentroids| -> anyhow::Result<Vec<u32>> {
            let parts: Result<Vec<Vec<u32>>, _> =
                rows.par_chunks(handed).map(|part| loaded.nearest(part)).collect();
            Ok(parts?.concat())
        };
        let mut cpu_finds_nearest = None;
        if let Some(loaded) = &loaded {
            let found = there(loaded)?;
            checks::lists_are_nearest(&vectors, &rows, &found)?;
            let same = here().iter().zip(&found).filter(|(here, there)| here == there).count();
            cpu_finds_nearest = Some(same as f64 / dense_rows as f64);
        }
        let cpu: Side<'_> = Box::new(|| {
            drop(here());
            Ok(())
        });
        let device = loaded.as_ref().map(|loaded| -> (u64, Side<'_>) {
            let there = &there;
            (dense_rows as u64, Box::new(move || there(loaded).map(drop)))
        });
        let workload = Workload {
            name: "assign",
            levels: None,
            unit: "rows",
            bytes_each: None,
            operations_each: None,
            cpu: (dense_rows as u64, cpu),
            device,
            cpu_finds_nearest,
        };
        turns.run(&[workload], None)
    }
}

/// Says how much a side does, if there is one.
fn counted(count: u64, side: Option<Side<'_>>) -> Option<(u64, Side<'_>)> {
    side.map(|side| (count, side))
}

#[cfg(test)]
mod tests {
    use bigrain_emulation::Emulated;
    use bigrain_gpu::Kernel;

    use super::*;

    /// Sizes on no boundary.
    const SHAPE: BenchShape = BenchShape {
        dims: 70,
        rows: 1111,
        dense_rows: 77,
        queries: 9,
        lists: 30,
        limit: 7,
        seed: 3,
    };

    fn run(device: Option<&Arc<dyn Backend>>, cancel: &Cancel) -> anyhow::Result<(ScanBench, u64)> {
        let levels = [Levels::ONE, Levels::new(3).unwrap()];
        let plan = BenchPlan { shape: SHAPE, levels: &levels, repeat: 2, cancel };
        let mut passes = 0;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let bench = pool.install(|| plan.run(device, &mut || passes += 1))?;
        assert_eq!(passes, plan.passes());
        Ok((bench, passes))
    }

    fn names(bench: &ScanBench) -> Vec<(&'static str, Option<u8>)> {
        bench.workloads.iter().map(|one| (one.workload, one.levels)).collect()
    }

    const ALL: [(&str, Option<u8>); 7] = [
        ("scan", Some(1)),
        ("batch", Some(1)),
        ("encode", Some(1)),
        ("scan", Some(3)),
        ("batch", Some(3)),
        ("encode", Some(3)),
        ("assign", None),
    ];

    #[test]
    fn the_cpu_alone_is_measured() {
        let (bench, _) = run(None, &Cancel::new()).unwrap();
        assert_eq!(names(&bench), ALL);
        assert_eq!((bench.threads, &bench.machine.device), (2, &None));
        for one in &bench.workloads {
            assert_eq!((one.cpu.per_second.len(), &one.device, one.ratio), (2, &None, None));
            assert!(one.cpu.median > 0.0, "{one:?}");
        }
        // Codes of 128 dimensions, whose factors have 8 bytes.
        assert_eq!(bench.workloads[0].bytes_each, Some(16 + 8));
        assert_eq!(bench.workloads[3].bytes_each, Some(48 + 8));
        assert_eq!(bench.workloads[1].operations_each, Some(256));
    }

    #[test]
    fn a_device_is_measured_beside_the_cpu_once_it_has_given_the_same() {
        let device: Arc<dyn Backend> = Arc::new(Emulated::open().unwrap());
        let (bench, _) = run(Some(&device), &Cancel::new()).unwrap();
        assert_eq!(names(&bench), ALL);
        assert_eq!(bench.machine.device.as_deref(), Some("emulated"));
        assert_eq!(bench.memory_bandwidth, None);
        for one in &bench.workloads {
            let device = one.device.as_ref().unwrap();
            assert_eq!(device.per_second.len(), 2);
            assert!(device.median > 0.0 && one.ratio.unwrap() > 0.0, "{one:?}");
            assert_eq!(one.bandwidth_share, None);
        }
        let of = |at: usize| {
            let one = &bench.workloads[at];
            (one.cpu.count, one.device.as_ref().unwrap().count)
        };
        assert_eq!(of(0), (8 * 1111, 8 * 1111));
        assert_eq!(of(1), (9 * 1111, 9 * 1111));
        assert_eq!(of(6), (77, 77));
        // So few lists are all compared by the CPU too, or nearly all.
        assert!(bench.workloads[6].cpu_finds_nearest.unwrap() > 0.8);
    }

    #[test]
    fn a_device_that_differs_from_the_cpu_is_an_error_and_not_measured() {
        for (kernel, expected) in [
            (Kernel::ScoreCodes, "score of query 0 and code 0 is 0 on the device"),
            (Kernel::Collect, "row that may be among the best of query 0: 0 of the device"),
            (Kernel::BatchScores, "score in a batch of query 0 and code 0 is 0 on the device"),
            (Kernel::SelectRows, "result in a batch of query 0: 0 of the device, 7 of the CPU"),
            (Kernel::QuantizeRows, "word of codes 0 is 0 on the device"),
            (Kernel::NearestLists, "list 0 of row"),
        ] {
            let device: Arc<dyn Backend> = Arc::new(Emulated::open().unwrap().without(kernel));
            let error = run(Some(&device), &Cancel::new()).unwrap_err().to_string();
            assert!(error.contains("the device differs from the CPU"), "{kernel:?}: {error}");
            assert!(error.contains(expected), "{kernel:?}: {error}");
        }
    }

    #[test]
    fn whoever_cancels_waits_for_no_more_than_a_pass() {
        let cancel = Cancel::new();
        cancel.cancel();
        let error = run(None, &cancel).unwrap_err();
        assert!(error.is::<bigrain_types::Cancelled>(), "{error}");
    }

    #[test]
    fn a_device_without_room_is_an_error_that_says_what_to_do() {
        let small: Arc<dyn Backend> = Arc::new(Emulated::open().unwrap().with_memory(1 << 10));
        let error = format!("{:#}", run(Some(&small), &Cancel::new()).unwrap_err());
        assert!(error.contains("fewer --rows fit") && error.contains("do not fit"), "{error}");
    }

    #[test]
    fn rows_fill_the_memory_that_is_stated() {
        let levels = [Levels::ONE, Levels::TWO];
        // 192 bytes of code and 8 of factors.
        assert_eq!(BenchShape::fitting_rows(768, &levels, 200_000), 1000);
        assert_eq!(BenchShape::fitting_dense_rows(100, 4 * 228 * 10), 10);
        assert_eq!(BenchShape::fitting_rows(768, &levels, 1), 1);
    }
}

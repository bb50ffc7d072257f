//! What a build promises where a device finds the lists of rows.
//!
//! The device here is plain code that compares a row with all centroids; tests of the GPU's kernels are in `gpu/tests`.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};

use bigrain_binarize::{
    Binarizer, DeviceError, EncodeScratch, ListCentroids, ListFinder, LoadedCentroids, Rotation,
};
use bigrain_index::IndexError;
use bigrain_index::build::{BuildParams, BuiltIndex, Rows, build};
use bigrain_index::codes::CodesBuilder;
use bigrain_index::lists::DeviceLists;
use bigrain_storage::ReadError;
use bigrain_types::{Cancel, Levels, Metric};

use crate::data::Clustered;

const ROWS: usize = 6000;
const LISTS: u32 = 150;

/// What else than to answer a device does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nature {
    Sound,
    /// Fails at this call that brings rows, and at all that follow.
    FailsAt(usize),
    /// Has no room for centroids.
    Full,
    /// Answers with a list that is not there.
    Strays,
    /// Answers for one row less.
    Forgets,
}

#[derive(Debug)]
pub(crate) struct Exhaustive {
    nature: Nature,
    loads: AtomicUsize,
    calls: AtomicUsize,
}

impl Exhaustive {
    pub(crate) fn new(nature: Nature) -> Self {
        Self { nature, loads: AtomicUsize::new(0), calls: AtomicUsize::new(0) }
    }
}

/// Centroids with the device that they are on; a test lets it live long enough.
#[derive(Debug)]
struct Loaded {
    device: &'static Exhaustive,
    dims: usize,
    vectors: Vec<f32>,
    shortfalls: Vec<f32>,
    rotation: Option<Rotation>,
}

impl ListFinder for &'static Exhaustive {
    fn load_centroids(
        &self,
        centroids: &ListCentroids<'_>,
        rotation: Option<&Rotation>,
    ) -> Result<Box<dyn LoadedCentroids>, DeviceError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        if matches!(self.nature, Nature::Full) {
            return Err(DeviceError::DoesNotFit { needed: 9, free: 1 });
        }
        let penalty = |list: usize| centroids.penalties.get(list).copied().unwrap_or(0.0);
        let norms = centroids.norms_squared.iter().enumerate();
        Ok(Box::new(Loaded {
            device: self,
            dims: centroids.dims,
            vectors: centroids.vectors.to_vec(),
            shortfalls: norms.map(|(list, norm)| norm + penalty(list)).collect(),
            rotation: rotation.cloned(),
        }))
    }
}

impl LoadedCentroids for Loaded {
    fn nearest(&self, rotated: &[f32]) -> Result<Vec<u32>, DeviceError> {
        let call = self.device.calls.fetch_add(1, Ordering::Relaxed);
        let lists = self.shortfalls.len() as u32;
        let of_row = |row: &[f32]| {
            let nearness = |list: u32| {
                let centroid = &self.vectors[list as usize * self.dims..][..self.dims];
                2.0 * bigrain_kernels::dot(row, centroid) - self.shortfalls[list as usize]
            };
            let first = |best: (f32, u32), list| {
                let nearness = nearness(list);
                if nearness > best.0 { (nearness, list) } else { best }
            };
            (0..lists).fold((f32::NEG_INFINITY, 0), first).1
        };
        let mut found: Vec<u32> = rotated.chunks(self.dims).map(of_row).collect();
        match self.device.nature {
            Nature::FailsAt(at) if call >= at => {
                return Err(DeviceError::Failed("cable pulled".into()));
            }
            Nature::Strays => found[0] = lists,
            Nature::Forgets => drop(found.pop()),
            Nature::Sound | Nature::FailsAt(_) | Nature::Full => {}
        }
        Ok(found)
    }

    fn rotate_and_find(&self, rows: &[f32], rotated: &mut [f32]) -> Result<Vec<u32>, DeviceError> {
        let rotation = self.rotation.as_ref().unwrap();
        for (row, to) in rows.chunks(rotation.dims()).zip(rotated.chunks_mut(self.dims)) {
            rotation.rotate(row, to);
        }
        self.nearest(rotated)
    }
}

fn binarizer(rows: &Clustered, metric: Metric) -> Binarizer {
    Binarizer::new_rotation(rows.dims, Levels::TWO, metric, 3).unwrap()
}

/// An index that was built with a device, what refused it, and of how many rows the device found the list.
struct Built {
    index: BuiltIndex,
    device: &'static Exhaustive,
    refused: Option<DeviceError>,
    found: u64,
}

fn built(rows: &Clustered, metric: Metric, nature: Nature, least_pairs: u64) -> Built {
    let device: &'static Exhaustive = Box::leak(Box::new(Exhaustive::new(nature)));
    let lists = DeviceLists::new(&device, least_pairs);
    let params =
        BuildParams { lists: Some(LISTS), seed: 5, device: Some(&lists), ..BuildParams::default() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let index = pool.install(|| build(rows, &binarizer(rows, metric), &params)).unwrap();
    let found = lists.rows_found();
    Built { index, device, refused: lists.into_failure(), found }
}

fn by_cpu(rows: &Clustered, metric: Metric) -> BuiltIndex {
    let params = BuildParams { lists: Some(LISTS), seed: 5, ..BuildParams::default() };
    build(rows, &binarizer(rows, metric), &params).unwrap()
}

/// Checks that every row is there once, and that its code is the one that the CPU gives it about its list's centroid.
fn check(rows: &Clustered, metric: Metric, index: &BuiltIndex) {
    let mut order = index.order.clone();
    order.sort_unstable();
    assert_eq!(order, (0..rows.len() as u32).collect::<Vec<_>>());
    let binarizer = binarizer(rows, metric);
    let layout = *binarizer.layout();
    let mut codes = CodesBuilder::new(layout);
    let (mut rotated, mut code) = (vec![0.0; layout.dims()], vec![0; layout.words()]);
    let mut scratch = EncodeScratch::default();
    for (offset, &row) in (0..).zip(&index.order) {
        let row = rows.vector(row as usize);
        binarizer.rotate(row, &mut rotated);
        let centre = index.centroids.vector(index.layout.list_of(offset));
        let factors = binarizer.encode_in_list(row, &rotated, centre, &mut scratch, &mut code);
        codes.push(&code, factors);
    }
    let in_place: Vec<u32> = (0..rows.len() as u32).collect();
    assert_eq!(codes.finish(&in_place, index.codes.signs_first()), index.codes);
}

fn assert_same(a: &BuiltIndex, b: &BuiltIndex) {
    assert_eq!(a.order, b.order);
    assert_eq!(a.codes, b.codes);
    assert_eq!(a.calibration, b.calibration);
    assert!((0..LISTS).all(|list| a.centroids.vector(list) == b.centroids.vector(list)));
}

/// The mean squared distance of rows to the centroids of their lists.
fn spread(rows: &Clustered, metric: Metric, index: &BuiltIndex) -> f64 {
    let binarizer = binarizer(rows, metric);
    let mut rotated = vec![0.0; binarizer.layout().dims()];
    let mut sum = 0.0;
    for (offset, &row) in (0..).zip(&index.order) {
        binarizer.rotate(rows.vector(row as usize), &mut rotated);
        let centre = index.centroids.vector(index.layout.list_of(offset));
        sum += f64::from(bigrain_kernels::l2_squared(&rotated, centre));
    }
    sum / rows.len() as f64
}

#[test]
fn codes_are_those_of_the_cpu_and_lists_are_no_wider() {
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        let rows = Clustered::new(ROWS, 40, metric, 1);
        let built = built(&rows, metric, Nature::Sound, 1);
        assert!(built.refused.is_none());
        // All rows once, and each iteration's part of the sample, which are all rows here.
        assert!(built.found > 2 * ROWS as u64, "{}", built.found);
        check(&rows, metric, &built.index);
        let (there, here) =
            (spread(&rows, metric, &built.index), spread(&rows, metric, &by_cpu(&rows, metric)));
        assert!(there < 1.01 * here, "{metric}: {there} and {here}");
    }
}

#[test]
fn building_twice_gives_the_same_bits() {
    let rows = Clustered::new(ROWS, 40, Metric::Cosine, 1);
    let [one, two] = [(); 2].map(|()| built(&rows, Metric::Cosine, Nature::Sound, 1));
    assert_same(&one.index, &two.index);
    assert_eq!(one.found, two.found);
    // Centroids are copied once for each iteration and once for the rows.
    assert_eq!(one.device.loads.load(Ordering::Relaxed), 6);
}

#[test]
fn a_device_that_fails_on_the_way_leaves_a_whole_index() {
    // So many dimensions that a thread hands over a thousand rows at a time: sixteen calls in all, four of which are of
    // rows that are encoded.
    let rows = Clustered::new(4000, 1000, Metric::L2, 1);
    for at in [0, 1, 5, 14] {
        let built = built(&rows, Metric::L2, Nature::FailsAt(at), 1);
        assert!(matches!(built.refused, Some(DeviceError::Failed(_))), "{:?}", built.refused);
        assert_eq!(built.found == 0, at == 0);
        check(&rows, Metric::L2, &built.index);
        // Threads that were at it see the failure for themselves; nobody asks after it.
        assert!(built.device.calls.load(Ordering::Relaxed) <= at + 3);
    }
}

#[test]
fn what_a_device_refuses_or_answers_wrongly_is_done_as_without_one() {
    let rows = Clustered::new(ROWS, 40, Metric::Dot, 1);
    let expected = by_cpu(&rows, Metric::Dot);
    for nature in [Nature::Full, Nature::Strays, Nature::Forgets, Nature::FailsAt(0)] {
        let built = built(&rows, Metric::Dot, nature, 1);
        assert!(built.refused.is_some(), "{nature:?}");
        assert_eq!(built.found, 0, "{nature:?}");
        assert_same(&built.index, &expected);
    }
}

#[test]
fn few_rows_are_left_to_the_cpu() {
    let rows = Clustered::new(ROWS, 40, Metric::Cosine, 1);
    let pairs = ROWS as u64 * u64::from(LISTS);
    let few = built(&rows, Metric::Cosine, Nature::Sound, pairs + 1);
    assert_eq!((few.found, few.device.loads.load(Ordering::Relaxed)), (0, 0));
    assert!(few.refused.is_none());
    assert_same(&few.index, &by_cpu(&rows, Metric::Cosine));
    assert!(built(&rows, Metric::Cosine, Nature::Sound, pairs).found > 0);
}

/// Rows that nobody wants any more once so many were read.
struct Cancelled<'a> {
    rows: &'a Clustered,
    read: AtomicUsize,
    end: usize,
    cancel: Cancel,
    heard: AtomicUsize,
}

impl Rows for Cancelled<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, at: usize) -> Result<Cow<'_, [f32]>, IndexError> {
        if self.read.fetch_add(1, Ordering::Relaxed) >= self.end {
            self.cancel.cancel();
        }
        self.cancel.check().map_err(ReadError::Cancelled)?;
        self.rows.row(at)
    }

    fn trained(&self, rows: usize, of: usize) {
        assert!(rows > 0 && rows <= of);
        self.heard.fetch_add(rows, Ordering::Relaxed);
    }
}

#[test]
fn a_build_with_a_device_says_how_far_it_is_and_can_be_cancelled() {
    let rows = Clustered::new(ROWS, 40, Metric::Cosine, 1);
    // In the sample, and among the rows that are encoded.
    for (end, is_trained) in [(100, false), (ROWS + 100, true)] {
        let device: &'static Exhaustive = Box::leak(Box::new(Exhaustive::new(Nature::Sound)));
        let lists = DeviceLists::new(&device, 1);
        let params =
            BuildParams { lists: Some(LISTS), device: Some(&lists), ..BuildParams::default() };
        let [read, heard] = [(); 2].map(|()| AtomicUsize::new(0));
        let cancelled = Cancelled { rows: &rows, read, end, cancel: Cancel::new(), heard };
        let error = build(&cancelled, &binarizer(&rows, Metric::Cosine), &params).unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        assert_eq!(cancelled.heard.load(Ordering::Relaxed) > 0, is_trained);
        assert!(lists.into_failure().is_none());
    }
}

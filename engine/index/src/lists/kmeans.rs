//! Balanced k-means over rotated rows.
//!
//! Lloyd's iterations on a sample. The costly step, finding the nearest centroid of every row, is a
//! search like any other: codes of the centroids say which few are worth an exact distance
//! ([`Centroids::nearest`](super::Centroids::nearest)), so a row costs some hundred nanoseconds and a
//! nanosecond or two per centroid instead of one distance to each.
//!
//! Lists of equal size are worth more than centroids of least error, because every probe scans a
//! whole list: a centroid whose list is longer than the mean gets a *penalty* that is taken off its
//! nearness, raised a little after each iteration (the dual ascent of an assignment with
//! capacities). Centroids without rows move to a row of the longest list.
//!
//! The first iterations only have to find out where about the centroids belong: they go over a part of the
//! sample, and each over other rows.
//!
//! Above a thousand lists the tree has two stages: the sample is first cut into about the root of
//! their number of parts, and each part gets lists in proportion to its rows.
//!
//! The result depends on the sample, the seed and the instruction set, never on the number of threads. A device finds
//! the nearest centroids in its place where there is one ([`DeviceLists`]): then it depends on that too.

use std::borrow::Cow;
use std::ops::Range;

use bigrain_binarize::{Binarizer, QueryCode, QueryWidth};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

use super::DeviceLists;
use super::centroids::{Nearness, OwnedCentroids};
use crate::candidates::list_scan::ListScan;

/// Rows assigned by one task.
const CHUNK: usize = 256;

/// The iterations go over one row in so many, from the last one backwards.
const STEPS: [usize; 5] = [1, 2, 2, 4, 4];

/// ... and over so many for each list in any case, if there are as many.
const LEAST_PER_LIST: usize = 8;

/// What a list of twice the mean length gains in penalty by one iteration, in mean squared
/// distances between rows and their centroids.
const PENALTY_STEP: f32 = 0.04;

/// The largest penalty, in the same measure.
const MAX_PENALTY: f32 = 0.25;

/// How to cluster.
#[derive(Clone, Copy, Debug)]
pub struct KMeans<'a> {
    /// How many lists.
    pub lists: usize,
    /// Lloyd's iterations.
    pub iterations: usize,
    /// Where randomness begins.
    pub seed: u64,
    /// More lists than this are trained in two stages.
    pub flat_lists: usize,
    /// What finds the nearest centroids of many rows, if not the CPU.
    pub device: Option<&'a DeviceLists<'a>>,
}

impl<'a> KMeans<'a> {
    /// Returns the parameters that suit most data.
    #[must_use]
    pub fn new(lists: usize, seed: u64) -> Self {
        Self { lists, iterations: STEPS.len(), seed, flat_lists: 4096, device: None }
    }

    /// Has a device find the nearest centroids of many rows.
    #[must_use]
    pub fn with_device(mut self, device: Option<&'a DeviceLists<'a>>) -> Self {
        self.device = device;
        self
    }

    /// Returns in how many of so many rows an iteration takes one; iterations count from 0.
    fn step(&self, iteration: usize, rows: usize, lists: usize) -> usize {
        let left = self.iterations - 1 - iteration;
        let most = rows / (lists * LEAST_PER_LIST);
        STEPS[left.min(STEPS.len() - 1)].min(most).max(1)
    }

    /// Returns about how many rows all iterations together go over, of a sample of so many.
    fn rows_of_all_iterations(&self, rows: usize, lists: usize) -> usize {
        let of = |iteration| rows.div_ceil(self.step(iteration, rows, lists));
        (0..self.iterations).map(of).sum()
    }
}

/// Returns centroids of `sample` (rotated rows, one after the other), with their penalties.
///
/// `binarizer` is that of centroids under the squared distance
/// ([`Binarizer::for_centroids`]). After each iteration `heard` is told how many rows it went over, and
/// how many all iterations go over. Runs on the current thread pool.
#[must_use]
pub fn train(
    sample: &[f32],
    binarizer: &Binarizer,
    params: &KMeans<'_>,
    heard: &dyn Fn(usize, usize),
) -> OwnedCentroids {
    let dims = binarizer.layout().dims();
    let rows = sample.len() / dims;
    let lists = params.lists.clamp(1, rows.max(1));
    let stages = if lists <= params.flat_lists { 1 } else { 2 };
    let of = stages * params.rows_of_all_iterations(rows, lists);
    let heard = &|rows| heard(rows, of);
    if stages == 1 {
        return Clustering::new(sample, binarizer, lists, params).run(heard);
    }
    let parts = (lists as f64).sqrt().round() as usize;
    let coarse = Clustering::new(sample, binarizer, parts, params).run(heard);
    let assigned = assign(&Part::whole(sample, dims), &coarse, binarizer, params.device);
    let mut members = vec![Vec::new(); parts];
    for (row, &part) in assigned.iter().enumerate() {
        members[part as usize].push(row);
    }
    let mut vectors = Vec::with_capacity(lists * dims);
    let mut penalties = Vec::with_capacity(lists);
    let (mut rows_left, mut lists_left) = (rows, lists);
    for (part, members) in members.iter().enumerate().filter(|(_, members)| !members.is_empty()) {
        let share = (lists_left * members.len()).div_ceil(rows_left).min(lists_left);
        (rows_left, lists_left) = (rows_left - members.len(), lists_left - share);
        if share == 0 {
            continue;
        }
        let rows: Vec<f32> = members
            .iter()
            .flat_map(|&row| &sample[row * dims..(row + 1) * dims])
            .copied()
            .collect();
        let seed = params.seed.wrapping_add(1 + part as u64);
        let params = KMeans { seed, ..*params };
        let share = share.min(members.len());
        let trained = Clustering::new(&rows, binarizer, share, &params).run(heard);
        vectors.extend(trained.vectors);
        penalties.extend(trained.penalties);
    }
    OwnedCentroids::new(vectors, penalties, binarizer, Nearness::Distance)
}

/// A prime: its multiples meet every row of a sample once, in an order that has nothing to do with theirs.
const SCATTER: usize = 2_654_435_761;

/// Some of the rows of a sample: one in every `step`, wherever they lie, because rows may alternate.
#[derive(Clone, Copy)]
struct Part<'a> {
    sample: &'a [f32],
    dims: usize,
    first: usize,
    step: usize,
}

impl<'a> Part<'a> {
    fn whole(sample: &'a [f32], dims: usize) -> Self {
        Self { sample, dims, first: 0, step: 1 }
    }

    fn len(&self) -> usize {
        (self.sample.len() / self.dims).saturating_sub(self.first).div_ceil(self.step)
    }

    fn row(&self, at: usize) -> &'a [f32] {
        let (at, rows) = (self.first + at * self.step, self.sample.len() / self.dims);
        let row = if self.step == 1 { at } else { at.wrapping_mul(SCATTER) % rows };
        &self.sample[row * self.dims..][..self.dims]
    }

    /// Returns some rows, one after the other.
    fn rows(&self, range: Range<usize>) -> Cow<'a, [f32]> {
        if self.step == 1 {
            let first = self.first + range.start;
            return self.sample[first * self.dims..][..range.len() * self.dims].into();
        }
        range.flat_map(|at| self.row(at)).copied().collect()
    }
}

/// Returns the nearest centroid of every row.
fn assign(
    rows: &Part<'_>,
    centroids: &OwnedCentroids,
    binarizer: &Binarizer,
    device: Option<&DeviceLists<'_>>,
) -> Vec<u32> {
    let here = |chunk: Range<usize>| {
        let mut nearest = NearestCentroid::new(centroids, binarizer);
        chunk.map(move |at| nearest.of(rows.row(at))).collect::<Vec<_>>()
    };
    if let Some(device) = device.and_then(|device| device.load(centroids, None, rows.len())) {
        let there = |part: &Range<usize>| {
            device.nearest(&rows.rows(part.clone())).unwrap_or_else(|| here(part.clone()))
        };
        return device.parts(rows.len()).par_iter().flat_map_iter(there).collect();
    }
    let starts: Vec<usize> = (0..rows.len()).step_by(CHUNK).collect();
    let of_chunk = |&start: &usize| here(start..rows.len().min(start + CHUNK));
    starts.par_iter().flat_map_iter(of_chunk).collect()
}

/// Finds the nearest centroid of one row after the other.
#[derive(Debug)]
pub struct NearestCentroid<'a> {
    centroids: &'a OwnedCentroids,
    binarizer: &'a Binarizer,
    scan: Option<ListScan>,
}

impl<'a> NearestCentroid<'a> {
    /// `binarizer` is that of the centroids.
    #[must_use]
    pub fn new(centroids: &'a OwnedCentroids, binarizer: &'a Binarizer) -> Self {
        Self { centroids, binarizer, scan: None }
    }

    /// Returns the nearest centroid of a rotated row, penalties counted.
    pub fn of(&mut self, row: &[f32]) -> u32 {
        let centroids = self.centroids.as_centroids();
        if centroids.len() == 1 {
            return 0;
        }
        let prepared = self.binarizer.prepare_rotated(row.to_vec(), QueryWidth::DEFAULT);
        let Ok(query) = prepared else { return 0 };
        let scan = self.scan_of(&query);
        let nearest = centroids.nearest(&query, scan, 1);
        nearest.first().map_or(0, |probe| probe.list)
    }

    fn scan_of(&mut self, query: &QueryCode) -> &mut ListScan {
        if let Some(scan) = &mut self.scan {
            scan.rebuild(query);
        }
        self.scan.get_or_insert_with(|| ListScan::new(query))
    }
}

/// One run of Lloyd's iterations.
struct Clustering<'a> {
    sample: &'a [f32],
    binarizer: &'a Binarizer,
    dims: usize,
    lists: usize,
    params: &'a KMeans<'a>,
    random: ChaCha8Rng,
    centroids: Vec<f32>,
    penalties: Vec<f32>,
}

impl<'a> Clustering<'a> {
    fn new(
        sample: &'a [f32],
        binarizer: &'a Binarizer,
        lists: usize,
        params: &'a KMeans<'a>,
    ) -> Self {
        let dims = binarizer.layout().dims();
        let mut random = ChaCha8Rng::seed_from_u64(params.seed);
        let rows = sample.len() / dims;
        let centroids = pick(rows, lists, &mut random)
            .into_iter()
            .flat_map(|row| &sample[row * dims..(row + 1) * dims])
            .copied()
            .collect();
        let penalties = vec![0.0; lists];
        Self { sample, binarizer, dims, lists, params, random, centroids, penalties }
    }

    fn run(mut self, heard: &dyn Fn(usize)) -> OwnedCentroids {
        if self.sample.is_empty() {
            self.centroids = vec![0.0; self.dims];
        } else if self.lists == 1 {
            let all = Part::whole(self.sample, self.dims);
            self.move_to_means(&all, &vec![0; all.len()]);
        } else {
            for iteration in 0..self.params.iterations {
                let part = self.part(iteration);
                let encoded = self.take_encoded();
                let assigned = assign(&part, &encoded, self.binarizer, self.params.device);
                (self.centroids, self.penalties) = (encoded.vectors, encoded.penalties);
                self.move_to_means(&part, &assigned);
                heard(assigned.len());
            }
        }
        self.take_encoded()
    }

    /// Returns the rows that an iteration goes over: other ones than the iteration before, if not all.
    fn part(&self, iteration: usize) -> Part<'a> {
        let (sample, dims) = (self.sample, self.dims);
        let step = self.params.step(iteration, sample.len() / dims, self.lists);
        Part { sample, dims, first: iteration % step, step }
    }

    /// Moves the centroids out, which are there once.
    fn take_encoded(&mut self) -> OwnedCentroids {
        let centroids = std::mem::take(&mut self.centroids);
        let penalties = std::mem::take(&mut self.penalties);
        OwnedCentroids::new(centroids, penalties, self.binarizer, Nearness::Distance)
    }

    /// Moves every centroid to the mean of its rows, and an empty one to a row of the longest list.
    fn move_to_means(&mut self, rows: &Part<'_>, assigned: &[u32]) {
        let (layout, order) = super::ListLayout::of(assigned, self.lists);
        let dims = self.dims;
        let row = |at: u32| rows.row(at as usize);
        // Each list sums its rows in their order: the same bits for any number of threads.
        let spreads: Vec<f64> = self
            .centroids
            .par_chunks_exact_mut(dims)
            .enumerate()
            .map(|(list, centroid)| {
                let members = layout.rows(list as u32);
                let members = &order[members.start as usize..members.end as usize];
                if members.is_empty() {
                    return 0.0;
                }
                let mut sums = vec![0.0_f64; dims];
                for &member in members {
                    sums.iter_mut().zip(row(member)).for_each(|(sum, &x)| *sum += f64::from(x));
                }
                let count = members.len() as f64;
                centroid.iter_mut().zip(&sums).for_each(|(c, sum)| *c = (sum / count) as f32);
                let spread =
                    |&member| f64::from(bigrain_kernels::l2_squared(row(member), centroid));
                members.iter().map(spread).sum()
            })
            .collect();
        let spread = (spreads.iter().sum::<f64>() / assigned.len() as f64) as f32;
        self.update_penalties(&layout, assigned.len(), spread);
        self.refill_empty(rows, &layout, &order);
    }

    fn update_penalties(&mut self, layout: &super::ListLayout, rows: usize, spread: f32) {
        let mean = rows as f32 / self.lists as f32;
        for (list, penalty) in self.penalties.iter_mut().enumerate() {
            let excess = (layout.rows(list as u32).len() as f32 / mean - 1.0).clamp(-1.0, 2.0);
            *penalty = (*penalty + PENALTY_STEP * spread * excess).clamp(0.0, MAX_PENALTY * spread);
        }
    }

    fn refill_empty(&mut self, rows: &Part<'_>, layout: &super::ListLayout, order: &[u32]) {
        let mut by_length: Vec<u32> = (0..self.lists as u32).collect();
        by_length.sort_by_key(|&list| (std::cmp::Reverse(layout.rows(list).len()), list));
        let mut longest = by_length.into_iter();
        for list in (0..self.lists).filter(|&list| layout.rows(list as u32).is_empty()) {
            let Some(from) = longest.next().map(|list| layout.rows(list)) else { return };
            if from.len() < 2 {
                return;
            }
            let at = from.start + (self.random.next_u64() % from.len() as u64) as u32;
            self.centroids[list * self.dims..(list + 1) * self.dims]
                .copy_from_slice(rows.row(order[at as usize] as usize));
            self.penalties[list] = 0.0;
        }
    }
}

/// Returns `count` different numbers below `limit`, rising.
#[must_use]
pub fn pick(limit: usize, count: usize, random: &mut impl RngCore) -> Vec<usize> {
    // Floyd's sampling: every set is equally likely, and memory is that of the result.
    let mut picked = std::collections::BTreeSet::new();
    for last in limit.saturating_sub(count)..limit {
        let at = (random.next_u64() % (last as u64 + 1)) as usize;
        if !picked.insert(at) {
            picked.insert(last);
        }
    }
    picked.into_iter().collect()
}

//! Centroids, found the way rows are found: codes first, then exactly.

use bigrain_binarize::{Binarizer, EncodeScratch, QueryCode};
use bigrain_kernels::{BLOCK_ROWS, dot, prefetch_stream};
use bigrain_types::Metric;

use crate::candidates::list_scan::ListScan;
use crate::codes::{CodesBuilder, ResidentCodes};

/// How many centroids are compared exactly when `wanted` are wanted. A list that is missed costs
/// neighbours, and a comparison costs a tenth of a list.
fn compared(wanted: usize) -> usize {
    2 * wanted + 8
}

/// A threshold is judged by about so many values.
const SAMPLE: usize = 256;

/// What "near" means for centroids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearness {
    /// The smaller the distance the nearer.
    Distance,
    /// The larger the dot product the nearer.
    Dot,
}

impl Nearness {
    /// Returns what "near" means for the lists of a metric. Under cosine rows have length one, but
    /// their means do not: lists are nearest by distance.
    #[must_use]
    pub fn of(metric: Metric) -> Self {
        if metric == Metric::Dot { Self::Dot } else { Self::Distance }
    }
}

/// A list to probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Which list.
    pub list: u32,
    /// The dot product of its centroid and the rotated query.
    pub dot: f32,
    /// How near it is; larger is nearer.
    pub nearness: f32,
}

/// The centroids of all lists, in rotated coordinates, with their codes.
#[derive(Clone, Copy, Debug)]
pub struct Centroids<'a> {
    /// One centroid after the other.
    pub vectors: &'a [f32],
    /// The squared length of each.
    pub norms_squared: &'a [f32],
    /// What is taken off the nearness of each; empty for nothing.
    pub penalties: &'a [f32],
    /// The code of each about their mean.
    pub codes: &'a ResidentCodes,
    /// Their mean, and its squared length.
    pub mean: (&'a [f32], f32),
    /// What "near" means.
    pub nearness: Nearness,
}

impl Centroids<'_> {
    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.norms_squared.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.norms_squared.is_empty()
    }

    /// Returns the nearest `wanted` lists, nearest first; all of them when there are fewer.
    #[must_use]
    pub fn nearest(&self, query: &QueryCode, scan: &mut ListScan, wanted: usize) -> Vec<Probe> {
        self.nearest_among(query, scan, wanted, |_| true)
    }

    /// Returns the nearest `wanted` of the lists that are `eligible`, nearest first; all of them when there
    /// are fewer.
    ///
    /// Codes say which centroids are worth comparing; those are compared exactly. `scan` holds the
    /// table of `query`.
    #[must_use]
    pub fn nearest_among(
        &self,
        query: &QueryCode,
        scan: &mut ListScan,
        wanted: usize,
        eligible: impl Fn(u32) -> bool,
    ) -> Vec<Probe> {
        let mut probes: Vec<Probe> = if self.len() <= 2 * compared(wanted) {
            let lists = (0..self.len() as u32).filter(|list| eligible(*list));
            lists.map(|list| self.probe(query, list)).collect()
        } else {
            self.nearest_by_codes(query, scan, wanted, eligible)
        };
        let order =
            |a: &Probe, b: &Probe| b.nearness.total_cmp(&a.nearness).then(a.list.cmp(&b.list));
        if probes.len() > wanted && wanted > 0 {
            probes.select_nth_unstable_by(wanted - 1, order);
        }
        probes.truncate(wanted);
        probes.sort_unstable_by(order);
        probes
    }

    /// Compares those centroids exactly whose codes promise most, a few times as many as wanted.
    fn nearest_by_codes(
        &self,
        query: &QueryCode,
        scan: &mut ListScan,
        wanted: usize,
        eligible: impl Fn(u32) -> bool,
    ) -> Vec<Probe> {
        let (mean, norm_squared) = self.mean;
        let terms = query.terms_about(dot(query.rotated(), mean), norm_squared);
        let mut similarities = Vec::with_capacity(self.len() + BLOCK_ROWS);
        scan.similarities(self.codes, &terms, &mut similarities);
        for (list, similarity) in (0..).zip(&mut similarities[..self.len()]) {
            if !eligible(list) {
                *similarity = f32::NEG_INFINITY;
            }
        }
        let threshold = about_nth_largest(&similarities, compared(wanted)).max(f32::MIN);
        let mut promising = Vec::with_capacity(2 * compared(wanted));
        for (list, &similarity) in (0..).zip(&similarities) {
            if similarity >= threshold {
                // They lie anywhere: the first are compared while the others are on their way.
                prefetch_stream(bytemuck::cast_slice(self.vector(list)));
                promising.push(list);
            }
        }
        promising.into_iter().map(|list| self.probe(query, list)).collect()
    }

    fn vector(&self, list: u32) -> &[f32] {
        let dims = self.mean.0.len();
        &self.vectors[list as usize * dims..][..dims]
    }

    fn probe(&self, query: &QueryCode, list: u32) -> Probe {
        let at = list as usize;
        let dot = dot(query.rotated(), self.vector(list));
        let nearness = match self.nearness {
            Nearness::Dot => dot,
            Nearness::Distance => -query.squared_distance(dot, self.norms_squared[at]),
        };
        let penalty = self.penalties.get(at).copied().unwrap_or(0.0);
        Probe { list, dot, nearness: nearness - penalty }
    }
}

/// Returns about the `n`-th largest value, judged by a sample.
fn about_nth_largest(values: &[f32], n: usize) -> f32 {
    let stride = values.len().div_ceil(SAMPLE);
    let mut sample: Vec<f32> = values.iter().step_by(stride).copied().collect();
    let at = (n / stride).min(sample.len() - 1);
    *sample.select_nth_unstable_by(at, |a, b| b.total_cmp(a)).1
}

/// Centroids with everything that belongs to them, in memory.
#[derive(Clone, Debug)]
pub struct OwnedCentroids {
    pub(super) vectors: Vec<f32>,
    pub(super) norms_squared: Vec<f32>,
    pub(super) penalties: Vec<f32>,
    codes: ResidentCodes,
    mean: Vec<f32>,
    mean_norm_squared: f32,
    nearness: Nearness,
}

impl OwnedCentroids {
    /// Encodes rotated centroids. `binarizer` is [`Binarizer::for_centroids`] of the collection's;
    /// `penalties` is empty or has one for each.
    #[must_use]
    pub fn new(
        vectors: Vec<f32>,
        penalties: Vec<f32>,
        binarizer: &Binarizer,
        nearness: Nearness,
    ) -> Self {
        let dims = binarizer.layout().dims();
        let mean = mean(&vectors, dims);
        let mut builder = CodesBuilder::new(*binarizer.layout());
        let mut scratch = EncodeScratch::default();
        let mut code = vec![0; binarizer.layout().words()];
        for (at, vector) in vectors.chunks_exact(dims).enumerate() {
            let mut factors = binarizer.encode_about(vector, &mean, &mut scratch, &mut code);
            factors.full.add -= penalties.get(at).copied().unwrap_or(0.0);
            builder.push(&code, factors);
        }
        let order: Vec<u32> = (0..(vectors.len() / dims) as u32).collect();
        Self {
            norms_squared: vectors.chunks_exact(dims).map(|vector| dot(vector, vector)).collect(),
            codes: builder.finish(&order, false),
            mean_norm_squared: dot(&mean, &mean),
            mean,
            vectors,
            penalties,
            nearness,
        }
    }

    /// Returns one rotated centroid.
    #[must_use]
    pub fn vector(&self, list: u32) -> &[f32] {
        let dims = self.mean.len();
        &self.vectors[list as usize * dims..(list as usize + 1) * dims]
    }

    /// Returns the same centroids for searches: encoded for `nearness`, without penalties.
    #[must_use]
    pub fn without_penalties(self, binarizer: &Binarizer, nearness: Nearness) -> Self {
        Self::new(self.vectors, Vec::new(), binarizer, nearness)
    }

    /// Returns the codes of the centroids.
    #[must_use]
    pub fn codes(&self) -> &ResidentCodes {
        &self.codes
    }

    /// Returns the centroids to search.
    #[must_use]
    pub fn as_centroids(&self) -> Centroids<'_> {
        Centroids {
            vectors: &self.vectors,
            norms_squared: &self.norms_squared,
            penalties: &self.penalties,
            codes: &self.codes,
            mean: (&self.mean, self.mean_norm_squared),
            nearness: self.nearness,
        }
    }
}

/// Returns the mean of rows of `dims` numbers.
pub(super) fn mean(rows: &[f32], dims: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; dims];
    for row in rows.chunks_exact(dims) {
        sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let count = (rows.len() / dims).max(1) as f64;
    sums.iter().map(|sum| (sum / count) as f32).collect()
}

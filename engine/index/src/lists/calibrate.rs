//! Measuring a segment: how many probes and how wide bounds each recall takes.

use std::borrow::Cow;

use bigrain_binarize::{Binarizer, QueryCode, QueryWidth};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::calibration::{Calibration, Effort};
use super::kmeans::pick;
use crate::build::Rows;
use crate::candidates::ivf::{Ivf, Reach};
use crate::candidates::list_scan::{Epsilon, ListScan};
use crate::verify::{similarity, verify};
use crate::{Candidates, IndexError};

/// Rows taken as queries.
const QUERIES: usize = 256;

/// Fewer rows than this say nothing.
const MIN_ROWS: usize = 256;

/// The numbers of results that are calibrated.
const LIMITS: [usize; 2] = [10, 100];

/// The recalls for which efforts are kept.
const TARGETS: [f32; 16] = [
    0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.995, 0.998,
];

/// The widths of bounds that are tried.
const EPSILONS: [f32; 9] = [0.2, 0.5, 0.8, 1.1, 1.4, 1.7, 2.1, 2.6, 3.2];

/// Bounds that lose next to nothing: what they find is taken for the truth.
const TRUTH_EPSILON: f32 = 3.6;

/// The share of neighbours whose lists are probed while bounds are measured.
const PROBED_SHARE: f64 = 0.95;

/// What a search costs, in nanoseconds. Only ratios matter, and they are fixed, because a build must
/// not depend on a clock.
mod cost {
    /// A list that is probed, besides its codes.
    pub(super) const LIST: f64 = 60.0;
    /// A code that is scanned, and one dimension of it.
    pub(super) const CODE: f64 = 0.6;
    pub(super) const CODE_DIM: f64 = 0.003;
    /// A row that is verified, and one dimension of it.
    pub(super) const ROW: f64 = 60.0;
    pub(super) const ROW_DIM: f64 = 0.25;
}

/// A segment to be measured: its index, and the dense rows by offset.
pub(crate) struct Measured<'a> {
    pub ivf: Ivf<'a>,
    pub rows: &'a dyn Rows,
    /// The row that lies at each offset.
    pub order: &'a [u32],
    pub binarizer: &'a Binarizer,
}

/// A row taken as a query, with its true neighbours.
struct Probe {
    offset: u32,
    vector: Vec<f32>,
    code: QueryCode,
    /// Offsets, nearest first, without the row itself.
    neighbours: Vec<u32>,
}

impl Measured<'_> {
    /// Returns the efforts that targets take; nothing for a segment too small to measure.
    pub fn calibrate(&self, seed: u64) -> Result<Calibration, IndexError> {
        if self.order.len() < MIN_ROWS {
            return Ok(Calibration::default());
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = QUERIES.min(self.order.len() / 2);
        let offsets = pick(self.order.len(), count, &mut random);
        let probes: Result<Vec<Option<Probe>>, IndexError> =
            offsets.par_iter().map(|&offset| self.probe(offset as u32)).collect();
        let probes: Vec<Probe> = probes?.into_iter().flatten().collect();
        let mut entries = Vec::new();
        for limit in LIMITS.into_iter().filter(|limit| limit * 2 < self.order.len()) {
            entries.extend(self.efforts(&probes, limit)?);
        }
        Ok(Calibration::new(entries).unwrap_or_default())
    }

    fn probe(&self, offset: u32) -> Result<Option<Probe>, IndexError> {
        let vector = self.row(offset)?.into_owned();
        let width = QueryWidth::DEFAULT;
        let Ok(code) = self.binarizer.prepare_query(&vector, width) else { return Ok(None) };
        let most = LIMITS[LIMITS.len() - 1];
        let mut probe = Probe { offset, vector, code, neighbours: Vec::new() };
        let lists = self.ivf.layout.len();
        probe.neighbours = self.find(&probe, lists, TRUTH_EPSILON, most)?.0;
        Ok(Some(probe))
    }

    /// Searches for a probe's neighbours; returns them with the number of rows verified.
    fn find(
        &self,
        probe: &Probe,
        probes: usize,
        epsilon: f32,
        limit: usize,
    ) -> Result<(Vec<u32>, u64), IndexError> {
        let itself = |offset| offset == probe.offset;
        let mut candidates = Candidates::new(limit, limit.max(100) * 100);
        let mut scan = ListScan::new(&probe.code);
        let reach = Reach { probes, epsilon: Epsilon { sign: epsilon, full: epsilon } };
        self.ivf.search(&probe.code, &mut scan, reach, itself, &mut candidates);
        let candidates = candidates.into_sorted();
        let metric = self.binarizer.metric();
        let verified = verify(&candidates, limit, |candidate| {
            let row = self.row(candidate.offset)?;
            Ok::<_, IndexError>(similarity(metric, &probe.vector, &row))
        })?;
        let found = verified.best.iter().map(|&(_, at)| candidates[at].offset).collect();
        Ok((found, verified.rows))
    }

    fn efforts(&self, probes: &[Probe], limit: usize) -> Result<Vec<Effort>, IndexError> {
        let by_lists: Vec<ByLists> = rising(self.ivf.layout.len())
            .into_iter()
            .map(|lists| self.measure_lists(probes, limit, lists))
            .collect();
        let typical = first_above(&by_lists, PROBED_SHARE).map_or(1, |by_lists| by_lists.lists);
        let by_epsilon: Result<Vec<ByEpsilon>, IndexError> = EPSILONS
            .iter()
            .map(|&epsilon| self.measure_bounds(probes, limit, typical, epsilon))
            .collect();
        let by_epsilon = by_epsilon?;
        let dims = self.binarizer.layout().dims() as f64;
        let effort = |target: f32| {
            let pairs = by_epsilon.iter().filter_map(|bounds| {
                let found = first_above(&by_lists, f64::from(target) / bounds.recall)?;
                let lists = found.lists as f64 * cost::LIST;
                let codes = found.codes * (cost::CODE + dims * cost::CODE_DIM);
                let rows = bounds.rows * (cost::ROW + dims * cost::ROW_DIM);
                Some((lists + codes + rows, found.lists as u32, bounds.epsilon))
            });
            let (_, probes, epsilon) = pairs.min_by(|a, b| a.0.total_cmp(&b.0))?;
            Some(Effort { recall: target, limit: limit as u32, probes, epsilon })
        };
        Ok(TARGETS.into_iter().filter_map(effort).collect())
    }

    /// Measures what the nearest `lists` lists hold.
    fn measure_lists(&self, probes: &[Probe], limit: usize, lists: usize) -> ByLists {
        let (found, wanted, codes) = probes
            .par_iter()
            .map(|probe| {
                let nearest = self.nearest(probe, lists);
                let rows = |list: u32| self.ivf.layout.rows(list).len() as u64;
                let codes: u64 = nearest.iter().map(rows).sum();
                let wanted = probe.neighbours.iter().take(limit);
                let found =
                    wanted.clone().filter(|offset| self.lies_in(**offset, &nearest)).count();
                (found as u64, wanted.count() as u64, codes)
            })
            .reduce(|| (0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        ByLists {
            lists,
            recall: found as f64 / wanted.max(1) as f64,
            codes: codes as f64 / probes.len().max(1) as f64,
        }
    }

    /// Measures what bounds of a width find of the neighbours in the nearest `lists` lists.
    fn measure_bounds(
        &self,
        probes: &[Probe],
        limit: usize,
        lists: usize,
        epsilon: f32,
    ) -> Result<ByEpsilon, IndexError> {
        let (found, wanted, rows) = probes
            .par_iter()
            .map(|probe| {
                let nearest = self.nearest(probe, lists);
                let within = |offset: &&u32| self.lies_in(**offset, &nearest);
                let wanted: RoaringBitmap =
                    probe.neighbours.iter().take(limit).filter(within).collect();
                let (found, rows) = self.find(probe, lists, epsilon, limit)?;
                let found = found.iter().filter(|&&offset| wanted.contains(offset)).count() as u64;
                Ok::<_, IndexError>((found, wanted.len(), rows))
            })
            .try_reduce(|| (0, 0, 0), |a, b| Ok((a.0 + b.0, a.1 + b.1, a.2 + b.2)))?;
        Ok(ByEpsilon {
            epsilon,
            recall: found as f64 / wanted.max(1) as f64,
            rows: rows as f64 / probes.len().max(1) as f64,
        })
    }

    /// Returns the lists that a search probes first.
    fn nearest(&self, probe: &Probe, lists: usize) -> RoaringBitmap {
        let mut scan = ListScan::new(&probe.code);
        let nearest = self.ivf.centroids.nearest(&probe.code, &mut scan, lists);
        nearest.iter().map(|probe| probe.list).collect()
    }

    fn lies_in(&self, offset: u32, lists: &RoaringBitmap) -> bool {
        lists.contains(self.ivf.layout.list_of(offset))
    }

    fn row(&self, offset: u32) -> Result<Cow<'_, [f32]>, IndexError> {
        self.rows.row(self.order[offset as usize] as usize)
    }
}

/// Numbers of lists to try, each about a fifth more than the last, up to all.
fn rising(all: usize) -> Vec<usize> {
    let next = |lists: &usize| (*lists < all).then(|| (lists + lists.div_ceil(5)).min(all));
    std::iter::successors(Some(1), next).collect()
}

/// Returns the fewest lists of at least this recall.
fn first_above(by_lists: &[ByLists], recall: f64) -> Option<&ByLists> {
    by_lists.iter().find(|by_lists| by_lists.recall >= recall)
}

/// What some number of lists holds.
struct ByLists {
    lists: usize,
    /// The share of the true neighbours.
    recall: f64,
    /// Codes, in the mean of all probes.
    codes: f64,
}

/// What bounds of one width find.
struct ByEpsilon {
    epsilon: f32,
    recall: f64,
    /// Rows verified for a query, in the mean.
    rows: f64,
}

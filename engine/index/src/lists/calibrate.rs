//! Measuring a segment: how many probes and how wide bounds each recall takes.

use std::borrow::Cow;
use std::collections::HashMap;

use bigrain_binarize::{Binarizer, QueryCode, QueryWidth};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::calibration::{Calibration, Effort};
use super::kmeans::pick;
use crate::build::Rows;
use crate::candidates::ivf::{Ivf, Reach};
use crate::candidates::list_scan::{Epsilon, ListScan};
use crate::verify::{similarity, verify};
use crate::{Candidate, Candidates, IndexError};

/// Rows taken as queries, at most.
const QUERIES: usize = 512;

/// Fewer rows than this say nothing.
const MIN_ROWS: usize = 256;

/// The numbers of results that are calibrated.
const LIMITS: [usize; 2] = [10, 100];

/// The recalls for which efforts are kept.
const TARGETS: [f32; 16] = [
    0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.995, 0.998,
];

/// The widths of bounds that are tried.
const EPSILONS: [f32; 6] = [0.3, 0.7, 1.1, 1.6, 2.2, 3.0];

/// Bounds that lose next to nothing: what they find is taken for the truth.
const TRUTH_EPSILON: f32 = 3.6;

/// The share of neighbours whose lists are probed while bounds are measured.
const PROBED_SHARE: f64 = 0.95;

/// Queries of which candidates are read together, at most: enough to give all threads work.
const TOGETHER: usize = 64;

/// Rows are read in so many rounds at most, where there is memory for few queries together ...
const ROUNDS: usize = QUERIES / TOGETHER;

/// ... unless that were fewer queries than this.
const FEWEST_QUERIES: usize = 64;

/// Candidates of a query that are read together with those of others, best bound first; few searches look at more.
/// Where there is memory for few queries together, the others are left out: read one by one from a disk, they
/// would take longer than all the rest of a build.
const READ_AHEAD: usize = 4096;

/// Bytes of a candidate that is read with others: what is wanted of it, how similar it is, and that as it is
/// remembered.
const READ_BYTES: usize = 64;

/// Candidates for each result that a query is measured for, at most.
const CANDIDATES: usize = 100;

/// What a search costs, in nanoseconds. Only ratios matter, and they are fixed, because a build must
/// not depend on a clock.
mod cost {
    /// A list that is probed, besides its codes.
    pub(super) const LIST: f64 = 100.0;
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
    /// The rows that the centroids were trained on, rising: they lie nearer to their centroids than
    /// queries will.
    pub trained_on: &'a [usize],
    /// How many rows taken as queries have their candidates read together, in the order in which they lie: rows
    /// may be on disk only, and most are candidates of several ([`together`]).
    pub together: usize,
}

/// A row taken as a query, with its true neighbours. The row itself is read again when bounds are measured: 512
/// rows are megabytes where rows are long.
struct Probe {
    offset: u32,
    /// Similarities and offsets, nearest first, without the row itself.
    neighbours: Vec<(f32, u32)>,
    /// For each list, how many are nearer.
    ranks: Vec<u32>,
}

/// A row taken as a query.
struct RowQuery<'a> {
    offset: u32,
    vector: Cow<'a, [f32]>,
    code: QueryCode,
    /// What the widest case that will be measured leaves to be verified, best bound first.
    candidates: Vec<Candidate>,
    /// Similarities of the rows that were read for it.
    read: HashMap<u32, f32>,
}

/// One way to search that is measured.
#[derive(Clone, Copy)]
struct Case {
    limit: usize,
    lists: usize,
    epsilon: f32,
}

impl Case {
    /// Returns the case of which each of some cases is a part.
    fn around(cases: &[Self]) -> Self {
        let narrowest = Self { limit: 1, lists: 1, epsilon: 0.0 };
        cases.iter().fold(narrowest, |widest, case| Self {
            limit: widest.limit.max(case.limit),
            lists: widest.lists.max(case.lists),
            epsilon: widest.epsilon.max(case.epsilon),
        })
    }
}

/// What a case finds for some probes.
#[derive(Clone, Copy, Default)]
struct Tally {
    found: u64,
    wanted: u64,
    /// Rows verified.
    rows: u64,
}

/// Returns how many queries can have their candidates read together within so many bytes.
pub(crate) fn together(bytes: usize) -> usize {
    (bytes / query_bytes(usize::MAX)).clamp(1, TOGETHER)
}

/// Returns the bytes of a query in a segment of so many rows: its candidates, and those that are read.
fn query_bytes(rows: usize) -> usize {
    let candidates = (LIMITS[LIMITS.len() - 1] * CANDIDATES).min(rows) * size_of::<Candidate>();
    candidates + READ_AHEAD.min(rows) * READ_BYTES
}

/// Returns the bytes of the probes of a segment of so many rows and lists, where so many are measured together.
pub(crate) fn probe_bytes(rows: usize, lists: usize, together: usize) -> u64 {
    let of_lists = lists * size_of::<u32>();
    let of_neighbours = LIMITS[LIMITS.len() - 1] * size_of::<(f32, u32)>();
    let of_queries = together * query_bytes(rows);
    (QUERIES * (of_lists + of_neighbours + size_of::<Probe>()) + of_queries) as u64
}

impl Measured<'_> {
    /// Returns the efforts that targets take; nothing for a segment too small to measure.
    pub fn calibrate(&self, seed: u64) -> Result<Calibration, IndexError> {
        if self.order.len() < MIN_ROWS {
            return Ok(Calibration::default());
        }
        let mut probes = Vec::new();
        let truth = self.truth();
        for offsets in self.pick(seed).chunks(self.together) {
            let queries = self.queries(offsets, truth)?;
            let found: Result<Vec<Probe>, IndexError> =
                queries.par_iter().map(|query| self.probe(query, truth.limit)).collect();
            probes.extend(found?);
        }
        let limits: Vec<usize> =
            LIMITS.into_iter().filter(|limit| limit * 2 < self.order.len()).collect();
        let by_lists: Vec<Vec<ByLists>> =
            limits.iter().map(|&limit| self.measure_lists(&probes, limit)).collect();
        let mut cases = Vec::new();
        for (&limit, by_lists) in limits.iter().zip(&by_lists) {
            let lists = first_above(by_lists, PROBED_SHARE).map_or(1, |by_lists| by_lists.lists);
            cases.extend(EPSILONS.map(|epsilon| Case { limit, lists, epsilon }));
        }
        let by_epsilon = self.measure_bounds(&probes, &cases)?;
        let mut entries = Vec::new();
        let of_limits = limits.iter().zip(&by_lists).zip(by_epsilon.chunks(EPSILONS.len()));
        for ((&limit, by_lists), by_epsilon) in of_limits {
            entries.extend(self.efforts(limit, by_lists, by_epsilon));
        }
        Ok(Calibration::new(entries).unwrap_or_default())
    }

    /// Picks the offsets to be queries: of rows that nothing was trained on, where there are enough.
    fn pick(&self, seed: u64) -> Vec<u32> {
        let unseen = |offset: &u32| {
            let row = self.order[*offset as usize] as usize;
            self.trained_on.binary_search(&row).is_err()
        };
        let all = 0..self.order.len() as u32;
        let mut from: Vec<u32> = all.clone().filter(unseen).collect();
        if from.len() < MIN_ROWS {
            from = all.collect();
        }
        let readable = (ROUNDS * self.together).max(FEWEST_QUERIES);
        let count = readable.min(from.len() / 2);
        let picked = pick(from.len(), count, &mut ChaCha8Rng::seed_from_u64(seed));
        picked.into_iter().map(|at| from[at]).collect()
    }

    fn probe(&self, query: &RowQuery<'_>, limit: usize) -> Result<Probe, IndexError> {
        let ranks = self.ranks(&query.code);
        let neighbours = self.verified(query, &query.candidates, limit)?.0;
        Ok(Probe { offset: query.offset, neighbours, ranks })
    }

    /// Returns how the true neighbours are found.
    fn truth(&self) -> Case {
        let lists = self.ivf.layout.len();
        Case { limit: LIMITS[LIMITS.len() - 1], lists, epsilon: TRUTH_EPSILON }
    }

    /// Returns rows as queries, without those that cannot be one, and with what it takes to verify the widest case read.
    fn queries(&self, offsets: &[u32], widest: Case) -> Result<Vec<RowQuery<'_>>, IndexError> {
        let queries: Result<Vec<Option<RowQuery<'_>>>, IndexError> =
            offsets.par_iter().map(|&offset| self.query(offset, widest)).collect();
        let mut queries: Vec<RowQuery<'_>> = queries?.into_iter().flatten().collect();
        self.read_ahead(&mut queries)?;
        Ok(queries)
    }

    /// Reads the candidates of some queries, row after row, and remembers how similar they are.
    fn read_ahead(&self, queries: &mut [RowQuery<'_>]) -> Result<(), IndexError> {
        let mut wanted: Vec<(u32, u32, usize)> = Vec::new();
        for (at, query) in queries.iter().enumerate() {
            let offsets =
                query.candidates.iter().take(READ_AHEAD).map(|candidate| candidate.offset);
            wanted.extend(offsets.map(|offset| (self.order[offset as usize], offset, at)));
        }
        wanted.par_sort_unstable();
        let of_row = |wanted: &[(u32, u32, usize)]| {
            let row = self.rows.row(wanted[0].0 as usize)?;
            let similarity = |&(_, offset, at): &(u32, u32, usize)| {
                let vector = &queries[at].vector;
                (at, offset, similarity(self.binarizer.metric(), vector, &row))
            };
            Ok::<_, IndexError>(wanted.iter().map(similarity).collect::<Vec<_>>())
        };
        let by_row: Vec<&[(u32, u32, usize)]> = wanted.chunk_by(|a, b| a.0 == b.0).collect();
        let read: Result<Vec<_>, IndexError> = by_row.into_par_iter().map(of_row).collect();
        for (at, offset, similarity) in read?.into_iter().flatten() {
            queries[at].read.insert(offset, similarity);
        }
        Ok(())
    }

    /// Returns a row as a query; nothing for one that cannot be a query.
    fn query(&self, offset: u32, widest: Case) -> Result<Option<RowQuery<'_>>, IndexError> {
        let vector = self.row(offset)?;
        let code = self.binarizer.prepare_query(&vector, QueryWidth::DEFAULT).ok();
        Ok(code.map(|code| {
            let candidates = self.candidates((&code, offset), widest);
            RowQuery { offset, vector, code, candidates, read: HashMap::new() }
        }))
    }

    /// Returns for each list how many are nearer to a query.
    fn ranks(&self, query: &QueryCode) -> Vec<u32> {
        let lists = self.ivf.layout.len();
        let nearest = self.ivf.centroids.nearest(query, &mut ListScan::new(query), lists);
        let mut ranks = vec![0; lists];
        for (rank, probe) in nearest.iter().enumerate() {
            ranks[probe.list as usize] = rank as u32;
        }
        ranks
    }

    /// Searches for a row's neighbours; returns them as [`Probe`] does, with the number of rows
    /// verified.
    fn find(&self, query: &RowQuery<'_>, case: Case) -> Result<(Vec<(f32, u32)>, u64), IndexError> {
        let candidates = self.candidates((&query.code, query.offset), case);
        self.verified(query, &candidates, case.limit)
    }

    /// Verifies candidates; returns what [`Measured::find`] does.
    fn verified(
        &self,
        query: &RowQuery<'_>,
        candidates: &[Candidate],
        limit: usize,
    ) -> Result<(Vec<(f32, u32)>, u64), IndexError> {
        let metric = self.binarizer.metric();
        let verified = verify(candidates, limit, |candidate| {
            if let Some(&similarity) = query.read.get(&candidate.offset) {
                return Ok(similarity);
            }
            let row = self.row(candidate.offset)?;
            Ok::<_, IndexError>(similarity(metric, &query.vector, &row))
        })?;
        let found = |&(similarity, at): &(f32, usize)| (similarity, candidates[at].offset);
        Ok((verified.best.iter().map(found).collect(), verified.rows))
    }

    /// Returns what the codes of a case leave to be verified for a row taken as a query, best bound first.
    fn candidates(
        &self,
        (code, row): (&QueryCode, u32),
        Case { limit, lists, epsilon }: Case,
    ) -> Vec<Candidate> {
        let itself = |offset| offset == row;
        let most = if self.together < TOGETHER { READ_AHEAD } else { usize::MAX };
        let most = most.min(limit.max(LIMITS[LIMITS.len() - 1]) * CANDIDATES);
        let mut candidates = Candidates::new(limit, most);
        let mut scan = ListScan::new(code);
        let reach = Reach { probes: lists, epsilon: Epsilon { sign: epsilon, full: epsilon } };
        self.ivf.search(code, &mut scan, reach, itself, &mut candidates);
        let mut candidates = candidates.into_sorted();
        candidates.shrink_to_fit();
        candidates
    }

    fn efforts(&self, limit: usize, by_lists: &[ByLists], by_epsilon: &[ByEpsilon]) -> Vec<Effort> {
        let dims = self.binarizer.layout().dims() as f64;
        let effort = |target: f32| {
            let pairs = by_epsilon.iter().filter_map(|bounds| {
                let found = first_above(by_lists, f64::from(target) / bounds.recall)?;
                let lists = found.lists as f64 * cost::LIST;
                let codes = found.codes * (cost::CODE + dims * cost::CODE_DIM);
                let rows = bounds.rows * (cost::ROW + dims * cost::ROW_DIM);
                Some((lists + codes + rows, found.lists as u32, bounds.epsilon))
            });
            let (_, probes, epsilon) = pairs.min_by(|a, b| a.0.total_cmp(&b.0))?;
            Some(Effort { recall: target, limit: limit as u32, probes, epsilon })
        };
        TARGETS.into_iter().filter_map(effort).collect()
    }

    /// Measures what the nearest lists hold, for rising numbers of them.
    fn measure_lists(&self, probes: &[Probe], limit: usize) -> Vec<ByLists> {
        let counts = rising(self.ivf.layout.len());
        let mut by_lists: Vec<ByLists> =
            counts.iter().map(|&lists| ByLists { lists, recall: 0.0, codes: 0.0 }).collect();
        let wanted: usize = probes.iter().map(|probe| probe.neighbours.len().min(limit)).sum();
        let (found, codes) = (1.0 / wanted.max(1) as f64, 1.0 / probes.len().max(1) as f64);
        for probe in probes {
            // The first number of lists that reaches as far as a list, or a neighbour's list.
            let first = |rank: u32| counts.partition_point(|&lists| lists <= rank as usize);
            for &(_, neighbour) in probe.neighbours.iter().take(limit) {
                let list = self.ivf.layout.list_of(neighbour);
                by_lists[first(probe.ranks[list as usize])].recall += found;
            }
            for (list, &rank) in probe.ranks.iter().enumerate() {
                let rows = self.ivf.layout.rows(list as u32).len() as f64;
                by_lists[first(rank)].codes += rows * codes;
            }
        }
        let mut sums = (0.0, 0.0);
        for by_lists in &mut by_lists {
            sums = (sums.0 + by_lists.recall, sums.1 + by_lists.codes);
            (by_lists.recall, by_lists.codes) = sums;
        }
        by_lists
    }

    /// Measures what each case finds of the neighbours in its nearest lists; what the codes of centroids
    /// misjudge is lost here too. All cases of a probe are measured together, so that its rows are read once.
    fn measure_bounds(
        &self,
        probes: &[Probe],
        cases: &[Case],
    ) -> Result<Vec<ByEpsilon>, IndexError> {
        let mut tallies = vec![Tally::default(); cases.len()];
        let widest = Case::around(cases);
        for probes in probes.chunks(self.together) {
            let offsets: Vec<u32> = probes.iter().map(|probe| probe.offset).collect();
            // Each was a query before, so that each is one now.
            let queries = self.queries(&offsets, widest)?;
            let of_probes: Result<Vec<Vec<Tally>>, IndexError> = { queries.par_iter() }
                .zip(probes)
                .map(|(query, probe)| self.tally(query, probe, cases))
                .collect();
            for of_probe in of_probes? {
                for (sum, tally) in tallies.iter_mut().zip(of_probe) {
                    sum.found += tally.found;
                    sum.wanted += tally.wanted;
                    sum.rows += tally.rows;
                }
            }
        }
        let by_epsilon = |(case, tally): (&Case, Tally)| ByEpsilon {
            epsilon: case.epsilon,
            recall: tally.found as f64 / tally.wanted.max(1) as f64,
            rows: tally.rows as f64 / probes.len().max(1) as f64,
        };
        Ok(cases.iter().zip(tallies).map(by_epsilon).collect())
    }

    fn tally(
        &self,
        query: &RowQuery<'_>,
        probe: &Probe,
        cases: &[Case],
    ) -> Result<Vec<Tally>, IndexError> {
        let tally = |&case: &Case| {
            let within = |&&(_, offset): &&(f32, u32)| {
                (probe.ranks[self.ivf.layout.list_of(offset) as usize] as usize) < case.lists
            };
            let wanted = probe.neighbours.iter().take(case.limit).filter(within);
            let (wanted, least) = wanted
                .fold((0_u64, f32::NAN), |(count, _), &(similarity, _)| (count + 1, similarity));
            let (found, rows) = self.find(query, case)?;
            // Equals of a neighbour are as good: rows that are there twice are common.
            let found = found.iter().filter(|&&(similarity, _)| similarity >= least).count() as u64;
            Ok::<_, IndexError>(Tally { found: found.min(wanted), wanted, rows })
        };
        cases.iter().map(tally).collect()
    }

    fn row(&self, offset: u32) -> Result<Cow<'_, [f32]>, IndexError> {
        self.rows.row(self.order[offset as usize] as usize)
    }
}

/// Numbers of lists to try, each at most a tenth more than the last, up to all.
fn rising(all: usize) -> Vec<usize> {
    let next = |lists: &usize| (*lists < all).then(|| (lists + (lists / 10).max(1)).min(all));
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

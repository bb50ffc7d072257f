//! From multi-vectors to `tokens.<field>` and `sketches.<field>`.
//!
//! ```text
//!  points ──sample, merge, rotate──> train ──> centroids            where there are lists
//!  points ──merge──> codes, their lists; lengths of records          (one pass, in parallel)
//!         ──> sketches ──> efforts, with points as queries
//!  points ──> tokens                                                 (one pass)
//! ```
//!
//! The same points, binarizer and parameters give the same files, for any number of threads. Where a device finds lists
//! ([`DeviceLists`]), which it is and whether it fails on the way are among the parameters; codes are the same with it.

use std::ops::Range;
use std::path::Path;

use bigrain_binarize::{Binarizer, EncodeScratch, Factors, to_half, unit_for};
use bigrain_storage::Directory;
use bigrain_types::{Metric, MultiVector, TokensView};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::max_sim::widen;
use super::merge::merge_tokens;
use super::reach::{Effort, NearLists, contains};
use super::search::{MultiQueryCode, SketchSearch};
use super::sketches::Sketches;
use super::tokens::{TokensWriter, record_bytes};
use crate::IndexError;
use crate::lists::{
    DeviceLists, KMeans, LoadedLists, NearestCentroid, OwnedCentroids, pick, train,
};

/// Points merged by one task. Fixed, so that the work is cut alike for any number of threads.
const CHUNK: usize = 128;

/// Fewer points have no lists: scoring all of their sketches takes less than a millisecond.
const MIN_LISTED: usize = 4096;

/// Merged tokens of the sample for each list.
const SAMPLE_PER_LIST: usize = 40;

/// Bytes of a merged token's factor as it is made, and of its entry in a list.
const FACTOR_BYTES: u64 = 12;

/// Bytes of where a point's record ends.
const END_BYTES: u64 = 8;

/// Points that are queries when efforts are measured, and tokens of each at most.
const QUERIES: usize = 32;
const QUERY_TOKENS: usize = 8;

/// The best sketches that are to be found.
const FOUND: usize = 20;

/// The multi-vectors of a segment to be, in the order of its offsets.
pub trait MultiSource: Sync {
    /// Returns how many points there are, those without a multi-vector included.
    fn points(&self) -> usize;

    /// Whether a point has a multi-vector.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when this is written in a file that cannot be read.
    fn has(&self, offset: usize) -> Result<bool, IndexError>;

    /// Returns the tokens of a point; none for one without.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when tokens that lie in a file cannot be read.
    fn tokens(&self, offset: usize) -> Result<Option<TokensView<'_>>, IndexError>;
}

/// How to build the files of one field.
#[derive(Clone, Copy, Debug)]
pub struct BuildMulti<'a> {
    /// Encodes merged tokens: of one level, for dot products.
    pub binarizer: &'a Binarizer,
    /// Merged tokens of a point at most.
    pub sketch_tokens: usize,
    /// Where randomness begins.
    pub seed: u64,
    /// What finds the lists of merged tokens, if not the CPU. What it cannot do, the CPU does.
    pub device: Option<&'a DeviceLists<'a>>,
}

impl BuildMulti<'_> {
    /// Returns about how much memory it takes to write so many points: the sketches, once as they are
    /// made and once put together, where records end, and, where there are lists, a sample of merged
    /// tokens that they are trained on.
    #[must_use]
    pub fn memory_bytes(&self, points: usize) -> u64 {
        let layout = self.binarizer.layout();
        let merged = (points * self.sketch_tokens) as u64;
        let codes = 2 * merged * (layout.bytes() as u64 + FACTOR_BYTES);
        let sample = self.lists(points) * (SAMPLE_PER_LIST + 1) * layout.dims() * size_of::<f32>();
        codes + points as u64 * END_BYTES + 2 * sample as u64
    }

    /// Returns the bytes of all that lists are found of, of so many points: merged tokens and their means, as a device is
    /// given them; nothing where there are no lists.
    #[must_use]
    pub fn listed_bytes(&self, points: usize) -> u64 {
        let row = size_of::<f32>() * self.binarizer.layout().dims();
        if self.lists(points) == 0 { 0 } else { (self.listed(points) * row) as u64 }
    }

    /// Returns of how many rows lists are found, at most: each merged token of so many points, and their mean.
    fn listed(&self, points: usize) -> usize {
        points * (self.sketch_tokens + 1)
    }

    /// Returns how many lists suit so many points.
    fn lists(&self, points: usize) -> usize {
        if points < MIN_LISTED {
            return 0;
        }
        ((points * self.sketch_tokens) as f64).sqrt() as usize / 2
    }
}

/// Writes both files of a field. Runs on the current thread pool.
///
/// Memory: [`BuildMulti::memory_bytes`].
///
/// # Errors
///
/// [`IndexError`] when tokens cannot be read or are of other dimensions, or the directory refuses.
pub fn write(
    directory: &dyn Directory,
    (tokens, sketches): (&Path, &Path),
    source: &impl MultiSource,
    params: &BuildMulti<'_>,
) -> Result<(), IndexError> {
    let mut present = Vec::new();
    for offset in 0..source.points() {
        if source.has(offset)? {
            present.push(offset);
        }
    }
    let build = Build { source, params: *params, path: sketches };
    let by_distance = params.binarizer.for_centroids(Metric::L2)?;
    let centroids = build.centroids(&present, &by_distance)?;
    let (built, ends) = build.sketches(centroids.as_ref(), &by_distance)?;
    built.write(directory, sketches, params.binarizer.id())?;
    drop(built);
    let dims = params.binarizer.dims();
    let counts = (&ends[..], present.len() as u32);
    let mut writer = TokensWriter::create(directory, tokens, dims, counts)?;
    for &offset in &present {
        if let Some(tokens) = source.tokens(offset)? {
            writer.push(tokens)?;
        }
    }
    writer.finish()
}

struct Build<'a, S> {
    source: &'a S,
    params: BuildMulti<'a>,
    path: &'a Path,
}

/// What a task made of some neighbouring points.
#[derive(Default)]
struct Chunk {
    /// Codes of each point.
    counts: Vec<u32>,
    /// Bytes of each point's record.
    records: Vec<u64>,
    plane: Vec<u64>,
    rescale: Vec<f32>,
    /// Lists with the points in them, each once.
    entries: Vec<(u32, u32)>,
}

impl<S: MultiSource> Build<'_, S> {
    /// Returns the merged tokens of a point.
    fn merged(&self, tokens: &MultiVector) -> Vec<f32> {
        merge_tokens(tokens.values(), tokens.dims(), self.params.sketch_tokens)
    }

    /// Returns a point's tokens, of the field's dimensions.
    fn widened(&self, offset: usize) -> Result<Option<MultiVector>, IndexError> {
        let Some(tokens) = self.source.tokens(offset)? else { return Ok(None) };
        let (dims, expected) = (tokens.header().dims(), self.params.binarizer.dims());
        if dims != expected {
            let reason = format!("tokens of point {offset} have {dims} of {expected} dimensions");
            return Err(IndexError::Malformed { path: self.path.to_owned(), reason });
        }
        Ok(Some(widen(tokens)))
    }

    /// Trains the centroids of lists on the merged tokens of some points; none for few points.
    fn centroids(
        &self,
        present: &[usize],
        by_distance: &Binarizer,
    ) -> Result<Option<OwnedCentroids>, IndexError> {
        let (lists, per_point) = (self.params.lists(present.len()), self.params.sketch_tokens);
        if lists == 0 {
            return Ok(None);
        }
        let count = (lists * SAMPLE_PER_LIST).div_ceil(per_point).min(present.len());
        let seed = self.params.seed;
        let picked = pick(present.len(), count, &mut ChaCha8Rng::seed_from_u64(seed));
        let rotated: Result<Vec<Vec<f32>>, IndexError> = picked
            .par_iter()
            .map(|&at| {
                let Some(tokens) = self.widened(present[at])? else { return Ok(Vec::new()) };
                Ok(self.rotated(&self.merged(&tokens)).concat())
            })
            .collect();
        let sample = rotated?.concat();
        let training = KMeans::new(lists, seed).with_device(self.params.device);
        Ok(Some(train(&sample, by_distance, &training, &|_, _| {})))
    }

    fn rotated(&self, tokens: &[f32]) -> Vec<Vec<f32>> {
        let binarizer = self.params.binarizer;
        let rotate = |token: &[f32]| {
            let mut rotated = vec![0.0; binarizer.layout().dims()];
            binarizer.rotate(token, &mut rotated);
            rotated
        };
        tokens.chunks_exact(binarizer.dims()).map(rotate).collect()
    }

    /// Encodes all points; returns their sketches, and where each record ends.
    fn sketches(
        &self,
        centroids: Option<&OwnedCentroids>,
        by_distance: &Binarizer,
    ) -> Result<(Sketches, Vec<u64>), IndexError> {
        let points = self.source.points();
        let there = centroids.zip(self.params.device).and_then(|(centroids, device)| {
            device.load(centroids, None, self.params.listed(points))
        });
        let starts: Vec<usize> = (0..points).step_by(CHUNK).collect();
        let chunks: Result<Vec<Chunk>, IndexError> = starts
            .into_par_iter()
            .map(|start| {
                let here = centroids.map(|all| NearestCentroid::new(all, by_distance));
                let lists = here.map(|here| PointLists::new(here, there.as_ref(), by_distance));
                self.chunk(start..points.min(start + CHUNK), lists)
            })
            .collect();
        let chunks = chunks?;
        let (mut codes, mut record_end) = (vec![0], 0);
        let (mut ends, mut plane, mut rescale) =
            (Vec::with_capacity(points), Vec::new(), Vec::new());
        let mut entries = Vec::new();
        for chunk in chunks {
            for (count, record) in chunk.counts.iter().zip(&chunk.records) {
                codes.push(codes[codes.len() - 1] + count);
                record_end += record;
                ends.push(record_end);
            }
            plane.extend(chunk.plane);
            rescale.extend(chunk.rescale);
            entries.extend(chunk.entries);
        }
        let unit = unit_for(rescale.iter().copied().fold(0.0, f32::max));
        let mut sketches = Sketches {
            words: self.params.binarizer.layout().words_per_plane(),
            unit,
            starts: codes,
            rescale: rescale.iter().map(|&rescale| to_half(rescale, unit)).collect(),
            plane,
            ..Sketches::default()
        };
        if let Some(centroids) = centroids {
            self.add_lists(&mut sketches, centroids, entries)?;
        }
        Ok((sketches, ends))
    }

    fn chunk(
        &self,
        points: Range<usize>,
        mut lists: Option<PointLists<'_>>,
    ) -> Result<Chunk, IndexError> {
        let binarizer = self.params.binarizer;
        let (mut chunk, mut scratch) = (Chunk::default(), EncodeScratch::default());
        let mut code = vec![0; binarizer.layout().words()];
        for offset in points {
            let Some(tokens) = self.widened(offset)? else {
                chunk.counts.push(0);
                chunk.records.push(0);
                continue;
            };
            let merged = self.merged(&tokens);
            for token in merged.chunks_exact(binarizer.dims()) {
                let Factors { rescale, .. } = binarizer.encode(token, &mut scratch, &mut code);
                chunk.plane.extend_from_slice(&code);
                chunk.rescale.push(rescale);
            }
            chunk.counts.push((merged.len() / binarizer.dims()) as u32);
            chunk.records.push(self.source.tokens(offset)?.map_or(0, |t| record_bytes(t.header())));
            if let Some(lists) = &mut lists {
                let mut rotated = self.rotated(&merged);
                rotated.push(mean(&rotated));
                lists.add(offset as u32, &rotated);
            }
        }
        chunk.entries = lists.map(PointLists::finish).unwrap_or_default();
        Ok(chunk)
    }

    /// Adds lists, and measures how many of them it takes.
    fn add_lists(
        &self,
        sketches: &mut Sketches,
        centroids: &OwnedCentroids,
        mut entries: Vec<(u32, u32)>,
    ) -> Result<(), IndexError> {
        entries.sort_unstable();
        let lists = centroids.as_centroids().len() as u32;
        let start = |list: u32| entries.partition_point(|entry| entry.0 < list) as u32;
        sketches.list_starts = (0..=lists).map(start).collect();
        sketches.postings = entries.iter().map(|&(_, point)| point).collect();
        drop(entries);
        sketches.centroids = (0..lists).flat_map(|list| centroids.vector(list)).copied().collect();
        sketches.efforts = self.efforts(sketches)?;
        Ok(())
    }

    /// Measures which share of the best sketches lie in the nearest lists, with points as queries.
    fn efforts(&self, sketches: &Sketches) -> Result<Vec<Effort>, IndexError> {
        let present: Vec<u32> = (0..sketches.points()).filter(|&at| sketches.has(at)).collect();
        let seed = self.params.seed.wrapping_add(1);
        let picked = pick(present.len(), QUERIES, &mut ChaCha8Rng::seed_from_u64(seed));
        let mut queries = Vec::with_capacity(picked.len());
        for point in picked.into_iter().map(|at| present[at]) {
            let Some(tokens) = self.widened(point as usize)? else { continue };
            let step = tokens.tokens().div_ceil(QUERY_TOKENS);
            let some: Vec<&[f32]> = tokens.iter().step_by(step).collect();
            let Ok(some) = MultiVector::from_tokens(&some) else { continue };
            let Ok(query) = MultiQueryCode::new(self.params.binarizer, &some) else { continue };
            let all = SketchSearch { sketches, query: &query };
            let best = all.best(FOUND, None, |other| other != point).best;
            let best: Vec<u32> = best.iter().map(|scored| scored.offset).collect();
            queries.push((NearLists::new(sketches, &query, sketches.lists()), best));
        }
        let mut efforts: Vec<Effort> = Vec::new();
        let mut probes = 1;
        while probes < sketches.lists() && !queries.is_empty() {
            let (mut found, mut wanted) = (0, 0);
            for (near, best) in &queries {
                let (points, _) = near.points(sketches, probes);
                found += best.iter().filter(|point| contains(&points, **point)).count();
                wanted += best.len();
            }
            let recall = found as f32 / wanted.max(1) as f32;
            if efforts.last().is_none_or(|last| recall > last.recall) {
                efforts.push(Effort { probes: probes as u32, recall });
            }
            if found == wanted {
                break;
            }
            probes = (probes * 3).div_ceil(2);
        }
        Ok(efforts)
    }
}

/// The lists of some neighbouring points: of each of their tokens, the nearest one.
struct PointLists<'a> {
    here: NearestCentroid<'a>,
    there: Option<&'a LoadedLists<'a>>,
    dims: usize,
    /// Tokens that a device is still to be asked for, and of how many of them each point is.
    waiting: Vec<f32>,
    counts: Vec<(u32, usize)>,
    /// Lists with the points in them, each once.
    entries: Vec<(u32, u32)>,
}

impl<'a> PointLists<'a> {
    fn new(
        here: NearestCentroid<'a>,
        there: Option<&'a LoadedLists<'a>>,
        by_distance: &Binarizer,
    ) -> Self {
        let dims = by_distance.layout().dims();
        Self { here, there, dims, waiting: Vec::new(), counts: Vec::new(), entries: Vec::new() }
    }

    /// Adds a point with its rotated tokens.
    fn add(&mut self, point: u32, tokens: &[Vec<f32>]) {
        if self.there.is_some() {
            self.waiting.extend(tokens.iter().flatten());
            self.counts.push((point, tokens.len()));
            return;
        }
        let found = tokens.iter().map(|token| self.here.of(token)).collect();
        self.enter(point, found);
    }

    fn finish(mut self) -> Vec<(u32, u32)> {
        let Some(there) = self.there else { return self.entries };
        let waiting = std::mem::take(&mut self.waiting);
        let mut found = Vec::with_capacity(waiting.len() / self.dims);
        for part in there.parts(waiting.len() / self.dims) {
            let tokens = &waiting[part.start * self.dims..part.end * self.dims];
            match there.nearest(tokens) {
                Some(lists) => found.extend(lists),
                None => found.extend(tokens.chunks(self.dims).map(|token| self.here.of(token))),
            }
        }
        let mut rest = &found[..];
        for (point, count) in std::mem::take(&mut self.counts) {
            let (lists, others) = rest.split_at(count);
            self.enter(point, lists.to_vec());
            rest = others;
        }
        self.entries
    }

    fn enter(&mut self, point: u32, mut lists: Vec<u32>) {
        lists.sort_unstable();
        lists.dedup();
        self.entries.extend(lists.into_iter().map(|list| (list, point)));
    }
}

/// Returns the mean of some vectors of one length.
fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vectors.first().map_or_else(Vec::new, |first| vec![0.0; first.len()]);
    for vector in vectors {
        mean.iter_mut().zip(vector).for_each(|(to, value)| *to += value / vectors.len() as f32);
    }
    mean
}

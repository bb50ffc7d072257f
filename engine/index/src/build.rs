//! From rows to the index of a segment: a pure function.
//!
//! ```text
//!  rows ──sample, rotate──> train ──> centroids
//!  rows ──rotate──> nearest centroid ──> code about it          (one pass, in parallel)
//!       ──> list order ──> codes in blocks ──> calibration
//! ```
//!
//! The same rows, binarizer and parameters give the same index, for any number of threads.

use std::borrow::Cow;

use bigrain_binarize::{Binarizer, EncodeScratch};
use bigrain_types::Metric;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use crate::IndexError;
use crate::candidates::ivf::Ivf;
use crate::codes::{CodesBuilder, ResidentCodes, signs_first_pays};
use crate::lists::{
    Calibration, KMeans, ListLayout, Measured, NearestCentroid, Nearness, OwnedCentroids,
    default_lists, pick, probe_bytes, together, train,
};

/// Rows encoded by one task. Fixed, so that the work is cut alike for any number of threads.
const CHUNK: usize = 1024;

/// Rows of the sample for each list.
const SAMPLE_PER_LIST: usize = 40;

/// The sample takes at most this many bytes where nothing else was said.
pub const MAX_SAMPLE_BYTES: usize = 1 << 29;

/// Dense rows to be indexed; of length one under cosine.
pub trait Rows: Sync {
    /// Returns how many there are.
    fn len(&self) -> usize;
    /// Returns one row: borrowed where it lies as f32 in memory, decoded where it does not.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a row that lies in a file cannot be read.
    fn row(&self, at: usize) -> Result<Cow<'_, [f32]>, IndexError>;
    /// Hears that training has gone over so many rows of its sample, of so many that it will go over
    /// in all; for whoever shows how far a build is.
    fn trained(&self, rows: usize, of: usize) {
        let _ = (rows, of);
    }
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How to build an index.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildParams {
    /// The number of lists; without it, one that suits the rows.
    pub lists: Option<u32>,
    /// Where randomness begins.
    pub seed: u64,
    /// The bytes of rows that centroids are trained on, at most; without it [`MAX_SAMPLE_BYTES`]. A row
    /// for each list is taken in any case.
    pub sample_bytes: Option<usize>,
}

impl BuildParams {
    /// Returns about how much memory [`build`] takes at most for so many rows: the centroids, and beside
    /// them the sample, or twice the codes, or the codes and what is measured.
    #[must_use]
    pub fn memory_bytes(&self, rows: usize, binarizer: &Binarizer) -> u64 {
        let layout = binarizer.layout();
        let row_bytes = 4 * layout.dims();
        let lists = self.lists_of(rows);
        let centroids = lists * (row_bytes + CodesBuilder::bytes_per_code(layout));
        let sample = self.sample_rows(rows, row_bytes) * row_bytes;
        // In two stages the rows of one part are there twice.
        let parts = if lists > KMeans::new(lists, 0).flat_lists { sample } else { 0 };
        let codes = rows * CodesBuilder::bytes_per_code(layout);
        let measured = rows * layout.bytes() + probe_bytes(rows, lists, self.together()) as usize;
        (centroids + (sample + parts).max(codes).max(measured)) as u64
    }

    /// Returns how many rows are measured together: within half the bytes of the sample, which is gone by then.
    fn together(&self) -> usize {
        together(self.sample_bytes.unwrap_or(MAX_SAMPLE_BYTES) / 2)
    }

    fn lists_of(&self, rows: usize) -> usize {
        let count = self.lists.map_or_else(|| default_lists(rows), |lists| lists as usize);
        count.clamp(1, rows.max(1))
    }

    /// Returns how many rows centroids are trained on.
    fn sample_rows(&self, rows: usize, row_bytes: usize) -> usize {
        let lists = self.lists_of(rows);
        let fitting = self.sample_bytes.unwrap_or(MAX_SAMPLE_BYTES) / row_bytes;
        (lists * SAMPLE_PER_LIST).min(fitting.max(lists)).min(rows)
    }
}

/// The index of a segment, in memory, ready to be written.
#[derive(Debug)]
pub struct BuiltIndex {
    /// For each offset, the row that lies there.
    pub order: Vec<u32>,
    /// Which offsets belong to which list.
    pub layout: ListLayout,
    /// The centroids of the lists.
    pub centroids: OwnedCentroids,
    /// Codes, in list order.
    pub codes: ResidentCodes,
    /// How hard to look for a target recall.
    pub calibration: Calibration,
}

/// Builds the index of some rows. Runs on the current thread pool.
///
/// Memory: a sample of the rows, twice the codes, and the centroids.
///
/// # Errors
///
/// [`IndexError`] for a metric without an estimator, and when a row cannot be read.
pub fn build(
    rows: &dyn Rows,
    binarizer: &Binarizer,
    params: &BuildParams,
) -> Result<BuiltIndex, IndexError> {
    let by_distance = binarizer.for_centroids(Metric::L2)?;
    let lists = params.lists_of(rows.len());
    let count = params.sample_rows(rows.len(), 4 * binarizer.layout().dims());
    let sample = pick(rows.len(), count, &mut ChaCha8Rng::seed_from_u64(params.seed));
    let training = KMeans::new(lists, params.seed);
    let heard = |done, of| rows.trained(done, of);
    let trained = train(&rotated(rows, binarizer, &sample)?, &by_distance, &training, &heard);

    let (assigned, codes) = encode(rows, binarizer, &by_distance, &trained)?;
    let (layout, order) = ListLayout::of(&assigned, trained.as_centroids().len());
    let codes = codes.finish(&order, signs_first_pays(binarizer.layout()));
    let nearness = Nearness::of(binarizer.metric());
    let centroids = match nearness {
        Nearness::Distance => trained.without_penalties(&by_distance, nearness),
        Nearness::Dot => {
            trained.without_penalties(&binarizer.for_centroids(Metric::Dot)?, nearness)
        }
    };
    let ivf =
        Ivf { codes: &codes, layout: &layout, centroids: centroids.as_centroids(), device: None };
    let together = params.together();
    let measured = Measured { ivf, rows, order: &order, binarizer, trained_on: &sample, together };
    let calibration = measured.calibrate(params.seed.wrapping_add(1))?;
    Ok(BuiltIndex { order, layout, centroids, codes, calibration })
}

/// Returns some rows, rotated.
fn rotated(
    rows: &dyn Rows,
    binarizer: &Binarizer,
    picked: &[usize],
) -> Result<Vec<f32>, IndexError> {
    let dims = binarizer.layout().dims();
    let mut rotated = vec![0.0; picked.len() * dims];
    rotated.par_chunks_exact_mut(dims).zip(picked).try_for_each(|(to, &at)| {
        binarizer.rotate(&rows.row(at)?, to);
        Ok::<_, IndexError>(())
    })?;
    Ok(rotated)
}

/// Finds the list of every row, and encodes it about the list's centroid.
fn encode(
    rows: &dyn Rows,
    binarizer: &Binarizer,
    by_distance: &Binarizer,
    centroids: &OwnedCentroids,
) -> Result<(Vec<u32>, CodesBuilder), IndexError> {
    let layout = *binarizer.layout();
    let starts: Vec<usize> = (0..rows.len()).step_by(CHUNK).collect();
    let chunks: Result<Vec<(Vec<u32>, CodesBuilder)>, IndexError> = starts
        .into_par_iter()
        .map(|start| {
            let end = rows.len().min(start + CHUNK);
            let mut nearest = NearestCentroid::new(centroids, by_distance);
            let (mut lists, mut codes) =
                (Vec::with_capacity(end - start), CodesBuilder::new(layout));
            codes.reserve(end - start);
            let (mut rotated, mut code) = (vec![0.0; layout.dims()], vec![0; layout.words()]);
            let mut scratch = EncodeScratch::default();
            for at in start..end {
                let row = rows.row(at)?;
                binarizer.rotate(&row, &mut rotated);
                let list = nearest.of(&rotated);
                let centre = centroids.vector(list);
                let factors =
                    binarizer.encode_in_list(&row, &rotated, centre, &mut scratch, &mut code);
                codes.push(&code, factors);
                lists.push(list);
            }
            Ok((lists, codes))
        })
        .collect();
    let mut lists = Vec::with_capacity(rows.len());
    let mut codes = CodesBuilder::new(layout);
    codes.reserve(rows.len());
    for (chunk_lists, chunk_codes) in chunks? {
        lists.extend(chunk_lists);
        codes.append(&chunk_codes);
    }
    Ok((lists, codes))
}

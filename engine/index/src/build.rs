//! From rows to the index of a segment: a pure function.
//!
//! ```text
//!  rows ──sample, rotate──> train ──> centroids
//!  rows ──rotate──> nearest centroid ──> code about it          (one pass, in parallel)
//!       ──> list order ──> codes in blocks ──> calibration
//! ```
//!
//! The same rows, binarizer and parameters give the same index, for any number of threads. Where there is a device that
//! finds lists ([`DeviceLists`]), which it is and whether it fails on the way are among the parameters.

use std::borrow::Cow;
use std::ops::Range;

use bigrain_binarize::{Binarizer, EncodeScratch};
use bigrain_types::Metric;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use crate::IndexError;
use crate::candidates::ivf::Ivf;
use crate::codes::{CodesBuilder, ResidentCodes, signs_first_pays};
use crate::lists::{
    Calibration, DeviceLists, KMeans, ListLayout, LoadedLists, Measured, NearestCentroid, Nearness,
    OwnedCentroids, default_lists, pick, probe_bytes, together, train,
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
pub struct BuildParams<'a> {
    /// The number of lists; without it, one that suits the rows.
    pub lists: Option<u32>,
    /// Where randomness begins.
    pub seed: u64,
    /// The bytes of rows that centroids are trained on, at most; without it [`MAX_SAMPLE_BYTES`]. A row
    /// for each list is taken in any case.
    pub sample_bytes: Option<usize>,
    /// What finds the lists of rows, if not the CPU. What it cannot do, the CPU does.
    pub device: Option<&'a DeviceLists<'a>>,
}

impl BuildParams<'_> {
    /// Returns about how much memory [`build`] takes at most for so many rows: the centroids, and beside
    /// them the sample, or twice the codes, or the codes and what is measured. A device needs
    /// [`stage_bytes`](crate::lists::stage_bytes) for each thread beside that.
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
    params: &BuildParams<'_>,
) -> Result<BuiltIndex, IndexError> {
    let by_distance = binarizer.for_centroids(Metric::L2)?;
    let lists = params.lists_of(rows.len());
    let count = params.sample_rows(rows.len(), 4 * binarizer.layout().dims());
    let sample = pick(rows.len(), count, &mut ChaCha8Rng::seed_from_u64(params.seed));
    let training = KMeans::new(lists, params.seed).with_device(params.device);
    let heard = |done, of| rows.trained(done, of);
    let trained = train(&rotated(rows, binarizer, &sample)?, &by_distance, &training, &heard);

    let pass = Pass { rows, binarizer, by_distance: &by_distance, centroids: &trained };
    let (assigned, codes) = pass.encode(params.device)?;
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

/// One pass over all rows: finds the list of each, and encodes it about the list's centroid.
struct Pass<'a> {
    rows: &'a dyn Rows,
    binarizer: &'a Binarizer,
    by_distance: &'a Binarizer,
    centroids: &'a OwnedCentroids,
}

/// Some rows with their lists and codes.
struct Encoded<'a> {
    pass: &'a Pass<'a>,
    lists: Vec<u32>,
    codes: CodesBuilder,
    scratch: EncodeScratch,
    code: Vec<u64>,
}

impl Pass<'_> {
    fn encode(
        &self,
        device: Option<&DeviceLists<'_>>,
    ) -> Result<(Vec<u32>, CodesBuilder), IndexError> {
        let rows = self.rows.len();
        let device =
            device.and_then(|device| device.load(self.centroids, self.binarizer.rotation(), rows));
        let parts = match &device {
            Some(device) => device.parts(rows),
            None => (0..rows).step_by(CHUNK).map(|first| first..rows.min(first + CHUNK)).collect(),
        };
        let encode = |part: Range<usize>| match &device {
            Some(device) => self.encode_there(device, part),
            None => self.encode_here(part),
        };
        let parts: Result<Vec<Encoded<'_>>, IndexError> =
            parts.into_par_iter().map(encode).collect();
        let mut lists = Vec::with_capacity(rows);
        let mut codes = CodesBuilder::new(*self.binarizer.layout());
        codes.reserve(rows);
        for part in parts? {
            lists.extend(part.lists);
            codes.append(&part.codes);
        }
        Ok((lists, codes))
    }

    fn encode_here(&self, part: Range<usize>) -> Result<Encoded<'_>, IndexError> {
        let mut nearest = NearestCentroid::new(self.centroids, self.by_distance);
        let mut rotated = vec![0.0; self.binarizer.layout().dims()];
        let mut encoded = Encoded::new(self, part.len());
        for at in part {
            let row = self.rows.row(at)?;
            self.binarizer.rotate(&row, &mut rotated);
            encoded.push(&row, &rotated, nearest.of(&rotated));
        }
        Ok(encoded)
    }

    /// Has a device rotate the rows and find their lists; what it does not do is done here.
    fn encode_there(
        &self,
        device: &LoadedLists<'_>,
        part: Range<usize>,
    ) -> Result<Encoded<'_>, IndexError> {
        let (dims, coordinates) = (self.binarizer.dims(), self.binarizer.layout().dims());
        let mut rows = Vec::with_capacity(part.len() * dims);
        for at in part.clone() {
            rows.extend_from_slice(&self.rows.row(at)?);
        }
        let mut rotated = vec![0.0; part.len() * coordinates];
        let found = match self.binarizer.rotation() {
            Some(_) => device.rotate_and_find(&rows, &mut rotated),
            None => {
                for (row, rotated) in rows.chunks(dims).zip(rotated.chunks_mut(coordinates)) {
                    self.binarizer.rotate(row, rotated);
                }
                device.nearest(&rotated)
            }
        };
        let Some(found) = found else { return self.encode_here(part) };
        let mut encoded = Encoded::new(self, part.len());
        for ((row, rotated), list) in rows.chunks(dims).zip(rotated.chunks(coordinates)).zip(found)
        {
            encoded.push(row, rotated, list);
        }
        Ok(encoded)
    }
}

impl<'a> Encoded<'a> {
    fn new(pass: &'a Pass<'a>, rows: usize) -> Self {
        let layout = *pass.binarizer.layout();
        let (lists, mut codes) = (Vec::with_capacity(rows), CodesBuilder::new(layout));
        codes.reserve(rows);
        let (scratch, code) = (EncodeScratch::default(), vec![0; layout.words()]);
        Self { pass, lists, codes, scratch, code }
    }

    fn push(&mut self, row: &[f32], rotated: &[f32], list: u32) {
        let Self { pass, scratch, code, .. } = self;
        let centre = pass.centroids.vector(list);
        let factors = pass.binarizer.encode_in_list(row, rotated, centre, scratch, code);
        self.codes.push(code, factors);
        self.lists.push(list);
    }
}

//! Where a memtable's rows belong, learned from a segment.
//!
//! A memtable is searched while it fills, and has no time to cluster its rows. But a collection's largest
//! segment has centroids, and what is written next mostly lies where what was written before lies. Some of its
//! centroids are the *guide* of a memtable: each row goes to the list of the nearest, on the thread of the
//! writer, and a search scans the lists nearest to its query.
//!
//! How many lists a target recall takes was measured for the segment, not for the memtable, so a search
//! looks through a multiple of that share of the rows, and never through less than a part of them that costs next to
//! nothing. Rows unlike all before them fall into few lists, which makes searches slower and not worse.

use bigrain_binarize::{Binarizer, QueryCode};
use bigrain_index::candidates::list_scan::{Epsilon, ListScan};
use bigrain_index::lists::{Calibration, NearestCentroid, Nearness, OwnedCentroids, Probe};
use bigrain_types::{Metric, SegmentId};

use crate::field::Field;
use crate::segment::FieldFiles;
use crate::{Error, Result};

/// The lists of a memtable, at most: so many that one is a few blocks of a chunk of rows. A list is known by a byte.
const MAX_LISTS: usize = 128;

/// A segment of fewer lists guides nobody ...
const MIN_LISTS: u32 = 32;

/// ... and one of fewer rows says little about where others lie.
const MIN_ROWS: u64 = 4096;

/// The share of a memtable's rows that every search looks through.
const LEAST_SHARE: f64 = 1.0 / 32.0;

/// How many times the share that the segment needs is looked through: lists of fewer centroids are coarser. On
/// images, words and sentences it took 3 times as much for a recall of 0.95, and up to 5 times for 0.8.
const MARGIN: f64 = 4.0;

/// Some centroids of a segment.
#[derive(Debug)]
pub(crate) struct Guide {
    source: SegmentId,
    /// The binarizer of `of_rows`.
    by_distance: Binarizer,
    /// As rows choose them.
    of_rows: OwnedCentroids,
    /// As queries choose them.
    of_queries: OwnedCentroids,
    /// What the segment needs for a target, and how many lists it has.
    calibration: Calibration,
    source_lists: u32,
}

impl Guide {
    /// Whether a segment can be a guide.
    pub fn can_be(files: &FieldFiles) -> bool {
        files.rows() >= MIN_ROWS && files.lists.lists() >= MIN_LISTS
    }

    /// Takes centroids from a segment.
    ///
    /// # Errors
    ///
    /// `Corruption` when they cannot be read.
    pub fn of_segment(field: &Field, source: SegmentId, files: &FieldFiles) -> Result<Self> {
        let lists = files.lists.resident()?;
        let source_lists = lists.layout.len();
        let centroids = files.lists.centroids(&lists, Nearness::Distance)?;
        let dims = field.binarizer.layout().dims();
        let count = source_lists.min(MAX_LISTS);
        // Lists that follow each other have nothing in common.
        let picked = (0..count).map(|at| at * source_lists / count);
        let picked = picked.flat_map(|list| &centroids.vectors[list * dims..][..dims]);
        let vectors = picked.copied().collect();
        let calibration = lists.calibration.clone();
        Self::new(field, source, vectors, (calibration, source_lists as u32))
    }

    /// Takes rotated centroids, and what their segment of so many lists needs.
    pub fn new(
        field: &Field,
        source: SegmentId,
        vectors: Vec<f32>,
        (calibration, source_lists): (Calibration, u32),
    ) -> Result<Self> {
        let binarizer = |metric| {
            let binarizer = field.binarizer.for_centroids(metric);
            binarizer.map_err(|error| Error::invalid(error.to_string()))
        };
        let by_distance = binarizer(Metric::L2)?;
        let of_rows = OwnedCentroids::new(vectors, Vec::new(), &by_distance, Nearness::Distance);
        let of_queries = match Nearness::of(field.config.metric) {
            Nearness::Distance => of_rows.clone(),
            Nearness::Dot => {
                of_rows.clone().without_penalties(&binarizer(Metric::Dot)?, Nearness::Dot)
            }
        };
        Ok(Self { source, by_distance, of_rows, of_queries, calibration, source_lists })
    }

    /// Returns the segment that it was taken from.
    pub fn source(&self) -> SegmentId {
        self.source
    }

    /// Returns how many lists there are.
    pub fn lists(&self) -> usize {
        self.of_rows.as_centroids().len()
    }

    /// Returns what finds the list of a row.
    pub fn nearest_to_rows(&self) -> NearestCentroid<'_> {
        NearestCentroid::new(&self.of_rows, &self.by_distance)
    }

    /// Returns the rotated centroid of a list.
    pub fn centroid(&self, list: u32) -> &[f32] {
        self.of_rows.vector(list)
    }

    /// Returns the squared length of a centroid.
    pub fn norm_squared(&self, list: u32) -> f32 {
        self.of_queries.as_centroids().norms_squared[list as usize]
    }

    /// Returns all lists, those nearest to a query first.
    pub fn nearest(&self, query: &QueryCode, scan: &mut ListScan) -> Vec<Probe> {
        self.of_queries.as_centroids().nearest(query, scan, self.lists())
    }

    /// Returns the share of the rows that a search looks through, and how wide its bounds are.
    pub fn effort(&self, target_recall: f32, limit: usize) -> (f64, Epsilon) {
        let effort = self.calibration.effort(target_recall, limit, self.source_lists);
        let of_source = f64::from(effort.probes) / f64::from(self.source_lists);
        let epsilon = Epsilon { sign: effort.epsilon, full: effort.epsilon };
        ((MARGIN * of_source).clamp(LEAST_SHARE, 1.0), epsilon)
    }

    /// Returns about how much memory it takes.
    pub fn memory_bytes(&self) -> usize {
        let of = |centroids: &OwnedCentroids| {
            centroids.codes().memory_bytes() + 4 * centroids.as_centroids().vectors.len()
        };
        of(&self.of_rows) + of(&self.of_queries)
    }
}

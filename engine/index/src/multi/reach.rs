//! Which lists, and so which points, are near a query.

use bigrain_kernels::{TopK, dot};

use super::search::MultiQueryCode;
use super::sketches::Sketches;

/// What probing the nearest lists of each of the query's tokens finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// The lists probed for each token of the query.
    pub probes: u32,
    /// The share of the best sketches that are found.
    pub recall: f32,
}

/// The lists near a query, nearest first, for each of its tokens and for their mean.
pub(super) struct NearLists(Vec<Vec<u32>>);

impl Sketches {
    /// Returns how many lists to probe for each of the query's tokens, for a share of what all lists
    /// would find; nothing where only all of them are enough, or there are none.
    #[must_use]
    pub fn probes_for(&self, target_recall: f32) -> Option<usize> {
        let enough = |effort: &&Effort| effort.recall >= target_recall;
        self.efforts.iter().find(enough).map(|effort| effort.probes as usize)
    }
}

impl NearLists {
    /// Finds the nearest `probes` lists of each token.
    pub fn new(sketches: &Sketches, query: &MultiQueryCode, probes: usize) -> Self {
        let dims = 64 * sketches.words;
        let near = |rotated: &[f32]| {
            let mut best = TopK::new(probes);
            for (list, centroid) in (0..).zip(sketches.centroids.chunks_exact(dims)) {
                best.push(dot(rotated, centroid), list);
            }
            best.into_sorted().iter().map(|scored| scored.offset).collect()
        };
        Self(query.rotated().map(near).collect())
    }

    /// Returns the points of the nearest `probes` lists of each token, as a bit for each point, and how
    /// many lists that were.
    pub fn points(&self, sketches: &Sketches, probes: usize) -> (Vec<u64>, u64) {
        let mut probed = vec![false; sketches.lists()];
        for list in self.0.iter().flat_map(|near| near.iter().take(probes)) {
            probed[*list as usize] = true;
        }
        let mut points = vec![0_u64; (sketches.points() as usize).div_ceil(64)];
        let mut lists = 0;
        for (list, _) in probed.iter().enumerate().filter(|(_, probed)| **probed) {
            lists += 1;
            for &point in sketches.posting_list(list) {
                points[point as usize / 64] |= 1 << (point % 64);
            }
        }
        (points, lists)
    }
}

/// Whether a point's bit is set.
pub(super) fn contains(points: &[u64], point: u32) -> bool {
    points[point as usize / 64] >> (point % 64) & 1 == 1
}

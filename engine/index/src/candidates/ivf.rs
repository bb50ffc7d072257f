//! The candidate index of a segment: probe the nearest lists, scan their codes.

use bigrain_binarize::QueryCode;
use roaring::RoaringBitmap;

use super::Offers;
use super::list_scan::{Epsilon, ListScan, ListTerms};
use crate::Candidates;
use crate::codes::ResidentCodes;
use crate::lists::{Centroids, ListLayout, Probe};

/// What one segment keeps in memory to find candidates.
#[derive(Clone, Copy, Debug)]
pub struct Ivf<'a> {
    /// The codes, in list order.
    pub codes: &'a ResidentCodes,
    /// Which rows belong to which list.
    pub layout: &'a ListLayout,
    /// The centroids, by which lists are found.
    pub centroids: Centroids<'a>,
}

/// How hard to look in one segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// Lists to probe.
    pub probes: usize,
    /// Deviations that bounds cover.
    pub epsilon: Epsilon,
}

/// What a search of one segment did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Lists scanned.
    pub lists: u64,
    /// Codes scanned.
    pub codes: u64,
}

impl std::ops::AddAssign for Scanned {
    fn add_assign(&mut self, other: Self) {
        self.lists += other.lists;
        self.codes += other.codes;
    }
}

impl Ivf<'_> {
    /// Offers the rows of the nearest lists within `reach` to `candidates`, except those for which
    /// `deleted` is true.
    ///
    /// As long as these hold fewer rows than results are wanted, more lists are scanned: a search
    /// finds `limit` rows wherever there are that many.
    pub fn search(
        &self,
        query: &QueryCode,
        scan: &mut ListScan,
        reach: Reach,
        deleted: impl Fn(u32) -> bool,
        candidates: &mut Candidates,
    ) -> Scanned {
        let offers = &mut Offers::new(candidates, deleted);
        let mut scanned = Scanned::default();
        let mut wanted = reach.probes.clamp(1, self.layout.len());
        let mut done = RoaringBitmap::new();
        loop {
            let nearest = self.centroids.nearest(query, scan, wanted);
            let fresh: Vec<Probe> =
                nearest.into_iter().filter(|probe| !done.contains(probe.list)).collect();
            scanned += self.scan_lists(query, scan, reach.epsilon, &fresh, offers);
            if wanted >= self.layout.len() || offers.has_enough() {
                return scanned;
            }
            done.extend(fresh.iter().map(|probe| probe.list));
            wanted = (4 * wanted).min(self.layout.len());
        }
    }

    fn scan_lists(
        &self,
        query: &QueryCode,
        scan: &mut ListScan,
        epsilon: Epsilon,
        probes: &[Probe],
        offers: &mut Offers<'_, impl Fn(u32) -> bool>,
    ) -> Scanned {
        let mut scanned = Scanned::default();
        for (at, probe) in probes.iter().enumerate() {
            if let Some(next) = probes.get(at + 1) {
                ListScan::fetch_ahead(self.codes, &self.layout.rows(next.list));
            }
            let rows = self.layout.rows(probe.list);
            let norm_squared = self.centroids.norms_squared[probe.list as usize];
            let signs_first = self.codes.signs_first();
            let terms = ListTerms::new(query, probe.dot, norm_squared, signs_first, epsilon);
            scanned += Scanned { lists: 1, codes: rows.len() as u64 };
            scan.scan(self.codes, &terms, rows, offers);
        }
        scanned
    }
}

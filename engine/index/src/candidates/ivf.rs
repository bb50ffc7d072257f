//! The candidate index of a segment: probe the nearest lists, scan their codes.

use bigrain_binarize::QueryCode;
use roaring::RoaringBitmap;

use super::Offers;
use super::list_scan::{Epsilon, ListScan, ListTerms};
use crate::codes::ResidentCodes;
use crate::lists::{Centroids, ListLayout, Probe};
use crate::{Candidates, RowMask};

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

/// How hard to look for rows of a mask in one segment.
#[derive(Clone, Copy)]
pub struct Needed<'a> {
    /// Lists to probe where this share of the rows near the query is in the mask: above 0 and at
    /// most 1.
    pub lists: &'a dyn Fn(f64) -> usize,
    /// Deviations that bounds cover.
    pub epsilon: Epsilon,
}

impl Needed<'_> {
    fn lists(&self, share: f64) -> usize {
        (self.lists)(share)
    }
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

    /// Offers the rows of a mask, from the lists nearest to the query on.
    ///
    /// Which rows are in the mask may have to do with where they lie: near the query there may be
    /// many or none. So lists are probed in rounds, each of which doubles them, until three things
    /// hold. As many lists were probed as the share of the mask among the rows seen asks for
    /// (`needed`); as many rows were found as results are wanted; and the last round found nothing
    /// that is surely better than what was there. The last matters where the nearest rows of the mask
    /// are far from the query: there all lists are about as far, and their order says little.
    pub fn search_masked(
        &self,
        query: &QueryCode,
        scan: &mut ListScan,
        mask: &RowMask,
        needed: &Needed<'_>,
        candidates: &mut Candidates,
    ) -> Scanned {
        let count = self.layout.len();
        let mut scanned = Scanned::default();
        let (mut seen, mut passed) = (0, 0);
        let everywhere = mask.len() as f64 / mask.rows().max(1) as f64;
        let mut wanted = needed.lists(everywhere).clamp(1, count);
        let mut done = RoaringBitmap::new();
        loop {
            let before = candidates.threshold();
            let nearest = self.centroids.nearest(query, scan, wanted);
            let fresh = nearest.into_iter().filter(|probe| !done.contains(probe.list));
            let fresh: Vec<(Probe, u64)> =
                fresh.map(|probe| (probe, mask.count(&self.layout.rows(probe.list)))).collect();
            for (probe, inside) in &fresh {
                let rows = self.layout.rows(probe.list);
                seen += rows.len() as u64;
                passed += inside;
                if *inside > 0 {
                    let terms = self.terms_of(query, probe, needed.epsilon);
                    scanned += Scanned { lists: 1, codes: *inside };
                    scan.scan_masked(self.codes, &terms, rows, mask, candidates);
                }
            }
            // Once the whole mask was scanned, lists without any of it are left.
            if wanted >= count || passed == mask.len() {
                return scanned;
            }
            let share = passed as f64 / seen.max(1) as f64;
            let enough = passed > 0 && wanted >= needed.lists(share);
            let settled = !done.is_empty() && candidates.threshold() <= before;
            if enough && settled && candidates.has_enough() {
                return scanned;
            }
            done.extend(fresh.iter().map(|(probe, _)| probe.list));
            wanted = (2 * wanted).min(count);
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
            let terms = self.terms_of(query, probe, epsilon);
            scanned += Scanned { lists: 1, codes: rows.len() as u64 };
            scan.scan(self.codes, &terms, rows, offers);
        }
        scanned
    }

    fn terms_of(&self, query: &QueryCode, probe: &Probe, epsilon: Epsilon) -> ListTerms {
        let norm_squared = self.centroids.norms_squared[probe.list as usize];
        ListTerms::new(query, probe.dot, norm_squared, self.codes.signs_first(), epsilon)
    }
}

//! The candidate index of a segment: probe the nearest lists, scan their codes.

use bigrain_binarize::QueryCode;
use roaring::RoaringBitmap;

use super::Offers;
use super::device_scan::{DeviceScan, ListRows};
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
    /// The codes on a device, which scans lists then.
    pub device: Option<&'a DeviceScan<'a>>,
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
    /// Lists to probe for what was seen near the query.
    pub lists: &'a dyn Fn(Seen) -> usize,
    /// Deviations that bounds cover.
    pub epsilon: Epsilon,
}

/// What a mask looks like near the query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// The share of rows that are in the mask: above 0 and at most 1.
    pub share: f64,
    /// Whether that is less than in the whole segment, by more than chance explains.
    pub is_rarer: bool,
}

/// Standard deviations by which the rows of a mask near the query may fall short of what its share of the
/// segment lets expect before they count as rarer.
const CHANCE: f64 = 2.0;

impl Seen {
    /// Judges `passed` of `seen` rows that are in a mask, of which `everywhere` of all rows are.
    fn new(everywhere: f64, passed: u64, seen: u64) -> Self {
        let expected = everywhere * seen as f64;
        let is_rarer = (passed as f64) < expected - CHANCE * expected.sqrt();
        // None of so many is less than one of so many, but not nothing.
        let share = passed.max(1) as f64 / seen.max(1) as f64;
        // What chance explains says nothing about the rows that were not seen.
        Self { share: if is_rarer { share } else { share.max(everywhere).min(1.0) }, is_rarer }
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
    /// many or none. So lists are probed in rounds, each of which doubles them, until as many were
    /// probed as what was seen asks for (`needed`), and as many rows were found as results are wanted.
    ///
    /// Where the mask is rarer near the query than elsewhere, all lists that have any of it are about as far,
    /// and what was calibrated says little. From then on only those lists are probed, as many and until
    /// a round finds nothing that is surely better than what was there.
    pub fn search_masked(
        &self,
        query: &QueryCode,
        scan: &mut ListScan,
        mask: &RowMask,
        needed: &Needed<'_>,
        candidates: &mut Candidates,
    ) -> Scanned {
        let everywhere = mask.len() as f64 / mask.rows().max(1) as f64;
        let mut near = Seen { share: everywhere, is_rarer: false };
        let (mut seen, mut passed) = (0, 0);
        let mut scanned = Scanned::default();
        let mut done = RoaringBitmap::new();
        let mut more = (needed.lists)(near).clamp(1, self.layout.len());
        loop {
            let before = candidates.threshold();
            let inside = |list| mask.count(&self.layout.rows(list));
            let is_pointless = |list| done.contains(list) || (near.is_rarer && inside(list) == 0);
            let eligible = |list| !is_pointless(list);
            let fresh = self.centroids.nearest_among(query, scan, more, eligible);
            let mut lists = Vec::with_capacity(fresh.len());
            let mut codes = 0;
            for probe in &fresh {
                let (rows, inside) = (self.layout.rows(probe.list), inside(probe.list));
                seen += rows.len() as u64;
                codes += inside;
                if inside > 0 {
                    lists.push((rows, self.terms_of(query, probe, needed.epsilon)));
                }
            }
            passed += codes;
            scanned += Scanned { lists: lists.len() as u64, codes };
            let offers = &mut Offers::new(candidates, |_| false);
            if !self.scanned_on_device(query, Some(mask), (&lists, codes), offers) {
                for (at, (rows, terms)) in lists.iter().enumerate() {
                    if let Some((next, _)) = lists.get(at + 1) {
                        ListScan::fetch_ahead(self.codes, next);
                    }
                    scan.scan_masked(self.codes, terms, rows.clone(), mask, candidates);
                }
            }
            candidates.settle();
            // Once the whole mask was scanned, lists without any of it are left.
            if fresh.is_empty() || passed == mask.len() {
                return scanned;
            }
            done.extend(fresh.iter().map(|probe| probe.list));
            let settled = if near.is_rarer {
                candidates.threshold() <= before
            } else {
                near = Seen::new(everywhere, passed, seen);
                !near.is_rarer
            };
            let probed = done.len() as usize;
            if settled && probed >= (needed.lists)(near) && candidates.has_enough() {
                return scanned;
            }
            more = probed;
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
        let rows = |probe: &Probe| self.layout.rows(probe.list);
        let codes = probes.iter().map(|probe| rows(probe).len() as u64).sum();
        let scanned = Scanned { lists: probes.len() as u64, codes };
        if self.device.is_some() {
            let list = |probe: &Probe| (rows(probe), self.terms_of(query, probe, epsilon));
            let lists: Vec<ListRows> = probes.iter().map(list).collect();
            if self.scanned_on_device(query, None, (&lists, codes), offers) {
                return scanned;
            }
        }
        for (at, probe) in probes.iter().enumerate() {
            if let Some(next) = probes.get(at + 1) {
                ListScan::fetch_ahead(self.codes, &rows(next));
            }
            let terms = self.terms_of(query, probe, epsilon);
            scan.scan(self.codes, &terms, rows(probe), offers);
        }
        scanned
    }

    /// Has the device scan lists of so many codes, if there is one and it does.
    fn scanned_on_device(
        &self,
        query: &QueryCode,
        mask: Option<&RowMask>,
        lists: (&[ListRows], u64),
        offers: &mut Offers<'_, impl Fn(u32) -> bool>,
    ) -> bool {
        let scan = |device: &DeviceScan<'_>| device.scan((self.codes, query), mask, lists, offers);
        self.device.is_some_and(scan)
    }

    fn terms_of(&self, query: &QueryCode, probe: &Probe, epsilon: Epsilon) -> ListTerms {
        let norm_squared = self.centroids.norms_squared[probe.list as usize];
        ListTerms::new(query, probe.dot, norm_squared, self.codes.signs_first(), epsilon)
    }
}

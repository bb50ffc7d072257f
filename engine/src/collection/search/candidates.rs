//! Candidates of segments: the codes of the nearest lists, with as many lists as the target recall
//! takes.

use std::sync::Arc;

use bigrain_index::candidates::device_scan::DeviceScan;
use bigrain_index::candidates::ivf::{Ivf, Needed, Reach, Scanned, Seen};
use bigrain_index::candidates::list_scan::{Epsilon, ListScan};
use bigrain_index::codes::ResidentCodes;
use bigrain_index::lists::{Effort, Nearness, ResidentLists, TargetEfforts};
use bigrain_index::{Candidate, Candidates};
use bigrain_types::SearchStats;
use rayon::prelude::*;

use super::filtered::Filtered;
use super::view::View;
use super::{Hit, VectorSearch};
use crate::collection::state::FieldView;
use crate::device::{Device, Loaded, ScannedBy, WhyHost};
use crate::filtering::FilterMethod;
use crate::{Error, Result};

/// Below this many codes to scan, handing work to other threads costs more than it saves.
const PARALLEL_CODES: u64 = 200_000;

/// Deviations that bounds of signs cover where whole codes alone rank the results.
const SIGN_EPSILON: f32 = 2.6;

impl VectorSearch<'_> {
    /// Returns no candidates yet, of a search that has already scored some hits.
    pub fn no_candidates(&self, scored: &[Hit]) -> Candidates {
        let limit = self.params.limit();
        let candidates = Candidates::new(limit, self.max_candidates);
        if scored.len() < limit {
            return candidates;
        }
        let mut similarities: Vec<f32> = scored.iter().map(|hit| hit.similarity).collect();
        let (_, worst, _) = similarities.select_nth_unstable_by(limit - 1, |a, b| b.total_cmp(a));
        candidates.above(*worst)
    }

    /// Searches the codes of every segment; returns the candidates of all, best bound first, that may be
    /// better than what is already scored.
    pub fn segment_candidates(
        &self,
        view: &View,
        scored: &[Hit],
        stats: &mut SearchStats,
    ) -> Result<Vec<Candidate>> {
        let (segments, filtered) = (&view.segments, &view.filtered);
        let empty = || self.no_candidates(scored);
        let codes = |(source, view)| self.expected_codes(view, filtered.get(source));
        let codes: u64 = segments.iter().enumerate().map(codes).sum::<Result<_>>()?;
        let (scanned, candidates) = if segments.len() > 1 && codes > PARALLEL_CODES {
            let search_one = |source: usize| {
                let mut candidates = empty();
                let scan = &mut ListScan::new(self.code.own());
                let scanned = self.search_segment(view, source, scan, &mut candidates)?;
                Ok::<_, Error>((scanned, candidates))
            };
            let merge = |mut a: (Scanned, Candidates), b: (Scanned, Candidates)| {
                a.0 += b.0;
                a.1.merge(b.1);
                Ok(a)
            };
            let search_all = || {
                let segments = (0..segments.len()).into_par_iter().map(search_one);
                segments.try_reduce(|| (Scanned::default(), empty()), merge)
            };
            self.shared.resources.threads.run(search_all)?
        } else {
            let (mut scanned, mut candidates) = (Scanned::default(), empty());
            let mut scan = ListScan::new(self.code.own());
            for source in 0..segments.len() {
                scanned += self.search_segment(view, source, &mut scan, &mut candidates)?;
            }
            (scanned, candidates)
        };
        stats.lists += scanned.lists;
        stats.codes_scanned += scanned.codes;
        Ok(candidates.into_sorted())
    }

    fn search_segment(
        &self,
        searched: &View,
        source: usize,
        scan: &mut ListScan,
        candidates: &mut Candidates,
    ) -> Result<Scanned> {
        self.query.cancel.check()?;
        candidates.begin_source(source as u32);
        let (view, filtered) = (&searched.segments[source], searched.filtered.get(source));
        if filtered.is_some_and(|filtered| filtered.method == FilterMethod::ScoreRows) {
            return Ok(Scanned::default());
        }
        let files = &view.files;
        let codes = files.codes.resident()?;
        let lists = files.lists.resident()?;
        let nearness = Nearness::of(self.field.config.metric);
        let centroids = files.lists.centroids(&lists, nearness)?;
        let on_device = match &self.shared.resources.device {
            Some(device) => Some((device, self.on_device(device, (view, filtered), &codes)?)),
            None => None,
        };
        let loaded = on_device.as_ref().and_then(|(_, loaded)| loaded.as_ref().ok());
        let live = match loaded {
            Some(_) if filtered.is_none() && !view.deleted.is_empty() => {
                Some(files.live_mask(&view.deleted)?)
            }
            Some(_) | None => None,
        };
        let device_scan = match (&on_device, loaded) {
            (Some((device, _)), Some(loaded)) => {
                Some(DeviceScan::new(&loaded.codes, live.as_deref(), device.least_codes))
            }
            _ => None,
        };
        let device = device_scan.as_ref();
        let ivf = Ivf { codes: &codes, layout: &lists.layout, centroids, device };
        let scanned = self.scan_segment(&ivf, (view, filtered), &lists, scan, candidates)?;
        if let Some((device, loaded)) = &on_device {
            let device_codes = device_scan.as_ref().map_or(0, DeviceScan::codes_scanned);
            let by = match (loaded, device_scan.and_then(DeviceScan::into_failure)) {
                (Err(why), _) => ScannedBy::Host(why.clone()),
                (Ok(_), Some(error)) => ScannedBy::Host(device.refused(&error)),
                (Ok(_), None) if device_codes == 0 => ScannedBy::Host(WhyHost::Few),
                (Ok(_), None) => ScannedBy::Device,
            };
            self.shared.scans.add(&by, device_codes);
            // A view is searched once.
            let _ = searched.scanned_by[source].set(by);
        }
        Ok(scanned)
    }

    /// Returns the codes of a segment on a device, or why they are not there.
    fn on_device(
        &self,
        device: &Arc<Device>,
        (view, filtered): (&FieldView, Option<&Filtered>),
        codes: &ResidentCodes,
    ) -> Result<std::result::Result<Arc<Loaded>, WhyHost>> {
        if self.expected_codes(view, filtered)? < device.least_codes {
            return Ok(Err(WhyHost::Few));
        }
        Ok(view.files.on_device.get(device, codes))
    }

    fn scan_segment(
        &self,
        ivf: &Ivf<'_>,
        (view, filtered): (&FieldView, Option<&Filtered>),
        lists: &ResidentLists,
        scan: &mut ListScan,
        candidates: &mut Candidates,
    ) -> Result<Scanned> {
        let query = self.code_for(view.files.codes.space())?;
        if let Some(filtered) = filtered {
            let count = lists.layout.len();
            let efforts = [false, true]
                .map(|is_rarer| lists.calibration.at(self.filtered_target(is_rarer), count as u32));
            let all = filtered.method == FilterMethod::ScanAll;
            let needed = |seen: Seen| {
                let efforts = &efforts[usize::from(seen.is_rarer)];
                if all { count } else { self.needed_lists(efforts, seen.share) }
            };
            let epsilon = self.epsilon(efforts[1].effort(self.params.limit()));
            let needed = Needed { lists: &needed, epsilon };
            return Ok(ivf.search_masked(query, scan, &filtered.mask, &needed, candidates));
        }
        let reach = self.reach(lists);
        let deleted = view.files.by_position(&view.deleted)?;
        Ok(if deleted.is_empty() {
            ivf.search(query, scan, reach, |_| false, candidates)
        } else {
            ivf.search(query, scan, reach, |position| deleted.contains(position), candidates)
        })
    }

    /// Turns what the caller wants into how hard to look in one segment.
    pub fn reach(&self, lists: &ResidentLists) -> Reach {
        let params = self.params;
        let count = lists.layout.len() as u32;
        let effort = lists.calibration.effort(params.target_recall(), params.limit(), count);
        let probes = params.probes().unwrap_or(effort.probes as usize);
        Reach { probes, epsilon: self.epsilon(effort) }
    }

    /// How wide the bounds of an effort are.
    fn epsilon(&self, effort: Effort) -> Epsilon {
        if self.params.verify() {
            Epsilon { sign: effort.epsilon, full: effort.epsilon }
        } else {
            Epsilon { sign: SIGN_EPSILON, full: 0.0 }
        }
    }

    /// The recall that a filtered search aims at. What was calibrated for all rows holds for a part of
    /// them roughly, so no more than half of what the target gives up is given up; and no more than a quarter
    /// where fewer rows match near the query than elsewhere.
    fn filtered_target(&self, is_rarer: bool) -> f32 {
        let target = self.params.target_recall();
        target + if is_rarer { 0.75 } else { 0.5 } * (1.0 - target)
    }

    /// Returns how many lists to probe where a share of the rows near the query matches: as many as
    /// it takes to find so many more neighbours that this share of them is enough.
    fn needed_lists(&self, efforts: &TargetEfforts, share: f64) -> usize {
        let neighbours = (self.params.limit() as f64 / share).ceil() as usize;
        self.params.probes().unwrap_or_else(|| efforts.effort(neighbours).probes as usize)
    }

    /// About how many codes a search of a segment scans.
    fn expected_codes(&self, view: &FieldView, filtered: Option<&Filtered>) -> Result<u64> {
        match filtered {
            Some(Filtered { method: FilterMethod::ScoreRows, .. }) => return Ok(0),
            Some(Filtered { mask, .. }) => return Ok(mask.len()),
            None => {}
        }
        let lists = u64::from(view.files.lists.lists());
        let resident = view.files.lists.resident()?;
        let probes = self.reach(&resident).probes as u64;
        Ok(view.files.rows() * probes.min(lists) / lists)
    }
}

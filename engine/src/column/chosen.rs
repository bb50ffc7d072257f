//! The lists that a search of a memtable looks through.

use std::sync::Arc;

use bigrain_binarize::QueryCode;
use bigrain_index::candidates::list_scan::{Epsilon, ListScan, ListTerms};
use bigrain_index::lists::Probe;

use super::ColumnReach;
use crate::guide::Guide;

/// Some lists of one guide, nearest first, with what their codes have in common.
pub(super) struct Chosen {
    guide: Option<Arc<Guide>>,
    lists: Vec<(u32, ListTerms)>,
    /// For each list its place in `lists`, if it is there.
    places: Vec<Option<u8>>,
}

impl Chosen {
    /// Chooses the lists nearest to a query, as many as `reach` asks for among lists of so many `rows`. Rows without
    /// a guide are in one list.
    pub fn new(
        guide: Option<&Arc<Guide>>,
        rows: &[usize],
        reach: ColumnReach,
        (query, scan): (&QueryCode, &mut ListScan),
        signs_first: bool,
    ) -> Self {
        let whole = Epsilon { sign: query.epsilon(), full: query.epsilon() };
        let Some(guide) = guide else {
            let terms = ListTerms::new(query, 0.0, 0.0, signs_first, whole);
            return Self { guide: None, lists: vec![(0, terms)], places: vec![Some(0)] };
        };
        let mut probes = guide.nearest(query, scan);
        let mut epsilon = whole;
        if let ColumnReach::Near { target_recall, limit } = reach {
            let share;
            (share, epsilon) = guide.effort(target_recall, limit);
            let all: usize = rows.iter().sum();
            probes.truncate(needed(&probes, rows, (share * all as f64).ceil() as usize));
        }
        let mut places = vec![None; guide.lists()];
        let with_terms = |(place, probe): (usize, Probe)| {
            places[probe.list as usize] = Some(place as u8);
            let norm_squared = guide.norm_squared(probe.list);
            (probe.list, ListTerms::new(query, probe.dot, norm_squared, signs_first, epsilon))
        };
        let lists = probes.into_iter().enumerate().map(with_terms).collect();
        Self { guide: Some(Arc::clone(guide)), lists, places }
    }

    /// Whether the lists are those of a guide.
    pub fn is_of(&self, guide: Option<&Arc<Guide>>) -> bool {
        is_same(self.guide.as_ref(), guide)
    }

    /// Returns the lists, nearest first.
    pub fn lists(&self) -> impl Iterator<Item = (u32, &ListTerms)> {
        self.lists.iter().map(|(list, terms)| (*list, terms))
    }

    /// Returns what the codes of a list have in common, if it is chosen.
    pub fn terms_of(&self, list: u32) -> Option<&ListTerms> {
        let place = self.places[list as usize]?;
        Some(&self.lists[usize::from(place)].1)
    }
}

/// Returns how many of some lists have so many rows together.
fn needed(probes: &[Probe], rows: &[usize], mut missing: usize) -> usize {
    let is_needed = |probe: &&Probe| {
        let is_needed = missing > 0;
        missing = missing.saturating_sub(rows[probe.list as usize]);
        is_needed
    };
    probes.iter().take_while(is_needed).count()
}

/// Whether two are one guide, or none.
pub(super) fn is_same(a: Option<&Arc<Guide>>, b: Option<&Arc<Guide>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_needed_until_they_have_enough_rows_together() {
        let probes = [2, 0, 1].map(|list| Probe { list, dot: 0.0, nearness: 0.0 });
        let rows = [5, 3, 0];
        for (missing, expected) in [(0, 0), (1, 2), (5, 2), (6, 3), (8, 3), (9, 3)] {
            assert_eq!(needed(&probes, &rows, missing), expected, "{missing} rows");
        }
    }
}

//! Codes of a memtable in blocks, list by list.

use std::sync::Arc;

use bigrain_binarize::{CodeLayout, Factors};
use bigrain_index::Candidates;
use bigrain_index::candidates::Offers;
use bigrain_index::candidates::list_scan::{ListScan, ListTerms};
use bigrain_index::codes::ResidentCodes;
use bigrain_index::lists::ListLayout;

use crate::guide::Guide;

/// Some rows of a column: their codes in blocks, those of one list side by side.
#[derive(Clone, Debug)]
pub(super) struct ListedCodes {
    /// Whose lists they are in; without one all are in one list.
    pub guide: Option<Arc<Guide>>,
    layout: ListLayout,
    /// For each place among the codes, the row that lies there.
    order: Vec<u32>,
    codes: ResidentCodes,
}

/// Rows that were encoded, plane by plane.
pub(super) struct Encoded<'a> {
    pub layout: CodeLayout,
    pub planes: &'a [&'a [u64]],
    pub factors: &'a [Factors],
}

impl ListedCodes {
    /// Packs rows of one list.
    pub fn unguided(encoded: &Encoded<'_>) -> Self {
        let rows = encoded.factors.len();
        let (layout, order) = ListLayout::of(&vec![0; rows], 1);
        let codes = ResidentCodes::of_rows(encoded.layout, encoded.planes, encoded.factors);
        Self { guide: None, layout, order, codes }
    }

    /// Packs rows whose lists are known.
    pub fn guided(encoded: &Encoded<'_>, guide: &Arc<Guide>, lists: &[u8]) -> Self {
        let lists: Vec<u32> = lists.iter().map(|&list| u32::from(list)).collect();
        let (layout, order) = ListLayout::of(&lists, guide.lists());
        let words = encoded.layout.words_per_plane();
        let sorted = |plane: &&[u64]| {
            let rows = order.iter().flat_map(|&row| &plane[row as usize * words..][..words]);
            rows.copied().collect::<Vec<u64>>()
        };
        let planes: Vec<Vec<u64>> = encoded.planes.iter().map(sorted).collect();
        let planes: Vec<&[u64]> = planes.iter().map(Vec::as_slice).collect();
        let factors: Vec<Factors> =
            order.iter().map(|&row| encoded.factors[row as usize]).collect();
        let codes = ResidentCodes::of_rows(encoded.layout, &planes, &factors);
        Self { guide: Some(Arc::clone(guide)), layout, order, codes }
    }

    /// Returns the row at a place among the codes.
    pub fn row(&self, place: u32) -> u32 {
        self.order[place as usize]
    }

    /// Returns the list of a place.
    #[cfg(test)]
    pub fn list_of(&self, place: u32) -> u32 {
        self.layout.list_of(place)
    }

    /// Offers the places of all rows, except the rows for which `is_out` is true; returns how many there are.
    pub fn scan_all(
        &self,
        (blocks, terms): (&mut ListScan, &ListTerms),
        is_out: impl Fn(u32) -> bool,
        candidates: &mut Candidates,
    ) -> u64 {
        let offers = &mut Offers::new(candidates, |place| is_out(self.row(place)));
        blocks.scan(&self.codes, terms, 0..self.codes.rows() as u32, offers);
        self.codes.rows() as u64
    }

    /// Offers the places of the rows in the first of some lists, as many as hold `wanted` rows; returns how
    /// many they hold.
    pub fn scan_lists(
        &self,
        (blocks, terms): (&mut ListScan, &ListTerms),
        (lists, wanted): (&[u32], u64),
        is_out: impl Fn(u32) -> bool,
        candidates: &mut Candidates,
    ) -> u64 {
        let offers = &mut Offers::new(candidates, |place| is_out(self.row(place)));
        let mut scanned = 0;
        for (at, &list) in lists.iter().enumerate() {
            if scanned >= wanted {
                break;
            }
            if let Some(&next) = lists.get(at + 1) {
                ListScan::fetch_ahead(&self.codes, &self.layout.rows(next));
            }
            let rows = self.layout.rows(list);
            scanned += rows.len() as u64;
            if !rows.is_empty() {
                blocks.scan(&self.codes, terms, rows, offers);
            }
        }
        scanned
    }

    /// Returns the bytes of codes and of where they lie.
    pub fn memory_bytes(&self) -> usize {
        self.codes.memory_bytes() + 4 * (self.order.len() + self.layout.starts().len())
    }
}

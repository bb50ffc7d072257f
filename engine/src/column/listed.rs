//! Codes of a memtable in blocks, list by list.

use std::sync::Arc;

use bigrain_index::Candidates;
use bigrain_index::candidates::Offers;
use bigrain_index::candidates::list_scan::ListScan;
use bigrain_index::codes::ResidentCodes;
use bigrain_index::lists::ListLayout;

use super::chosen::Chosen;
use super::plain::PlainCodes;
use crate::guide::Guide;

/// Some rows of a column: their codes in blocks, those of one list side by side.
#[derive(Clone, Debug)]
pub(super) struct ListedCodes {
    /// The first of the rows.
    first: u32,
    /// Whose lists they are in; without one all are in one list.
    guide: Option<Arc<Guide>>,
    layout: ListLayout,
    /// For each place among the codes, the row that lies there, counted from the first.
    order: Vec<u32>,
    codes: ResidentCodes,
}

impl ListedCodes {
    /// Packs the codes of rows from `first` on.
    pub fn new(plain: &PlainCodes, first: u32) -> Self {
        let (layout, order, codes) = plain.in_blocks();
        Self { first, guide: plain.guide().cloned(), layout, order, codes }
    }

    /// Returns whose lists the rows are in.
    pub fn guide(&self) -> Option<&Arc<Guide>> {
        self.guide.as_ref()
    }

    /// Returns the first row behind these.
    pub fn end(&self) -> u32 {
        self.first + self.order.len() as u32
    }

    /// Adds to the number of rows in each list.
    pub fn add_rows(&self, rows: &mut [usize]) {
        (0..).zip(rows).for_each(|(list, rows)| *rows += self.layout.rows(list).len());
    }

    /// Returns the row at a place among the codes.
    pub fn row(&self, place: u32) -> u32 {
        self.first + self.order[place as usize]
    }

    /// Returns the list of a row, if the row is one of these.
    #[cfg(test)]
    pub fn list_of(&self, row: u32) -> Option<u32> {
        let place = self.order.iter().position(|&at| self.first + at == row)?;
        Some(self.layout.list_of(place as u32))
    }

    /// Offers the places of the rows in chosen lists, except the rows for which `is_out` is true; returns how many
    /// there are.
    pub fn scan(
        &self,
        blocks: &mut ListScan,
        chosen: &Chosen,
        is_out: impl Fn(u32) -> bool,
        candidates: &mut Candidates,
    ) -> u64 {
        let offers = &mut Offers::new(candidates, |place| is_out(self.row(place)));
        let mut scanned = 0;
        let mut lists = chosen.lists().peekable();
        while let Some((list, terms)) = lists.next() {
            if let Some(&(next, _)) = lists.peek() {
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

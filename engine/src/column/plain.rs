//! Codes of a memtable that are not in blocks yet.

use std::sync::Arc;

use bigrain_binarize::{EncodeScratch, QueryCode};
use bigrain_index::candidates::Offers;
use bigrain_index::codes::{CodesBuilder, ResidentCodes, signs_first_pays};
use bigrain_index::lists::ListLayout;
use bigrain_index::{Candidates, scan};

use super::chosen::Chosen;
use super::rows::DenseRows;
use crate::field::Field;
use crate::guide::Guide;

/// Codes row after row, and which lists their rows are in.
#[derive(Clone, Debug)]
pub(super) struct PlainCodes {
    /// Whose lists they are in, each code about the centroid of its list; without one all are in one list, about
    /// the origin.
    guide: Option<Arc<Guide>>,
    lists: Vec<u8>,
    codes: CodesBuilder,
}

impl PlainCodes {
    /// Returns no codes.
    pub fn new(field: &Field, guide: Option<Arc<Guide>>) -> Self {
        let layout = *field.binarizer.layout();
        Self { guide, lists: Vec::new(), codes: CodesBuilder::new(layout) }
    }

    /// Encodes dense rows.
    pub fn encode(field: &Field, guide: Option<Arc<Guide>>, rows: &DenseRows) -> Self {
        let mut codes = Self::new(field, guide);
        let Self { guide, lists, codes: builder } = &mut codes;
        builder.reserve(rows.len());
        lists.reserve_exact(rows.len());
        let binarizer = &field.binarizer;
        let layout = *binarizer.layout();
        let origin = vec![0.0; layout.dims()];
        let (mut scratch, mut code) = (EncodeScratch::default(), vec![0; layout.words()]);
        let mut rotated = vec![0.0; layout.dims()];
        let mut nearest = guide.as_deref().map(|guide| (guide, guide.nearest_to_rows()));
        for row in rows.iter() {
            binarizer.rotate(row, &mut rotated);
            let (list, centre) = match &mut nearest {
                Some((guide, nearest)) => {
                    let list = nearest.of(&rotated);
                    (list, guide.centroid(list))
                }
                None => (0, &origin[..]),
            };
            let factors = binarizer.encode_in_list(row, &rotated, centre, &mut scratch, &mut code);
            builder.push(&code, factors);
            lists.push(list as u8);
        }
        drop(nearest);
        codes
    }

    /// Returns whose lists the rows are in.
    pub fn guide(&self) -> Option<&Arc<Guide>> {
        self.guide.as_ref()
    }

    /// Returns how many rows there are.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Adds to the number of rows in each list.
    pub fn add_rows(&self, rows: &mut [usize]) {
        self.lists.iter().for_each(|&list| rows[usize::from(list)] += 1);
    }

    /// Adds the codes of rows of the same guide.
    pub fn append(&mut self, other: &Self) {
        self.lists.extend_from_slice(&other.lists);
        self.codes.append(&other.codes);
    }

    /// Puts the codes into blocks, list by list; returns with them which rows are in which list, and the row at each
    /// place among them.
    pub fn in_blocks(&self) -> (ListLayout, Vec<u32>, ResidentCodes) {
        let lists: Vec<u32> = self.lists.iter().map(|&list| u32::from(list)).collect();
        let count = self.guide.as_ref().map_or(1, |guide| guide.lists());
        let (layout, order) = ListLayout::of(&lists, count);
        let signs_first = signs_first_pays(self.codes.layout());
        let codes = self.codes.clone().finish(&order, signs_first);
        (layout, order, codes)
    }

    /// Offers the rows of the chosen lists, except those for which `is_out` is true; returns how many there are.
    pub fn scan(
        &self,
        query: &QueryCode,
        chosen: &Chosen,
        is_out: impl Fn(u32) -> bool,
        candidates: &mut Candidates,
    ) -> u64 {
        let offers = &mut Offers::new(candidates, is_out);
        let terms = |row: usize| chosen.terms_of(u32::from(self.lists[row]));
        scan(&self.codes, query, |row| terms(row).map(|terms| &terms.full), offers)
    }

    /// Returns the bytes of codes and lists.
    pub fn memory_bytes(&self) -> usize {
        self.codes.memory_bytes() + self.lists.len()
    }
}

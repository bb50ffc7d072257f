//! The multi-vectors of one field in memory.

use std::sync::Arc;

use bigrain_types::HalfTokens;

use crate::field::MultiField;

/// The multi-vectors of one field, for points that are known by their *slot*: a place in a batch or in a
/// memtable. Slots rise; a slot without tokens is a point without a multi-vector in this field.
///
/// Tokens are shared, so that a search takes those of a memtable along and scores them without a lock.
#[derive(Clone, Debug)]
pub(crate) struct MultiColumn {
    pub field: Arc<MultiField>,
    rows: Vec<(u32, Arc<HalfTokens>)>,
    bytes: usize,
}

impl MultiColumn {
    /// Returns an empty column.
    pub fn new(field: &Arc<MultiField>) -> Self {
        Self { field: Arc::clone(field), rows: Vec::new(), bytes: 0 }
    }

    /// Adds the tokens of a slot above all others.
    pub fn push(&mut self, slot: u32, tokens: Arc<HalfTokens>) {
        debug_assert!(self.rows.last().is_none_or(|(last, _)| *last < slot), "slots do not rise");
        self.bytes += tokens.memory_bytes();
        self.rows.push((slot, tokens));
    }

    /// Adds rows whose slots count from `base` on.
    pub fn append(&mut self, other: &Self, base: u32) {
        self.bytes += other.bytes;
        let rows = other.rows.iter();
        self.rows.extend(rows.map(|(slot, tokens)| (base + slot, Arc::clone(tokens))));
    }

    /// Returns the slots that have tokens, rising, with them.
    pub fn rows(&self) -> &[(u32, Arc<HalfTokens>)] {
        &self.rows
    }

    /// Returns the tokens in a slot.
    pub fn tokens(&self, slot: u32) -> Option<&Arc<HalfTokens>> {
        let at = self.rows.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
        Some(&self.rows[at].1)
    }

    /// Whether no slot has tokens.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the slot that was added last.
    pub fn last_slot(&self) -> Option<u32> {
        self.rows.last().map(|(slot, _)| *slot)
    }

    /// Returns about how much memory the rows take.
    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.rows.len() * size_of::<(u32, Arc<HalfTokens>)>()
    }
}

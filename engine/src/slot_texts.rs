//! Words of a memtable's payloads.

use std::sync::Arc;

use bigrain_lexical::text::{TextSource, TextTable};
use bigrain_types::{Payload, TextField};
use parking_lot::RwLock;

/// The words of a memtable's payloads, by text field. What a slot holds never changes, so the words
/// of each are counted once: by the first search that comes after the write. A collection that is not
/// searched by words pays nothing.
#[derive(Debug, Default)]
pub(crate) struct SlotTexts(RwLock<Vec<TextTable>>);

impl SlotTexts {
    /// Calls `with` on the words of a text field, those of all payloads.
    pub fn with<T>(
        &self,
        field: &TextField,
        payloads: &[Arc<Payload>],
        with: impl FnOnce(&TextTable) -> T,
    ) -> T {
        let is_complete =
            |table: &&TextTable| table.field() == field && table.rows() as usize >= payloads.len();
        {
            let tables = self.0.read();
            if let Some(table) = tables.iter().find(is_complete) {
                return with(table);
            }
        }
        let mut tables = self.0.write();
        let known = tables.iter().position(|table| table.field() == field);
        let at = known.unwrap_or_else(|| {
            tables.push(TextTable::new(field));
            tables.len() - 1
        });
        let table = &mut tables[at];
        for payload in &payloads[table.rows() as usize..] {
            table.add(payload);
        }
        with(table)
    }

    /// Returns about how much memory the words take.
    pub fn memory_bytes(&self) -> usize {
        self.0.read().iter().map(TextTable::memory_bytes).sum()
    }
}

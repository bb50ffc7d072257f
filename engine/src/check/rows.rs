//! Where the rows that are checked come from, and how two kinds are gone through together.

use bigrain_storage::{CollectionKey, RawRow, ReadView, RowKind};

use crate::Result;

/// The rows of one collection, wherever they lie.
pub(crate) trait RowSource {
    /// Returns all rows of one kind, in key order.
    fn rows(&self, kind: RowKind) -> Result<Box<dyn Iterator<Item = Result<RawRow>> + '_>>;
}

/// Rows in a store.
pub(crate) struct StoreRows<'v, 's> {
    pub view: &'v ReadView<'s>,
    pub key: CollectionKey,
}

impl RowSource for StoreRows<'_, '_> {
    fn rows(&self, kind: RowKind) -> Result<Box<dyn Iterator<Item = Result<RawRow>> + '_>> {
        let rows = self.view.raw_rows(self.key, kind)?;
        Ok(Box::new(rows.map(|row| Ok(row?))))
    }
}

/// Rows of one kind, gone through in step with those of another.
pub(super) struct Follower<'a> {
    rows: Box<dyn Iterator<Item = Result<RawRow>> + 'a>,
    next: Option<RawRow>,
}

impl<'a> Follower<'a> {
    pub fn new(source: &'a dyn RowSource, kind: RowKind) -> Result<Self> {
        let mut rows = source.rows(kind)?;
        let next = rows.next().transpose()?;
        Ok(Self { rows, next })
    }

    /// Returns the row of `key`, if there is one, after giving the rows before it to `passed`.
    pub fn at(&mut self, key: &[u8], mut passed: impl FnMut(&RawRow)) -> Result<Option<RawRow>> {
        while let Some(row) = self.next.take() {
            if &*row.key > key {
                self.next = Some(row);
                return Ok(None);
            }
            self.next = self.rows.next().transpose()?;
            if &*row.key == key {
                return Ok(Some(row));
            }
            passed(&row);
        }
        Ok(None)
    }

    /// Gives all rows that are left to `passed`.
    pub fn rest(mut self, mut passed: impl FnMut(&RawRow)) -> Result<()> {
        while let Some(row) = self.next.take() {
            passed(&row);
            self.next = self.rows.next().transpose()?;
        }
        Ok(())
    }
}

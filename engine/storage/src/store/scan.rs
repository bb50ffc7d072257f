//! Rows in key order.

use bigrain_types::PointId;
use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use rocksdb::{DB, DBIteratorWithThreadMode};

use super::keys::{Family, KeyRange};
use super::rows::HeadRow;
use super::view::corrupt;
use super::{Store, StoreError};

/// The rows of a range, in key order. Ends after its first error.
pub(super) struct Scan<'v> {
    store: &'v Store,
    family: Family,
    prefix: usize,
    rows: DBIteratorWithThreadMode<'v, DB>,
    failed: bool,
}

/// A key without the prefix of its range, and its value.
pub(super) struct Row {
    pub key: Box<[u8]>,
    pub value: Box<[u8]>,
    pub family: Family,
    prefix: usize,
}

impl Row {
    /// Returns what of the key is not the range's prefix.
    pub fn suffix(&self) -> &[u8] {
        &self.key[self.prefix.min(self.key.len())..]
    }

    /// Reads the rest of the key as a point id.
    pub fn point_id(&self) -> Result<PointId, StoreError> {
        PointId::from_key(self.suffix()).map_err(|error| self.corrupt(&error))
    }

    pub fn corrupt(&self, reason: &impl ToString) -> StoreError {
        corrupt(self.family, &self.key, reason)
    }
}

impl<'v> Scan<'v> {
    pub fn new(store: &'v Store, range: &KeyRange, rows: DBIteratorWithThreadMode<'v, DB>) -> Self {
        Self { store, family: range.family, prefix: range.prefix.len(), rows, failed: false }
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.rows.next()? {
            Ok((key, value)) => {
                let (family, prefix) = (self.family, self.prefix);
                Some(Ok(Row { key, value, family, prefix }))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(self.store.failed_reading("read", &error)))
            }
        }
    }
}

/// The head of a collection, in the order of its ids.
pub struct HeadRows<'v> {
    scan: Scan<'v>,
    dead: DeadRows,
}

impl<'v> HeadRows<'v> {
    /// Looks for the first row: that may pass over any number of dead ones.
    pub(super) fn begin(
        scan: impl FnOnce() -> Result<Scan<'v>, StoreError>,
    ) -> Result<Self, StoreError> {
        let dead = DeadRows::begin();
        Ok(Self { scan: scan()?, dead })
    }

    /// Returns how many rows were deleted and still lie on disk among those that were looked at.
    #[must_use]
    pub fn dead_rows(&self) -> u64 {
        self.dead.so_far()
    }
}

/// RocksDB's count, for this thread, of deleted rows that iterators had to read. It counts while
/// this lives.
struct DeadRows {
    context: PerfContext,
    before: u64,
}

impl DeadRows {
    fn begin() -> Self {
        set_perf_stats(PerfStatsLevel::EnableCount);
        let context = PerfContext::default();
        let before = context.metric(PerfMetric::InternalDeleteSkippedCount);
        Self { context, before }
    }

    fn so_far(&self) -> u64 {
        let now = self.context.metric(PerfMetric::InternalDeleteSkippedCount);
        now.saturating_sub(self.before)
    }
}

impl Drop for DeadRows {
    fn drop(&mut self) {
        set_perf_stats(PerfStatsLevel::Disable);
    }
}

impl Iterator for HeadRows<'_> {
    type Item = Result<(PointId, HeadRow), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = |row: Row| {
            let head = HeadRow::from_bytes(&row.value).map_err(|error| row.corrupt(&error))?;
            Ok((row.point_id()?, head))
        };
        self.scan.next().map(|row| row.and_then(read))
    }
}

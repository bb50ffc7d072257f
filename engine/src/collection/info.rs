//! What a collection holds and what it takes.

use bigrain_types::SegmentId;
use serde::{Deserialize, Serialize};

use super::Collection;
use crate::CollectionConfig;

/// What a collection holds and what it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CollectionInfo {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub config: CollectionConfig,
    /// Points that exist.
    pub points: u64,
    /// Immutable segments.
    pub segments: u64,
    /// Points in memtables, not yet in a segment.
    pub memtable_points: u64,
    /// Rows of segments whose points were replaced or deleted.
    pub deleted: u64,
    /// Bytes of codes, factors and lists when all of them are resident.
    pub code_bytes: u64,
    /// Bytes resident now: codes that have been searched, and memtables.
    pub memory_bytes: u64,
    /// Bytes of segment files.
    pub disk_bytes: u64,
}

/// One segment of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its id.
    pub id: SegmentId,
    /// Its rows, deleted ones included.
    pub rows: u64,
    /// Rows whose points were replaced or deleted.
    pub deleted: u64,
    /// Its files and their bytes.
    pub files: Vec<(String, u64)>,
}

/// A collection by name, whether it serves or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectionStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: CollectionState,
}

/// Whether a collection serves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CollectionState {
    /// It serves.
    Ready(CollectionInfo),
    /// Stored bytes failed a check; the reason names them. Other collections serve.
    Quarantined(String),
}

impl Collection {
    /// Returns what the collection holds and what it takes.
    #[must_use]
    pub fn info(&self) -> CollectionInfo {
        let state = self.0.state.read();
        let tables = || state.frozen.iter().map(|frozen| &*frozen.table).chain([&state.active]);
        let segments = || state.segments.iter().map(|view| &view.segment);
        let slots: u64 = tables().map(|table| table.len() as u64).sum();
        let dead =
            state.active.dead().len() + state.frozen.as_ref().map_or(0, |frozen| frozen.dead.len());
        let table_code_bytes: u64 = tables().map(|table| table.code_bytes() as u64).sum();
        let table_bytes: u64 = tables().map(|table| table.memory_bytes() as u64).sum();
        let segment_code_bytes: u64 = segments().map(|segment| segment.resident_bytes()).sum();
        let resident = segments().filter(|segment| segment.codes.is_resident());
        let resident_bytes: u64 = resident.map(|segment| segment.resident_bytes()).sum();
        CollectionInfo {
            name: self.0.name.clone(),
            config: self.0.config.clone(),
            points: state.live,
            segments: state.segments.len() as u64,
            memtable_points: slots - dead,
            deleted: state.segments.iter().map(|view| view.deleted.len()).sum(),
            code_bytes: segment_code_bytes + table_code_bytes,
            memory_bytes: resident_bytes + table_bytes,
            disk_bytes: segments().map(|segment| segment.disk_bytes()).sum(),
        }
    }

    /// Returns the segments, oldest first.
    #[must_use]
    pub fn inspect(&self) -> Vec<SegmentInfo> {
        let state = self.0.state.read();
        let describe = |view: &super::state::SegmentView| SegmentInfo {
            id: view.segment.id,
            rows: view.segment.rows(),
            deleted: view.deleted.len(),
            files: view.segment.files().map(|(name, file)| (name, file.identity().length)).into(),
        };
        state.segments.iter().map(describe).collect()
    }
}

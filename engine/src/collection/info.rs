//! What a collection holds and what it takes.

use std::collections::BTreeMap;

use bigrain_types::SegmentId;
use serde::{Deserialize, Serialize};

use super::Collection;
use super::state::{SegmentView, State};
use super::upgrade::UpgradeInfo;
use crate::column::Column;
use crate::field::{Field, MultiField, SparseField};
use crate::memtable::Memtable;
use crate::segment::FieldFiles;
use crate::{CollectionConfig, DeviceUse, HybridFit};

/// What a collection holds and what it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Bytes of segment files, those of dropped fields included.
    pub disk_bytes: u64,
    /// The flush that runs, if one does.
    pub flushing: Option<FlushInfo>,
    /// The merge that runs, if one does.
    pub merging: Option<MergeInfo>,
    /// Its dense fields, in their order.
    pub fields: Vec<FieldInfo>,
    /// Its sparse fields, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sparse: Vec<SparseFieldInfo>,
    /// Its multi-vector fields, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub multi: Vec<MultiFieldInfo>,
    /// What it has of the device that the engine was opened with; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceUse>,
    /// The fusion that was fitted, if one was.
    pub hybrid_fit: Option<HybridFit>,
    /// Those that were fitted under names.
    pub named_hybrid_fits: BTreeMap<String, HybridFit>,
}

/// What one dense vector field of a collection takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FieldInfo {
    /// Its name.
    pub name: String,
    /// Vectors that take room; those of replaced and deleted points do until their segment is
    /// rewritten.
    pub vectors: u64,
    /// Bytes of codes, factors and lists when all of them are resident, and of where its vectors lie
    /// if it is not the first field.
    pub code_bytes: u64,
    /// Bytes of its segment files.
    pub disk_bytes: u64,
    /// The upgrade to the present version of its learned binarizer, until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeInfo>,
    /// The name of the field of the encoder before, where the upgrade is to another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_field: Option<String>,
}

/// What one sparse vector field of a collection takes. Its inverted lists are read where they lie in
/// their files, and take no memory but what the system keeps of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SparseFieldInfo {
    /// Its name.
    pub name: String,
    /// Vectors that take room; those of replaced and deleted points do until their segment is
    /// rewritten.
    pub vectors: u64,
    /// Their components that are not zero.
    pub components: u64,
    /// Bytes of its segment files.
    pub disk_bytes: u64,
}

/// What one multi-vector field of a collection takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MultiFieldInfo {
    /// Its name.
    pub name: String,
    /// Points whose tokens take room; those of replaced and deleted points do until their segment is
    /// rewritten.
    pub vectors: u64,
    /// Merged tokens of segments that have codes.
    pub sketch_codes: u64,
    /// Bytes of sketches of segments and their lists when all of them are resident, and of where tokens
    /// lie.
    pub code_bytes: u64,
    /// Bytes of its segment files.
    pub disk_bytes: u64,
}

impl FieldInfo {
    /// Returns the bytes of codes and what belongs to them for each vector.
    #[must_use]
    pub fn code_bytes_per_vector(&self) -> f64 {
        if self.vectors == 0 { 0.0 } else { self.code_bytes as f64 / self.vectors as f64 }
    }
}

/// A flush that runs: a memtable becomes a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FlushInfo {
    /// Rows of the segment.
    pub rows: u64,
    /// How much is done, of a hundred.
    pub percent: u8,
}

/// A merge that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MergeInfo {
    /// Segments that become one.
    pub segments: u64,
    /// Rows of the new segment.
    pub rows: u64,
    /// How much is done, of a hundred.
    pub percent: u8,
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
    /// Its files and their bytes, those of dropped fields included.
    pub files: Vec<(String, u64)>,
}

/// A collection by name, whether it serves or not.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CollectionStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: CollectionState,
}

/// Whether a collection serves.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CollectionState {
    /// It serves.
    Ready(Box<CollectionInfo>),
    /// Stored bytes failed a check; the reason names them. Other collections serve.
    Quarantined(String),
}

impl Collection {
    /// Returns what the collection holds and what it takes.
    #[must_use]
    pub fn info(&self) -> CollectionInfo {
        let state = self.0.state.read();
        let dead =
            state.active.dead().len() + state.frozen.as_ref().map_or(0, |frozen| frozen.dead.len());
        let slots: u64 = state.tables().map(|table| table.len() as u64).sum();
        let table_bytes: u64 = state.tables().map(|table| table.memory_bytes() as u64).sum();
        let files = || state.segments.iter().flat_map(|view| view.segment.fields());
        let resident = files().filter(|files| files.codes.is_resident());
        let multi_files = || state.segments.iter().flat_map(|view| view.segment.multi_fields());
        let sketches = multi_files().filter(|files| files.sketches.is_resident());
        let resident_bytes: u64 = resident.map(|files| files.code_bytes()).sum::<u64>()
            + sketches.map(|files| files.code_bytes()).sum::<u64>();
        let multi: Vec<MultiFieldInfo> =
            state.fields.multi().map(|field| state.describe_multi(field)).collect();
        let fields: Vec<FieldInfo> =
            state.fields.iter().map(|field| state.describe(field)).collect();
        CollectionInfo {
            name: self.0.name.clone(),
            config: state.fields.config(),
            points: state.live,
            segments: state.segments.len() as u64,
            memtable_points: slots - dead,
            deleted: state.segments.iter().map(|view| view.deleted.len()).sum(),
            code_bytes: fields.iter().map(|field| field.code_bytes).sum::<u64>()
                + multi.iter().map(|field| field.code_bytes).sum::<u64>(),
            memory_bytes: resident_bytes + table_bytes,
            disk_bytes: state.segments.iter().map(|view| view.segment.disk_bytes()).sum(),
            flushing: self.0.chores.flushing.now().map(|work| work.flush_info()),
            merging: self.0.chores.merging.now().map(|work| work.merge_info()),
            fields,
            sparse: state.fields.sparse().map(|field| state.describe_sparse(field)).collect(),
            multi,
            device: self.0.resources.device.as_ref().map(|device| {
                let fields = state.segments.iter().flat_map(|view| view.segment.fields());
                let bytes = fields.filter_map(|files| files.on_device.bytes());
                self.0.scans.info(device, bytes)
            }),
            hybrid_fit: state.fields.hybrid(None).cloned(),
            named_hybrid_fits: state.fields.named_fits().clone(),
        }
    }

    /// Returns the segments, oldest first.
    #[must_use]
    pub fn inspect(&self) -> Vec<SegmentInfo> {
        let state = self.0.state.read();
        let describe = |view: &SegmentView| SegmentInfo {
            id: view.segment.id,
            rows: view.segment.rows(),
            deleted: view.deleted.len(),
            files: view.segment.file_lengths(),
        };
        state.segments.iter().map(describe).collect()
    }
}

impl State {
    fn tables(&self) -> impl Iterator<Item = &Memtable> {
        self.frozen.iter().map(|frozen| &*frozen.table).chain([&self.active])
    }

    fn describe(&self, field: &Field) -> FieldInfo {
        let columns: Vec<&Column> =
            self.tables().filter_map(|table| table.column(field.id)).collect();
        let files: Vec<&FieldFiles> = self
            .segments
            .iter()
            .filter_map(|view| Some(&**view.segment.field(field.id)?))
            .collect();
        let columns_of =
            |of: fn(&Column) -> usize| columns.iter().map(|c| of(c) as u64).sum::<u64>();
        let files_of =
            |of: fn(&FieldFiles) -> u64| files.iter().map(|files| of(files)).sum::<u64>();
        FieldInfo {
            name: field.name.to_string(),
            vectors: columns_of(Column::len) + files_of(FieldFiles::rows),
            code_bytes: columns_of(Column::code_bytes) + files_of(FieldFiles::code_bytes),
            disk_bytes: files_of(FieldFiles::disk_bytes),
            upgrade: self.upgrade_of(field),
            former_field: self.fields.before(field).map(|before| before.name.to_string()),
        }
    }

    fn describe_multi(&self, field: &MultiField) -> MultiFieldInfo {
        let columns = self.tables().filter_map(|table| table.multi(field.id));
        let mut info = MultiFieldInfo {
            name: field.name.to_string(),
            vectors: columns.map(|column| column.rows().len() as u64).sum(),
            sketch_codes: 0,
            code_bytes: 0,
            disk_bytes: 0,
        };
        for files in self.segments.iter().filter_map(|view| view.segment.multi(field.id)) {
            info.vectors += files.tokens.vectors();
            info.sketch_codes += files.sketches.codes();
            info.code_bytes += files.code_bytes();
            info.disk_bytes += files.disk_bytes();
        }
        info
    }

    fn describe_sparse(&self, field: &SparseField) -> SparseFieldInfo {
        let name = field.name.to_string();
        let mut info = SparseFieldInfo { name, vectors: 0, components: 0, disk_bytes: 0 };
        for rows in self.tables().filter_map(|table| Some(table.sparse(field.id)?.rows())) {
            info.vectors += rows.len() as u64;
            info.components += rows.components() as u64;
        }
        for files in self.segments.iter().filter_map(|view| view.segment.sparse(field.id)) {
            info.vectors += files.reader.vectors();
            info.components += files.reader.components();
            info.disk_bytes += files.disk_bytes();
        }
        info
    }
}

//! What an archive says it holds.

use bigrain_storage::{CollectionRow, CountsRow, OLDEST_STORE_VERSION, STORE_VERSION, SegmentRow};
use serde::{Deserialize, Serialize};

/// The name of the entry with [`BackupContents`].
pub(super) const CONTENTS: &str = "bigrain.json";

/// What an archive holds, as its first entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupContents {
    /// The format of the archive.
    pub format: BackupFormat,
    /// The program that wrote it.
    pub program: String,
    /// When, in milliseconds since 1970.
    pub created_unix_ms: u64,
    /// The collections, in the order of their names.
    pub collections: Vec<SavedCollection>,
}

/// The formats that a reader must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupFormat {
    /// The version of the archive.
    pub backup: u32,
    /// The version of the rows in it.
    pub store: u32,
}

/// A collection in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SavedCollection {
    /// Its name.
    pub name: String,
    /// Its points.
    pub points: u64,
    /// Its segments.
    pub segments: u64,
    /// Bytes of its segments' files.
    pub segment_bytes: u64,
}

/// What a collection's manifest says, in `<n>/collection.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CollectionManifest {
    pub row: CollectionRow,
    /// Its other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    pub counts: CountsRow,
    pub segments: Vec<SegmentRow>,
}

impl BackupFormat {
    /// What this program writes.
    pub const CURRENT: Self = Self { backup: 1, store: STORE_VERSION };

    /// Whether this program reads it.
    pub(super) fn is_read(self) -> bool {
        let rows = OLDEST_STORE_VERSION..=STORE_VERSION;
        self.backup == Self::CURRENT.backup && rows.contains(&self.store)
    }
}

impl CollectionManifest {
    /// Returns what the archive's first entry says of it.
    pub fn saved(&self) -> SavedCollection {
        let files = self.segments.iter().flat_map(|segment| &segment.files);
        SavedCollection {
            name: self.row.name.clone(),
            points: self.counts.live,
            segments: self.segments.len() as u64,
            segment_bytes: files.fold(0, |sum, file| file.length.saturating_add(sum)),
        }
    }
}

/// Returns the name of a collection's own entry.
pub(super) fn manifest_name(collection: usize) -> String {
    format!("{collection}/collection.json")
}

/// Returns the folder of a collection's segments.
pub(super) fn segments_folder(collection: usize) -> String {
    format!("{collection}/segments")
}

/// Returns the name of one part of a collection's rows.
pub(super) fn part_name(collection: usize, kind: bigrain_storage::RowKind, part: usize) -> String {
    format!("{collection}/{}.{part:06}", kind.name())
}

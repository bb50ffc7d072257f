//! The embeddable vector database: open a folder, upsert points, search them.
//!
//! ```
//! use bigrain_engine::{CollectionConfig, Engine, EngineConfig, Metric, Payload, Point, Query, SearchParams};
//!
//! # let folder = tempfile::tempdir()?;
//! let engine = Engine::open(folder.path(), EngineConfig::default())?;
//! let colors = engine.create_collection("colors", CollectionConfig::new(3, Metric::Cosine))?;
//! colors.upsert(vec![
//!     Point::new(1, vec![1.0, 0.0, 0.0]).with_payload(Payload::new().with("name", "red")),
//!     Point::new(2, vec![0.0, 1.0, 0.0]).with_payload(Payload::new().with("name", "green")),
//! ])?;
//! let found = colors.search(&Query::new(vec![0.9, 0.1, 0.0]), &SearchParams::new(1)?)?;
//! assert_eq!(found.points[0].payload.text("name"), Some("red"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is returned has happened: an upsert or delete that returned `Ok` is on disk, synced, and
//! every later search sees it. Searches see a fixed view and never wait for a write's disk.
//!
//! [`Engine`] owns a data folder; one process at a time. [`Collection`] is a named set of points
//! of one shape; both are cheap handles to clone and share between threads. Everything here blocks;
//! there is no async in this crate.

mod background;
mod backup;
mod check;
mod collection;
mod column;
mod condition;
mod config;
mod cursor;
mod device;
mod diversity;
mod encoded_points;
mod engine;
mod error;
mod facet;
mod field;
mod filtering;
mod fusion;
mod group_by;
mod guide;
mod hybrid_fit;
mod hybrid_query;
mod kept_memory;
mod memory;
mod memory_cache;
mod memtable;
mod merge_policy;
mod moment;
mod multi_column;
mod multi_query;
mod plan;
mod point;
mod prototypes;
mod query_adapter;
mod query_builders;
mod recommend_query;
mod resources;
mod scroll;
mod segment;
mod slot_texts;
mod sparse_column;
mod sparse_query;
mod text_query;
mod threads;
mod update;
mod vector_query;
mod watch;
mod word_cache;

pub use bigrain_binarize::{
    Champion, CodeBlocks, CodeScanner, ListCentroids, ListFinder, LoadedCentroids, LoadedCodes,
    Rotation, ScanRequest, ScannedList, ScoredCode,
};
pub use bigrain_index::verify::similarity;
pub use bigrain_storage::{STORE_VERSION, raise_descriptor_limit};
pub use bigrain_types::*;

pub use background::BackgroundPause;
pub use backup::{BackupContents, BackupFormat, SavedCollection, restore, verify};
pub use check::{CheckReport, CollectionCheck, Finding, FindingKind, MAX_FINDINGS, check_folder};
pub use collection::{
    Collection, CollectionInfo, CollectionState, CollectionStatus, FieldInfo, FlushInfo,
    FormerField, MergeInfo, MultiFieldInfo, SegmentInfo, SparseFieldInfo, UpgradeInfo,
};
pub use condition::{Condition, Conditions};
pub use config::{EngineConfig, MAX_COLLECTION_NAME_BYTES, MAX_POINTS_PER_BATCH};
pub use cursor::Cursor;
pub use device::{DeviceUse, ScanDevice};
pub use diversity::diversify;
pub use engine::{AliasChange, Engine};
pub use error::{Error, ErrorKind, Result};
pub use facet::{FacetOutput, FacetQuery, FacetValue};
pub use field::{
    CollectionConfig, DEFAULT_FIELD, FieldConfig, LearnedBinarizer, MAX_FIELD_NAME_BYTES,
    MAX_FIELDS, MultiFieldConfig, SparseFieldConfig, SparseModifier,
};
pub use fusion::{Fusion, FusionError, RankedList, fuse};
pub use group_by::{Group, GroupBy, GroupOutput};
pub use hybrid_fit::{FitEvidence, FittedPart, HybridFit};
pub use hybrid_query::HybridQuery;
pub use memory::MemoryInfo;
pub use multi_query::MultiQuery;
pub use plan::{SearchPlan, SourcePlan};
pub use point::{
    DeleteOutput, MatchingPoints, MultiPointVector, Point, PointVector, Query, ScoredPoint,
    SearchOutput, SparsePointVector, StoredMultiVector, StoredPoint, StoredSparseVector,
    StoredVector, UpsertOutput,
};
pub use prototypes::{NearestPrototype, Prototypes};
pub use query_adapter::QueryAdapter;
pub use recommend_query::{Example, MAX_EXAMPLES, RecommendQuery, RecommendStrategy};
pub use scroll::{OrderBy, ScrollPage, ScrollParams};
pub use sparse_query::SparseQuery;
pub use text_query::{MAX_QUERY_WORDS, TextQuery};
pub use update::{PayloadUpdate, UpdateOutput};
pub use vector_query::VectorQuery;
pub use watch::{Progress, Watch};

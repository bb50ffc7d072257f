//! Vector fields: the named vectors that the points of a collection have.
//!
//! ```text
//!  FieldConfig        what a caller decides: name, dimensions, metric, ...
//!  SparseFieldConfig  a field of sparse vectors: its name, what queries are multiplied with
//!  MultiFieldConfig   a field of multi-vectors: name, dimensions, metric, ...
//!  CollectionConfig   one or more of them; the first is the default of requests that name none
//!  LearnedBinarizer   what a dense field makes codes with in place of the rotation
//!  TextField          payload texts that are searched by words (of `bigrain-types`)
//!  Schema             the same with their ids, as the store keeps it
//!  Field              a dense one at run time: its configuration, its id, its binarizer
//!  SparseField        a sparse one at run time: its configuration, its id
//!  MultiField         one of multi-vectors at run time: its configuration, its id, its binarizer
//! ```
//!
//! Fields of all kinds share names and ids. Else they are lists that stand beside each other
//! everywhere: what is done with their vectors has little in common.
//!
//! A name can be dropped and added again; an id is never used twice. Whatever a dropped field left
//! behind (rows of the head, files of segments) carries its id, so a field of the same name that is
//! added later never sees it. Code that stores or looks up vectors therefore speaks ids; names appear
//! where callers do.

mod collection_config;
mod config;
mod fields;
mod learned;
mod multi_config;
mod multi_field;
mod row_version;
mod schema;
mod sparse_config;
mod succession;

pub use collection_config::{CollectionConfig, MAX_FIELDS};
pub use config::{DEFAULT_FIELD, FieldConfig, MAX_FIELD_NAME_BYTES};
pub(crate) use fields::{Field, Fields, FormerVersion, SparseField};
pub use learned::LearnedBinarizer;
pub use multi_config::MultiFieldConfig;
pub(crate) use multi_field::MultiField;
pub(crate) use schema::{FieldKind, Schema, SchemaField, SchemaMulti, SchemaSparse, SchemaText};
pub use sparse_config::{SparseFieldConfig, SparseModifier};

//! Points on their way out, in formats that others read.
//!
//! | format | a point is | round trip |
//! |---|---|---|
//! | JSON lines | `{"id": 42, "vectors": {"vector": [..]}, "payload": {..}}` | exact |
//! | Parquet | a row: `id`, `id_is_number`, a fixed-size list for each dense field, a struct of two lists for each sparse and each multi-vector one, `payload` as JSON text | exact |
//!
//! A sparse vector is `{"indices": [..], "values": [..]}` in JSON lines, and a struct of these two lists
//! in Parquet. A multi-vector is `{"tokens": [[..], ..], "grid": [height, width]}` in both, the grid null
//! where it is not known.
//!
//! The way in is [`crate::input`] and [`crate::ingest`], the one that `bigrain build` goes.
//!
//! Exact means: the same id (42 and "42" differ), the same bits in every component, the same JSON.
//! The shape of the collection and its fitted fusions go along, in a file beside JSON lines and in the
//! metadata of Parquet, so that an import makes the same collection.

mod columns;
mod exported_shape;
mod jsonl;
mod parquet;
mod shape_file;

pub use columns::{Columns, ID_IS_NUMBER};
pub use exported_shape::ExportedShape;
pub use jsonl::JsonlExport;
pub use parquet::{ParquetExport, SHAPE_KEY};
pub use shape_file::ShapeFile;

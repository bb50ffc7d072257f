//! Files of rows become [`Record`]s, one at a time.
//!
//! ```text
//! corpus.jsonl ─┐
//! table.parquet ┤
//! vectors.npy  ─┼─ Input (an iterator) ─► Record { place, id, content, payload, position }
//! base.fvecs   ─┤
//! base.bvecs   ─┤
//! set.hdf5     ─┘
//! ```
//!
//! A reader holds one row in memory, whatever the size of its file. It trusts nothing: lengths are
//! checked against the file before they are used, and every refusal is an [`InputError`] that
//! names the file and the line or row. Errors of one line (see [`InputError::skippable`]) leave
//! the reader at the next line; after any other error the iterator ends.
//!
//! # Adding a format
//!
//! 1. Write the reader in a file of its own: an iterator over `Result<Record, InputError>`.
//! 2. Name it in [`Format`] with its file extension, and open it in [`Input::open`].
//! 3. Give it the property test that the others have: arbitrary bytes never panic.

mod error;
mod format;
mod hdf5;
mod jsonl;
mod npy;
mod parquet;
mod record;
mod shape;
mod texmex;
mod vectors;

pub use error::{InputError, Problem};
pub use format::{Format, Input};
pub use hdf5::{Hdf5, read_metric, read_neighbors};
pub use jsonl::{Fields, Jsonl, MAX_LINE_BYTES};
pub use npy::{MAX_NPY_HEADER_BYTES, Npy};
pub use parquet::ParquetInput;
pub use record::{At, Content, Place, Record, joined_text};
pub use shape::Shape;
pub use texmex::{Component, Frames, Texmex};
pub use vectors::{Role, VectorFile};

//! Why a file, or one row of it, is refused.

use std::io;

use bigrain_engine::{PayloadError, PointIdError, VectorError};
use thiserror::Error;

use super::{MAX_LINE_BYTES, Place};
use crate::human;

/// A file or a row that cannot be read: where, and why.
#[derive(Debug, Error)]
#[error("{place}: {problem}")]
pub struct InputError {
    place: Place,
    problem: Problem,
}

/// Why input is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The system refused a read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A line that is not a JSON object.
    #[error("not a JSON object: {}", without_line(.0))]
    Json(#[from] serde_json::Error),
    /// A line above [`MAX_LINE_BYTES`].
    #[error("line is longer than {MAX_LINE_BYTES} bytes")]
    LongLine,
    /// A field that every record needs is not there.
    #[error("no field {0}")]
    Missing(String),
    /// A line of an export has a field that no export has.
    #[error("unknown field {0:?}: bigrain build reads lines of any form")]
    UnknownKey(String),
    /// A field holds another kind of value than it should.
    #[error("field {field:?}: expected {expected}, got {actual}")]
    FieldKind {
        /// The field's name.
        field: String,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        actual: &'static str,
    },
    /// An id that is empty or too long.
    #[error("{0}")]
    Id(#[from] PointIdError),
    /// A payload above the engine's limit.
    #[error("{0}")]
    Payload(#[from] PayloadError),
    /// A vector that the collection refuses.
    #[error("{0}")]
    Vector(#[from] VectorError),
    /// A text without a visible character.
    #[error("text is empty")]
    EmptyText,
    /// A text above the encoder's limit.
    #[error("text has {actual} bytes, the limit is {limit}")]
    LongText {
        /// Its length.
        actual: usize,
        /// The limit.
        limit: usize,
    },
    /// A vector of a field that the collection does not have.
    #[error("no such field {name:?}: the collection has {known}: pass --field {name} to add it")]
    UnknownField {
        /// The field's name.
        name: String,
        /// The fields there are.
        known: String,
    },
    /// A vector of a field that the field refuses.
    #[error("field {field:?}: {error}")]
    FieldVector {
        /// The field's name.
        field: String,
        /// What is wrong with the vector.
        error: VectorError,
    },
    /// A sparse vector that is none.
    #[error("field {field:?}: {reason}")]
    SparseVector {
        /// The field's name.
        field: String,
        /// What is wrong with the vector.
        reason: String,
    },
    /// A multi-vector that is none.
    #[error("field {field:?}: {reason}")]
    MultiVector {
        /// The field's name.
        field: String,
        /// What is wrong with the vector.
        reason: String,
    },
    /// A vector that names no field, where none is dense.
    #[error("the collection has no dense fields: expected an object with their vectors by field")]
    NoDenseField,
    /// A vector without the name of its field, beside vectors with theirs.
    #[error("both {0:?} and {1:?}: expected one of them")]
    BothVectors(String, String),
    /// A text where no encoder was given.
    #[error("text without a model to encode it: pass --model DIR")]
    NoModel,
    /// A matrix header that this program does not read.
    #[error("bad .npy header: {0}")]
    NpyHeader(String),
    /// A neighbour that is none.
    #[error("{0} is no row number")]
    RowNumber(i64),
    /// An HDF5 file, or a dataset in it, that this program does not read.
    #[error("bad HDF5: {0}")]
    Hdf5(String),
    /// A Parquet file, or a column of it, that this program does not read.
    #[error("bad Parquet: {0}")]
    Parquet(String),
    /// A value of a table that cannot be taken.
    #[error("column {column:?}: {reason}")]
    Column {
        /// The column's name.
        column: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// The file ends early, or goes on after its last row.
    #[error("file has {actual} bytes, its rows need {expected}")]
    Length {
        /// What the header or the row length asks for.
        expected: u64,
        /// What is there.
        actual: u64,
    },
    /// The file ends before the length it had when it was opened.
    #[error("file ends before its {expected} bytes")]
    Shrunk {
        /// The length it had.
        expected: u64,
    },
    /// Numbering the rows from the first id would pass the largest number.
    #[error(
        "{} numbered from {first_id} pass the largest id, {}",
        human::counted(*rows, "row", "rows"),
        u64::MAX
    )]
    IdRange {
        /// The id of the first row.
        first_id: u64,
        /// The rows of the file.
        rows: u64,
    },
    /// A row whose length word differs from the first row's, or is out of range.
    #[error("row length is {actual}, expected {expected}")]
    RowLength {
        /// What the first row says, or the permitted range.
        expected: String,
        /// What this row says.
        actual: i32,
    },
    /// Lines of JSON where vectors of one length are wanted.
    #[error("expected vectors: .fvecs, .bvecs, .npy, .hdf5 or .h5")]
    NoMatrix,
    /// A file without rows.
    #[error("holds no rows")]
    NoRows,
    /// A file that was written between two readings.
    #[error("was changed while it was in use")]
    Changed,
    /// A file name that tells no format.
    #[error(
        "unknown format: expected a name ending in .jsonl, .ndjson, .parquet, .npy, .fvecs, .bvecs, \
         .hdf5 or .h5, or --format"
    )]
    UnknownFormat,
}

impl InputError {
    /// Says what went wrong at `place`.
    #[must_use]
    pub fn new(place: Place, problem: Problem) -> Self {
        Self { place, problem }
    }

    /// Returns what went wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Whether only this row is bad, and the rows after it can still be read.
    #[must_use]
    pub fn skippable(&self) -> bool {
        match self.problem {
            Problem::Io(_)
            | Problem::IdRange { .. }
            | Problem::NpyHeader(_)
            | Problem::Hdf5(_)
            | Problem::Parquet(_)
            | Problem::RowNumber(_)
            | Problem::Length { .. }
            | Problem::Shrunk { .. }
            | Problem::RowLength { .. }
            | Problem::NoModel
            | Problem::NoMatrix
            | Problem::NoRows
            | Problem::Changed
            | Problem::UnknownFormat => false,
            Problem::Json(_)
            | Problem::LongLine
            | Problem::Missing(_)
            | Problem::FieldKind { .. }
            | Problem::Id(_)
            | Problem::Payload(_)
            | Problem::Column { .. }
            | Problem::UnknownKey(_)
            | Problem::Vector(_)
            | Problem::UnknownField { .. }
            | Problem::FieldVector { .. }
            | Problem::SparseVector { .. }
            | Problem::MultiVector { .. }
            | Problem::NoDenseField
            | Problem::BothVectors(..)
            | Problem::EmptyText
            | Problem::LongText { .. } => true,
        }
    }
}

/// Says what is wrong with a line of JSON, and at which column: which line it is, its place says.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (line, column) = (error.line(), error.column());
    match text.strip_suffix(&format!(" at line {line} column {column}")) {
        Some(reason) => format!("{reason} at column {column}"),
        None => text,
    }
}

/// Says what it means that the file ends inside a read, unless the system refused the read for
/// another reason.
pub(super) fn or_io(error: io::Error, cut: Problem) -> Problem {
    if error.kind() == io::ErrorKind::UnexpectedEof { cut } else { Problem::Io(error) }
}

/// Refuses rows whose numbers would pass the largest id.
pub(super) fn check_ids(first_id: u64, rows: u64) -> Result<(), Problem> {
    match first_id.checked_add(rows) {
        Some(_) => Ok(()),
        None => Err(Problem::IdRange { first_id, rows }),
    }
}

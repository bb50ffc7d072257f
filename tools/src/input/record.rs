//! One row of input, with where it came from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bigrain_engine::{MultiVector, Payload, PointId, SparseVector};

use super::{InputError, Problem};

/// One row of input on its way to becoming a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Where it stands, for error messages.
    pub place: Place,
    /// The point's id.
    pub id: PointId,
    /// What becomes the point's vectors.
    pub content: Content,
    /// The point's payload.
    pub payload: Payload,
    /// How much of the source lies before the next record, in the source's own unit (bytes for
    /// files). Drives progress bars.
    pub position: u64,
}

impl Record {
    /// Returns the text to encode for a collection whose first field is called `first`, if there is
    /// one.
    #[must_use]
    pub fn text(&self, first: &str) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Vector(_) => None,
            Content::Named { vectors, .. } if vectors.iter().any(|(name, _)| name == first) => None,
            Content::Named { text, .. } => text.as_deref(),
        }
    }
}

/// Returns the text that is encoded for a title and a text.
#[must_use]
pub fn joined_text(title: Option<&str>, text: Option<&str>) -> Option<String> {
    match (title, text) {
        (Some(title), Some(text)) => Some(format!("{title} {text}").trim().to_owned()),
        (title, text) => title.or(text).map(str::to_owned),
    }
}

/// What becomes a point's vectors.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A text for an encoder, whose vector goes into the collection's first field.
    Text(String),
    /// The vector of the collection's first field.
    Vector(Vec<f32>),
    /// Vectors of fields by name; a text makes the first field's, if none of them is.
    Named {
        /// The text.
        text: Option<String>,
        /// Each dense field with its vector; no field twice.
        vectors: Vec<(String, Vec<f32>)>,
        /// Each sparse field with its vector; no field twice.
        sparse: Vec<(String, SparseVector)>,
        /// Each multi-vector field with its vector; no field twice.
        multi: Vec<(String, MultiVector)>,
    },
}

/// Where a record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    file: Arc<Path>,
    at: At,
}

/// A position inside a file, counted as people count there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The file as a whole, or its header.
    Start,
    /// A line of a text file, from 1.
    Line(u64),
    /// A row of a matrix, from 0.
    Row(u64),
}

impl Place {
    /// Names a position in a file.
    #[must_use]
    pub fn new(file: &Arc<Path>, at: At) -> Self {
        Self { file: Arc::clone(file), at }
    }

    /// Returns what went wrong here.
    #[must_use]
    pub fn error(&self, problem: impl Into<Problem>) -> InputError {
        InputError::new(self.clone(), problem.into())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.at {
            At::Start => write!(f, "{file}"),
            At::Line(line) => write!(f, "{file} line {line}"),
            At::Row(row) => write!(f, "{file} row {row}"),
        }
    }
}

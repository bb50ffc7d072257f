//! The size of a matrix.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The size of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// How many rows.
    pub rows: u64,
    /// How many components each has.
    pub dims: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.rows, self.dims)
    }
}

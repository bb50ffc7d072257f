//! What a check did.

use serde::Serialize;

use super::{Finding, Findings};

/// What a check did and found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The collections, in the order of their names.
    pub collections: Vec<CollectionCheck>,
    /// The first [`MAX_FINDINGS`](crate::MAX_FINDINGS) findings.
    pub findings: Vec<Finding>,
    /// How many things are lost or wrong.
    pub damage: u64,
    /// How many things nobody needs any more.
    pub orphans: u64,
    /// How many collections and segments a newer program wrote: they were not checked.
    pub unchecked: u64,
}

/// What was checked of one collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CollectionCheck {
    /// Its name.
    pub name: String,
    /// Points found.
    pub points: u64,
    /// Segments.
    pub segments: u64,
    /// Their files.
    pub files: u64,
    /// Bytes read of files and rows.
    pub bytes: u64,
    /// How many things are lost or wrong in it.
    pub damage: u64,
}

impl CheckReport {
    pub(crate) fn new(collections: Vec<CollectionCheck>, findings: Findings) -> Self {
        let Findings { list, damage, orphans, unchecked, .. } = findings;
        Self { collections, findings: list, damage, orphans, unchecked }
    }

    /// Whether everything was checked, and nothing is lost or wrong. Orphans do no harm.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.damage == 0 && self.unchecked == 0
    }
}

//! How a search went about it, for people.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Fusion;

/// How a search went about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchPlan {
    /// `codes, then verify` or `exact`.
    pub method: String,
    /// The field that was searched.
    pub field: String,
    /// Levels of the stored codes; 0 where none are asked.
    pub levels: u8,
    /// Bits per dimension of the query.
    pub query_bits: u8,
    /// At most this many candidates are verified.
    pub max_candidates: usize,
    /// Every source searched, in order.
    pub sources: Vec<SourcePlan>,
    /// What was fused, in order, each with its weight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<SearchPlan>,
}

/// One source of a search: a segment, or a memtable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SourcePlan {
    /// The segment's id, or `memtable`.
    pub source: String,
    /// How its candidates were found.
    pub index: String,
    /// Where verification gets its vectors: the `map` of its file, `io_uring`, or a `pool of threads`;
    /// none where they lie in memory, or none are verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<String>,
    /// What scanned its codes, where the engine has a device: that, or the CPU and why. None without a device, or where
    /// no codes were scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned_by: Option<String>,
    /// Which of its vectors match the filter and what is done with them, if there is one.
    pub filter: Option<String>,
    /// The code space of its codes, where the field has a learned binarizer: the version that made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Vectors of the field that it holds, deleted ones included.
    pub rows: u64,
    /// Those of them that are deleted.
    pub deleted: u64,
}

impl SearchPlan {
    /// Returns the plan of several searches whose results are fused.
    pub(crate) fn fused(fusion: Fusion, parts: Vec<Self>) -> Self {
        let field = parts.iter().map(|part| &*part.field).collect::<Vec<_>>().join(", ");
        Self {
            method: format!("fused by {fusion}"),
            field,
            levels: 0,
            query_bits: 0,
            max_candidates: 0,
            sources: Vec::new(),
            parts,
        }
    }
}

impl fmt::Display for SearchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.method, self.field)?;
        if self.levels > 0 {
            let Self { levels, query_bits, max_candidates, .. } = self;
            write!(
                f,
                " ({levels} levels, query {query_bits} bits, at most {max_candidates} candidates)"
            )?;
        }
        writeln!(f)?;
        for source in &self.sources {
            write!(
                f,
                "  {}: {}, {} rows, {} deleted",
                source.source, source.index, source.rows, source.deleted
            )?;
            if let Some(reads) = &source.reads {
                write!(f, ", vectors from {reads}")?;
            }
            if let Some(scanned_by) = &source.scanned_by {
                write!(f, ", scanned by {scanned_by}")?;
            }
            if let Some(version) = &source.version {
                write!(f, ", codes of version {version}")?;
            }
            writeln!(f)?;
            if let Some(filter) = &source.filter {
                writeln!(f, "    {filter}")?;
            }
        }
        self.parts.iter().try_for_each(|part| write!(f, "{part}"))
    }
}

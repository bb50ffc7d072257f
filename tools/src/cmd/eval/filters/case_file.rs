//! Filter cases read from a file, so that other engines can be asked the same.
//!
//! ```text
//! {"numbers": "numbers.npy",              f32 [rows, fields], whole numbers
//!  "fields": ["u", "c"],
//!  "cases": [{"kind": "near", "share": 0.01, "matching": 600,
//!             "filter": {"field": "c", "lt": 600},
//!             "queries": [3, 17],         numbers of the queries that ask
//!             "truth": "near-0.01.ivecs"  of each of them, the nearest rows that match
//!            }]}
//! ```
//!
//! Names are relative to the folder of the file.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use bigrain_engine::Filter;
use serde::Deserialize;
use serde_json::Value;

use super::cases::{CaseTruth, FilterCase, FilterCases, Numbers};
use crate::input::{Role, VectorFile};
use crate::matrix::Matrix;
use crate::truth::Neighbors;

/// The largest number up to which every whole number is an f32.
const MOST: f32 = (1 << 24) as f32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    numbers: String,
    fields: Vec<String>,
    cases: Vec<CaseLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseLine {
    kind: String,
    share: f64,
    matching: u64,
    filter: Value,
    queries: Vec<usize>,
    truth: String,
}

impl FilterCases {
    /// Reads cases about so many rows and queries.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or says something about other rows or queries.
    pub fn read(path: &Path, rows: u64, queries: usize) -> anyhow::Result<Self> {
        let read = || {
            let file: CaseFile = serde_json::from_slice(&fs::read(path)?)?;
            let folder = path.parent().unwrap_or(Path::new(""));
            let numbers = read_numbers(&folder.join(&file.numbers), file.fields, rows)?;
            let case = |line: CaseLine| {
                let name = format!("case {} {}", line.kind, line.share);
                line.into_case(folder, rows, queries).context(name)
            };
            let cases = file.cases.into_iter().map(case).collect::<anyhow::Result<Vec<_>>>()?;
            ensure!(!cases.is_empty(), "there are no cases");
            Ok(Self { numbers, cases })
        };
        read().with_context(|| path.display().to_string())
    }
}

fn read_numbers(path: &Path, fields: Vec<String>, rows: u64) -> anyhow::Result<Numbers> {
    let file = VectorFile::open(path, Role::Base)?;
    let shape = file.shape();
    if (shape.rows, shape.dims) != (rows, fields.len()) {
        bail!(
            "{} has {} rows of {} numbers, there are {rows} rows and {} fields",
            path.display(),
            shape.rows,
            shape.dims,
            fields.len()
        );
    }
    let values: Matrix = file.to_matrix()?;
    let is_whole = |&value: &f32| value.fract() == 0.0 && (0.0..=MOST).contains(&value);
    if let Some(value) = values.values().iter().find(|value| !is_whole(value)) {
        bail!("{}: {value} is no whole number from 0 to {MOST}", path.display());
    }
    Ok(Numbers::Read { fields, values })
}

impl CaseLine {
    fn into_case(self, folder: &Path, rows: u64, queries: usize) -> anyhow::Result<FilterCase> {
        ensure!(!self.queries.is_empty(), "no query asks");
        if let Some(query) = self.queries.iter().find(|&&query| query >= queries) {
            bail!("query {query} asks, there are {queries}");
        }
        let path = folder.join(&self.truth);
        let nearest = Neighbors::read_ivecs(&path)?;
        nearest.check(self.queries.len(), rows).with_context(|| path.display().to_string())?;
        Ok(FilterCase {
            kind: self.kind,
            share: self.share,
            filter: Filter::from_value(&self.filter)?,
            queries: self.queries,
            truth: CaseTruth::Given { nearest, matching: self.matching },
        })
    }
}

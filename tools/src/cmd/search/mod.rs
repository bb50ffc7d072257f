//! `bigrain search`: a question in, a table out; or many in, and a line of JSON for each.
//!
//! | file | holds |
//! |---|---|
//! | `args.rs` | the command line, and what a person sees |
//! | `question.rs` | one question, and the query it becomes |
//! | `tokens.rs` | questions that are token matrices |
//! | `batch.rs` | many questions of a file |

mod args;
mod batch;
mod question;
mod tokens;

pub use args::{SearchArgs, run};

use std::path::Path;

use anyhow::Context;
use bigrain_engine::{Filter, FilterError, QueryAdapter};

/// Reads a filter that was given as an argument.
pub(super) fn read_filter(json: &str) -> Result<Filter, FilterError> {
    Filter::from_json(json.as_bytes())
}

/// Reads an adapter that was given as a file.
pub(super) fn read_adapter(path: &str) -> anyhow::Result<QueryAdapter> {
    let path = Path::new(path);
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    QueryAdapter::from_bytes(&bytes).with_context(|| path.display().to_string())
}

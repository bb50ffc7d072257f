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

use bigrain_engine::{Filter, FilterError, QueryAdapter};

/// Reads a filter that was given as an argument.
pub(super) fn read_filter(json: &str) -> Result<Filter, FilterError> {
    Filter::from_json(json.as_bytes())
}

/// Reads an adapter that was given as a file.
pub(super) fn read_adapter(path: &str) -> Result<QueryAdapter, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    QueryAdapter::from_bytes(&bytes).map_err(|error| error.to_string())
}

//! How the program ends: one line on standard error, and an exit code.
//!
//! | code | means |
//! |---|---|
//! | 0 | done |
//! | 1 | failed: what and why is the one line |
//! | 2 | the command line asks for something that cannot be |

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use thiserror::Error;

/// A command line that asks for something that cannot be.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(String);

impl Usage {
    /// Says what is wrong with the command line.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Writes a failure to `err` and returns the exit code.
pub fn report(result: anyhow::Result<()>, err: &mut impl Write) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough, as in `bigrain search ... | head`.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // With standard error gone too, the exit code is all that can still be said.
            let _ = writeln!(err, "error: {}", OneLine(&error));
            ExitCode::from(if error.chain().any(|cause| cause.is::<Usage>()) { 2 } else { 1 })
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(is_closed)
}

/// The causes of an error, from the outermost in, on one line. A cause whose text the one before
/// already ends with is not said twice.
struct OneLine<'a>(&'a anyhow::Error);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = String::new();
        for cause in self.0.chain() {
            let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            if said.ends_with(&text) {
                continue;
            }
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(&text);
        }
        f.write_str(&said)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    fn reported(result: anyhow::Result<()>) -> (ExitCode, String) {
        let mut err = Vec::new();
        let code = report(result, &mut err);
        (code, String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_failure_is_one_line_with_its_causes() {
        let error = anyhow!("first\n  second").context("read in.jsonl").context("build");
        let (code, line) = reported(Err(error));
        assert_eq!(code, ExitCode::from(1));
        assert_eq!(line, "error: build: read in.jsonl: first second\n");
    }

    #[test]
    fn a_cause_that_was_said_is_not_repeated() {
        let error = anyhow!("disk full").context("upsert: disk full");
        assert_eq!(reported(Err(error)).1, "error: upsert: disk full\n");
    }

    #[test]
    fn wrong_usage_exits_with_two_and_a_closed_pipe_with_zero() {
        let usage = Err(anyhow::Error::from(Usage::new("no"))).context("search");
        assert_eq!(reported(usage).0, ExitCode::from(2));
        let closed = Err(anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)));
        assert_eq!(reported(closed), (ExitCode::SUCCESS, String::new()));
    }
}

//! Another program that does the same work, taking turns with ours.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A script that speaks lines of JSON: one when it is ready, then an answer to each that it reads.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it said of itself when it was ready.
    pub description: Value,
}

impl Peer {
    /// Starts `script` in `python` and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or ends before it is ready.
    pub fn start(python: &Path, script: &Path, arguments: &[&str]) -> io::Result<Self> {
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the peer has no standard input and output"));
        };
        let output = BufReader::new(output);
        let mut peer = Self { child, input, output, description: Value::Null };
        peer.description = peer.answer()?;
        Ok(peer)
    }

    /// Lets it do `work`, and returns its answer.
    ///
    /// # Errors
    ///
    /// When it has ended, or writes something that is not JSON.
    pub fn ask(&mut self, work: &Value) -> io::Result<Value> {
        writeln!(self.input, "{work}")?;
        self.input.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(io::Error::other(format!("the peer ended early: {}", self.child.wait()?)));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself; either way it must not outlive us.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

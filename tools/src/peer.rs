//! Another program that encodes the same texts, taking turns with ours.
//!
//! The peer is a Python script that speaks lines of JSON: it writes `{"ready": true, ..}` when its model
//! is loaded, and then, for each line that it reads, encodes what the line says and writes
//! `{"tokens": .., "seconds": ..}`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

/// A peer, with its model loaded.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    description: Value,
}

/// One pass of a peer over the texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerPass {
    /// Tokens it encoded.
    pub tokens: u64,
    /// How long that took.
    pub elapsed: Duration,
}

#[derive(Deserialize)]
struct PassLine {
    tokens: u64,
    seconds: f64,
}

impl Peer {
    /// Starts `script` in `python`, and waits until its model is loaded.
    ///
    /// # Errors
    ///
    /// When the program cannot be started, or ends before it is ready.
    pub fn start(
        python: &Path,
        script: &Path,
        model: &Path,
        texts: &Path,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(python)
            .arg(script)
            .arg("--interactive")
            .args([Path::new("--model"), model, Path::new("--texts"), texts])
            .args(["--threads", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {} {}", python.display(), script.display()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the peer has no standard input and output");
        };
        let output = BufReader::new(output);
        let mut peer = Self { child, input, output, description: Value::Null };
        peer.description = serde_json::from_str(&peer.read_line()?).context("start of the peer")?;
        Ok(peer)
    }

    /// Returns what the peer says of itself.
    #[must_use]
    pub fn description(&self) -> &Value {
        &self.description
    }

    /// Lets the peer encode once what `work` says.
    ///
    /// # Errors
    ///
    /// When the peer has ended, or answers something else.
    pub fn pass(&mut self, work: &Value) -> anyhow::Result<PeerPass> {
        writeln!(self.input, "{work}").and_then(|()| self.input.flush()).context("ask the peer")?;
        let line = self.read_line()?;
        let pass: PassLine =
            serde_json::from_str(&line).with_context(|| format!("the peer wrote {line:?}"))?;
        let elapsed = Duration::try_from_secs_f64(pass.seconds).context("time of the peer")?;
        Ok(PeerPass { tokens: pass.tokens, elapsed })
    }

    fn read_line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line).context("read from the peer")? == 0 {
            let status = self.child.wait().context("wait for the peer")?;
            bail!("the peer ended early: {status}");
        }
        Ok(line)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself; either way it must not outlive us.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    fn peer(script: &str) -> anyhow::Result<Peer> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("peer.sh");
        fs::write(&path, script)?;
        Peer::start(Path::new("/bin/sh"), &path, Path::new("m"), Path::new("t"), 2)
    }

    #[test]
    fn passes_take_turns() {
        let script = "echo '{\"ready\": true, \"threads\": 2}'\n\
                      while read -r _; do echo '{\"tokens\": 7, \"seconds\": 0.5}'; done\n";
        let mut peer = peer(script).unwrap();
        assert_eq!(peer.description()["threads"], 2);
        for _ in 0..2 {
            let pass = PeerPass { tokens: 7, elapsed: Duration::from_millis(500) };
            assert_eq!(peer.pass(&Value::Null).unwrap(), pass);
        }
    }

    #[test]
    fn a_peer_that_ends_or_babbles_is_an_error() {
        let error = peer("exit 3").unwrap_err().to_string();
        assert!(error.contains("the peer ended early"), "{error}");
        let mut babbling = peer("echo '{}'; read -r _; echo hello; read -r _").unwrap();
        assert!(babbling.pass(&Value::Null).unwrap_err().to_string().contains("hello"));
    }
}

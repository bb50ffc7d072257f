//! The shim, and the processes that run on it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// The folder a process may change, seen through the shim.
const ROOT: &str = "DISK_ROOT";
const RECORD: &str = "DISK_RECORD";
const MARKS: &str = "DISK_MARKS";

/// The shim, compiled; its files go when this is dropped.
#[derive(Debug)]
pub struct Shim {
    folder: TempDir,
    processes: AtomicU32,
}

impl Shim {
    /// Compiles the shim, or says on standard output that there is no C compiler.
    ///
    /// # Panics
    ///
    /// When a compiler is there and refuses the source, or none is and `REQUIRE_SHIM` is set.
    #[must_use]
    #[expect(clippy::panic, reason = "a test without what it needs has failed")]
    pub fn compiled() -> Option<Self> {
        let folder = tempfile::tempdir().expect("temporary folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/disk.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let output = Command::new(&compiler)
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(folder.path().join("disk.so"))
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .output();
        match output {
            Ok(output) if output.status.success() => {
                Some(Self { folder, processes: AtomicU32::new(0) })
            }
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) if std::env::var_os("REQUIRE_SHIM").is_some() => {
                panic!("no C compiler: {}: {error}", compiler.display())
            }
            Err(error) => {
                println!("skipped: no C compiler: {}: {error}", compiler.display());
                None
            }
        }
    }

    /// Returns a command that runs one ignored test of this program on the shim, with `root` as its
    /// folder. Its record is at [`Shim::record`].
    #[must_use]
    pub fn run_test(&self, name: &str, root: &Path) -> Command {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(std::env::current_exe().expect("own path"));
        command
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env("LD_PRELOAD", self.folder.path().join("disk.so"))
            .env(ROOT, std::fs::canonicalize(root).expect("root"))
            .env(MARKS, self.folder.path().join(format!("marks-{number}")));
        command
    }

    /// As [`Shim::run_test`], and everything is recorded.
    #[must_use]
    pub fn record_test(&self, name: &str, root: &Path) -> Command {
        let mut command = self.run_test(name, root);
        command.env(RECORD, self.record());
        command
    }

    /// Returns where the record lies.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.folder.path().join("record")
    }
}

/// The shim from inside a process that runs on it.
#[derive(Debug)]
pub struct Control {
    marks: File,
    path: PathBuf,
    root: PathBuf,
}

impl Control {
    /// Returns the process's own control; `None` when it does not run on a shim.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        let path = PathBuf::from(std::env::var_os(MARKS)?);
        let root = PathBuf::from(std::env::var_os(ROOT)?);
        let marks = OpenOptions::new().create(true).append(true).open(&path).expect("marks");
        Some(Self { marks, path, root })
    }

    /// Returns the folder that is watched.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Puts a line into the record.
    pub fn mark(&self, line: &str) {
        // One write, so that it is one mark.
        (&self.marks).write_all(line.as_bytes()).expect("mark");
    }

    /// Plans a fault: from `step` on, counted from now, `count` steps fail with `errno`, or all of
    /// them if `count` is 0.
    pub fn fault(&self, errno: i32, step: u64, count: u64) {
        self.mark(&format!("fault {errno} {step} {count}"));
    }

    /// Ends the fault. Returns how many steps were taken since it was planned, and how many failed.
    #[must_use]
    pub fn repair(&self) -> (u64, u64) {
        self.mark("repair");
        let reply = std::fs::read_to_string(&self.path).expect("reply");
        let numbers: Result<Vec<u64>, _> = reply.split_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(io::Error::other).expect("numbers");
        (numbers[0], numbers[1])
    }
}

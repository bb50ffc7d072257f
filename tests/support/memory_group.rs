//! Processes that may have so much memory together, and are killed when they want more.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

/// Where controllers are mounted: version 1 has a tree for memory alone, version 2 has one for all.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];

/// A control group with a limit of memory: what processes hold and what the system caches of their
/// files counts. Removed when it is dropped; its processes must be gone by then.
#[derive(Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
    files: &'static Files,
}

/// What a version of control groups calls things.
#[derive(Debug)]
struct Files {
    limit: &'static str,
    peak: &'static str,
    /// Where a line says how many processes were killed.
    events: &'static str,
}

const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    events: "memory.oom_control",
};
const VERSION_2: Files =
    Files { limit: "memory.max", peak: "memory.peak", events: "memory.events" };

impl MemoryGroup {
    /// Makes one, or says why not: it takes the rights of an administrator, and a system that lets
    /// them be used.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn create(limit: u64) -> Result<Self, String> {
        let mut reason = String::new();
        for root in ROOTS.map(Path::new) {
            let folder = root.join(format!("bigrain-test-{}", std::process::id()));
            match Self::create_in(root, folder, limit) {
                Ok(group) => return Ok(group),
                Err(error) => reason.push_str(&format!("{}: {error}; ", root.display())),
            }
        }
        Err(reason)
    }

    fn create_in(root: &Path, folder: PathBuf, limit: u64) -> std::io::Result<Self> {
        let is_1 = root.join(VERSION_1.limit).try_exists()?;
        if !is_1 {
            fs::write(root.join("cgroup.subtree_control"), "+memory")?;
        }
        fs::create_dir(&folder)?;
        let group = Self { folder, files: if is_1 { &VERSION_1 } else { &VERSION_2 } };
        fs::write(group.folder.join(group.files.limit), limit.to_string())?;
        Ok(group)
    }

    /// Takes a process in. What it has by then is not counted.
    pub fn take(&self, child: &Child) {
        fs::write(self.folder.join("cgroup.procs"), child.id().to_string()).expect("cgroup.procs");
    }

    /// Returns the most memory that its processes had, caches of their files included.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        let peak = fs::read_to_string(self.folder.join(self.files.peak)).expect("peak");
        peak.trim().parse().expect("a number")
    }

    /// Returns how many of its processes were killed for memory.
    #[must_use]
    pub fn killed(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join(self.files.events)).expect("events");
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.map_or(0, |killed| killed.parse().expect("a number"))
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

//! What figures were measured on, and how much memory the process takes.

use std::fmt;
use std::fs;
use std::num::NonZeroUsize;
use std::thread;

use serde::Serialize;

use crate::device::Device;

/// What figures were measured on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// The CPU's name, where the system tells it.
    pub cpu: Option<String>,
    /// Threads that can run at a time.
    pub cores: usize,
    /// What scanned codes, if that was a device and not the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The version of this program.
    pub version: &'static str,
}

impl Machine {
    /// Asks the system.
    #[must_use]
    pub fn here() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { cpu: cpu_name(), cores, device: None, version: env!("CARGO_PKG_VERSION") }
    }

    /// Names the device that was opened to scan codes, if one was.
    #[must_use]
    pub fn with_device(mut self, device: &Device) -> Self {
        self.device = device.name();
        self
    }

    /// Names what searches ran on, for people.
    #[must_use]
    pub fn searched_on(&self) -> String {
        let cpu = self.cpu.as_deref().unwrap_or("an unknown CPU");
        match &self.device {
            Some(device) => format!("{cpu}, codes of large scans on {device}"),
            None => cpu.to_owned(),
        }
    }
}

/// How many processes wanted to run, a mean over the last minute; nothing where the system does not
/// tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct LoadAverage(pub Option<f64>);

impl LoadAverage {
    /// Asks the system.
    #[must_use]
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/loadavg").ok();
        Self(text.and_then(|text| text.split(' ').next()?.parse().ok()))
    }
}

impl fmt::Display for LoadAverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(load) => write!(f, "{load:.1}"),
            None => f.write_str("unknown"),
        }
    }
}

/// Memory of this process, in bytes; where the system does not tell, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessMemory {
    /// Resident now, mapped files included.
    pub rss_bytes: Option<u64>,
    /// Resident now, without mapped files, which the system may take away.
    pub anonymous_bytes: Option<u64>,
    /// The most that was resident since the process started.
    pub peak_rss_bytes: Option<u64>,
}

impl ProcessMemory {
    /// Asks the system.
    #[must_use]
    pub fn now() -> Self {
        fs::read_to_string("/proc/self/status").map(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kibibytes * 1024)
        };
        Self {
            rss_bytes: field("VmRSS:"),
            anonymous_bytes: field("RssAnon:"),
            peak_rss_bytes: field("VmHWM:"),
        }
    }
}

fn cpu_name() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_systems_words() {
        let status = "Name:\tx\nVmHWM:\t   30 kB\nVmRSS:\t   20 kB\nRssAnon:\t 8 kB\n";
        let memory = ProcessMemory::parse(status);
        assert_eq!(memory.rss_bytes, Some(20 << 10));
        assert_eq!(memory.anonymous_bytes, Some(8 << 10));
        assert_eq!(memory.peak_rss_bytes, Some(30 << 10));
        assert_eq!(ProcessMemory::parse("VmRSS: many kB"), ProcessMemory::default());
    }
}

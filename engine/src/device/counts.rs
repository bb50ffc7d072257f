//! How often a device scanned or helped to build, and how often the CPU did in its place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::{Device, ScannedBy, WhyHost};

/// What a collection has of the device that its engine was opened with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeviceUse {
    /// The device.
    pub device: String,
    /// Fields of segments whose codes are on it.
    pub fields: u64,
    /// The bytes that they take there.
    pub bytes: u64,
    /// Searches of a segment that the device scanned, since the collection was opened.
    pub device_scans: u64,
    /// Codes that it scanned for them.
    pub device_codes: u64,
    /// Searches of a segment that the CPU scanned, by why: `few_codes`, `copying`, `does_not_fit`, `unsupported`, `failed`.
    pub host_scans: BTreeMap<String, u64>,
    /// Fields of segments that were built, the device finding the lists of their rows, since the collection was opened.
    pub device_builds: u64,
    /// Rows of which it found the list, those that centroids were trained on included, as often as they were.
    pub device_rows: u64,
    /// Fields of segments that were built, the CPU finding the lists of some rows or all, by why: `few_rows`, `does_not_fit`,
    /// `unsupported`, `failed`.
    pub host_builds: BTreeMap<String, u64>,
    /// Why the device is not asked any more, if it has failed.
    pub failure: Option<String>,
}

/// Counts of one collection.
#[derive(Debug, Default)]
pub(crate) struct ScanCounts {
    scans: Tally,
    builds: Tally,
}

/// How often the device did something, for how much of it, and how often the CPU did, by why.
#[derive(Debug, Default)]
struct Tally {
    device: AtomicU64,
    amount: AtomicU64,
    host: [AtomicU64; WhyHost::NAMES.len()],
}

impl Tally {
    fn add(&self, by: &ScannedBy, amount: u64) {
        let times = match by {
            ScannedBy::Device => &self.device,
            ScannedBy::Host(why) => &self.host[why.index()],
        };
        times.fetch_add(1, Ordering::Relaxed);
        self.amount.fetch_add(amount, Ordering::Relaxed);
    }
}

impl ScanCounts {
    /// Counts a scan of a segment, and the codes of it that the device scanned.
    pub fn add(&self, by: &ScannedBy, device_codes: u64) {
        self.scans.add(by, device_codes);
    }

    /// Counts a field of a segment that was built, and the rows whose lists the device found.
    pub fn add_build(&self, by: &ScannedBy, device_rows: u64) {
        self.builds.add(by, device_rows);
    }

    /// Returns what was counted, and what the codes that are on the device take there.
    pub fn info(&self, device: &Device, on_device: impl Iterator<Item = u64>) -> DeviceUse {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (fields, bytes) = on_device.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes));
        let (scans, builds) = (&self.scans, &self.builds);
        let of_scans = WhyHost::NAMES.iter().zip(&scans.host);
        let of_builds = WhyHost::OF_BUILDS.iter().zip(&builds.host);
        let of_builds = of_builds.filter_map(|(name, times)| Some((name.as_ref()?, times)));
        let named = |(name, times): (&&str, &AtomicU64)| ((*name).to_owned(), count(times));
        DeviceUse {
            device: device.name().to_owned(),
            fields,
            bytes,
            device_scans: count(&scans.device),
            device_codes: count(&scans.amount),
            host_scans: of_scans.map(named).collect(),
            device_builds: count(&builds.device),
            device_rows: count(&builds.amount),
            host_builds: of_builds.map(named).collect(),
            failure: device.failure().map(ToString::to_string),
        }
    }
}

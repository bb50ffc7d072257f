//! How often a device scanned, and how often the CPU did in its place.

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
    /// Why the device is not asked any more, if it has failed.
    pub failure: Option<String>,
}

/// Counts of one collection.
#[derive(Debug, Default)]
pub(crate) struct ScanCounts {
    device: AtomicU64,
    codes: AtomicU64,
    host: [AtomicU64; WhyHost::NAMES.len()],
}

impl ScanCounts {
    /// Counts a scan of a segment, and the codes of it that the device scanned.
    pub fn add(&self, by: &ScannedBy, device_codes: u64) {
        let scans = match by {
            ScannedBy::Device => &self.device,
            ScannedBy::Host(why) => &self.host[why.index()],
        };
        scans.fetch_add(1, Ordering::Relaxed);
        self.codes.fetch_add(device_codes, Ordering::Relaxed);
    }

    /// Returns what was counted, and what the codes that are on the device take there.
    pub fn info(&self, device: &Device, on_device: impl Iterator<Item = u64>) -> DeviceUse {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (fields, bytes) = on_device.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes));
        let named = WhyHost::NAMES.iter().zip(&self.host);
        DeviceUse {
            device: device.name().to_owned(),
            fields,
            bytes,
            device_scans: count(&self.device),
            device_codes: count(&self.codes),
            host_scans: named.map(|(name, scans)| ((*name).to_owned(), count(scans))).collect(),
            failure: device.failure().map(ToString::to_string),
        }
    }
}

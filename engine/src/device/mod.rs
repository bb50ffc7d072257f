//! A device that scans codes in place of this CPU, and finds the lists of rows while segments are built: what of it an
//! engine knows, and whether it still works.
//!
//! ```text
//!  Device (one for an engine) ──> OnDevice (one for each field of a segment) ──> Loaded (its codes there)
//!                             └─> Builder (one for a build)                  ──> lists of rows
//! ```
//!
//! Codes are copied by the first search that has enough of them to scan, and go with the files of their segment. What
//! does not fit is scanned by the CPU, and tried again when other codes have gone: nothing is evicted. A device that
//! has failed is not asked again for as long as the engine is open.

mod builder;
mod counts;
mod on_device;
mod together;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bigrain_binarize::{CodeScanner, DeviceError};
use parking_lot::Mutex;

pub(crate) use builder::Builder;
pub use counts::DeviceUse;
pub(crate) use counts::ScanCounts;
pub(crate) use on_device::{Loaded, OnDevice};

/// Fewer codes than this are scanned by the CPU. Not measured on a GPU: a CPU scans as many, of 768 dimensions, in about
/// a tenth of a millisecond, which starting some kernels and copying their results is assumed to take.
const LEAST_CODES: u64 = 1 << 15;

/// Rows whose lists are found are left to the CPU where rows times lists are fewer. Not measured on a GPU: a CPU's thread
/// takes about a millisecond and a half for as many, by codes of the centroids.
const LEAST_PAIRS: u64 = 1 << 20;

/// A device that is to scan the codes of an engine and to find the lists of rows, for [`Engine::open_with_device`](crate::Engine::open_with_device).
#[derive(Clone, Debug)]
pub struct ScanDevice {
    scanner: Arc<dyn CodeScanner>,
    least_codes: u64,
    least_pairs: u64,
}

impl ScanDevice {
    /// Scans on a device.
    #[must_use]
    pub fn new(scanner: Arc<dyn CodeScanner>) -> Self {
        Self { scanner, least_codes: LEAST_CODES, least_pairs: LEAST_PAIRS }
    }

    /// Leaves scans of fewer codes at a time to the CPU. Default 32,768, which is not measured.
    #[must_use]
    pub fn with_least_codes(mut self, codes: u64) -> Self {
        self.least_codes = codes;
        self
    }

    /// Leaves to the CPU the lists of rows, when a segment is built, where rows times lists are fewer. Default 1,048,576,
    /// which is not measured.
    #[must_use]
    pub fn with_least_pairs(mut self, pairs: u64) -> Self {
        self.least_pairs = pairs;
        self
    }

    /// Names the device, for people.
    #[must_use]
    pub fn name(&self) -> String {
        self.scanner.device()
    }
}

/// The device of an engine.
#[derive(Debug)]
pub(crate) struct Device {
    name: String,
    scanner: Arc<dyn CodeScanner>,
    /// Fewer codes at a time are left to the CPU.
    pub least_codes: u64,
    /// Fewer pairs of a row and a list are left to the CPU.
    least_pairs: u64,
    /// Held while codes are copied, so that each knows what the others have left.
    loading: Mutex<()>,
    failure: OnceLock<Arc<str>>,
    /// How often codes have gone from it.
    frees: AtomicU64,
}

/// Why the CPU scanned the codes of a segment, or found the lists of its rows, although there is a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WhyHost {
    /// There are too few of them.
    Few,
    /// They are on their way to the device.
    Copying,
    /// They, or what the device needs beside them, do not fit.
    DoesNotFit(Arc<str>),
    /// The device cannot do it for them, or not for this search.
    Unsupported(Arc<str>),
    /// The device has failed, now or before.
    Failed(Arc<str>),
}

/// What scanned the codes of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScannedBy {
    /// The device.
    Device,
    /// This CPU.
    Host(WhyHost),
}

impl Device {
    /// Takes a device that nothing is known of yet.
    pub fn new(device: ScanDevice) -> Self {
        let ScanDevice { scanner, least_codes, least_pairs } = device;
        Self {
            name: scanner.device(),
            scanner,
            least_codes,
            least_pairs,
            loading: Mutex::new(()),
            failure: OnceLock::new(),
            frees: AtomicU64::new(0),
        }
    }

    /// Names it, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns why it is not asked any more, if it has failed.
    pub fn failure(&self) -> Option<&Arc<str>> {
        self.failure.get()
    }

    /// Says what a refusal means; after a failure the device is not asked again.
    pub fn refused(&self, error: &DeviceError) -> WhyHost {
        let text: Arc<str> = error.to_string().into();
        match error {
            DeviceError::DoesNotFit { .. } => WhyHost::DoesNotFit(text),
            DeviceError::Unsupported(_) => WhyHost::Unsupported(text),
            DeviceError::Failed(_) | _ => {
                if self.failure.set(Arc::clone(&text)).is_ok() {
                    let device = &self.name;
                    tracing::error!(device, %error, "device failed, the CPU does its work until a restart");
                }
                WhyHost::Failed(text)
            }
        }
    }

    fn frees(&self) -> u64 {
        self.frees.load(Ordering::Acquire)
    }
}

impl WhyHost {
    /// All reasons, by the names under which they are counted.
    const NAMES: [&str; 5] = ["few_codes", "copying", "does_not_fit", "unsupported", "failed"];

    /// The same for builds; none where a build has no such reason.
    const OF_BUILDS: [Option<&str>; 5] =
        [Some("few_rows"), None, Some("does_not_fit"), Some("unsupported"), Some("failed")];

    fn index(&self) -> usize {
        match self {
            Self::Few => 0,
            Self::Copying => 1,
            Self::DoesNotFit(_) => 2,
            Self::Unsupported(_) => 3,
            Self::Failed(_) => 4,
        }
    }
}

impl fmt::Display for WhyHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Few => f.write_str("too few codes for the device"),
            Self::Copying => f.write_str("codes are being copied to the device"),
            Self::DoesNotFit(error) | Self::Unsupported(error) | Self::Failed(error) => {
                f.write_str(error)
            }
        }
    }
}

impl ScannedBy {
    /// Says it, for people.
    pub fn describe(&self, device: &Device) -> String {
        match self {
            Self::Device => device.name().to_owned(),
            Self::Host(why) => host(why),
        }
    }
}

/// Says that the CPU scanned something, and why.
pub(crate) fn host(why: &dyn fmt::Display) -> String {
    format!("the CPU: {why}")
}

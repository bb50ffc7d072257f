//! What a device did for an encoder.

use std::fmt;

/// What a device that was asked for did for an encoder, and what the CPU did in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceReport {
    /// The device.
    pub device: String,
    /// Batches of texts that it ran.
    pub device_batches: u64,
    /// Batches that the CPU ran, since the device did not.
    pub cpu_batches: u64,
    /// Why the CPU runs every batch from now on, if it does.
    pub why_cpu: Option<String>,
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, cpu_batches, .. } = self;
        match &self.why_cpu {
            Some(why) => write!(f, "the CPU and not {device}: {why}"),
            None if *cpu_batches > 0 => write!(f, "{device}, and {cpu_batches} batches on the CPU"),
            None => f.write_str(device),
        }
    }
}

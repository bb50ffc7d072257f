//! What scans codes: a GPU that the caller asks for, or this CPU.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use bigrain_engine::{DeviceChoice, Engine, EngineConfig, ScanDevice};
use bigrain_gpu::{Backend, Cuda, GpuScanner, KernelCache, devices, open};

use crate::session::cache_dir;

/// The folder of compiled kernels, below the cache folder.
const KERNELS: &str = "kernels";

/// What the caller asked for, and the device once it was opened.
#[derive(Debug, Default)]
pub struct Device {
    asked: Option<DeviceChoice>,
    opened: OnceCell<Option<ScanDevice>>,
}

impl Device {
    /// Nothing is opened before an engine is.
    #[must_use]
    pub fn new(asked: Option<DeviceChoice>) -> Self {
        Self { asked, opened: OnceCell::new() }
    }

    /// Names the device that scans codes; nothing is the CPU, or that no engine was opened yet.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.opened.get()?.as_ref().map(ScanDevice::name)
    }

    /// Opens a data folder with the device that the caller asked for, or else `unless_asked`.
    ///
    /// # Errors
    ///
    /// When a GPU was asked for by its number and is missing, or the engine refuses the folder.
    pub(crate) fn open_engine(
        &self,
        unless_asked: DeviceChoice,
        folder: &Path,
        config: EngineConfig,
    ) -> anyhow::Result<Engine> {
        Ok(match self.scanner(self.asked.unwrap_or(unless_asked))? {
            Some(device) => Engine::open_with_device(folder, config, device)?,
            None => Engine::open(folder, config)?,
        })
    }

    /// Opens the GPU that the caller asked for, or else `unless_asked`, for who uses it without an engine; nothing is the
    /// CPU.
    ///
    /// # Errors
    ///
    /// When a GPU was asked for by its number and is missing.
    pub(crate) fn gpu(
        &self,
        unless_asked: DeviceChoice,
    ) -> anyhow::Result<Option<Arc<dyn Backend>>> {
        let gpu = open_gpu(self.asked.unwrap_or(unless_asked))?;
        Ok(gpu.map(|gpu| -> Arc<dyn Backend> { gpu }))
    }

    /// Opens the device, the first time that it is wanted.
    fn scanner(&self, choice: DeviceChoice) -> anyhow::Result<Option<ScanDevice>> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened.clone());
        }
        let opened = open_scanner(choice)?;
        Ok(self.opened.get_or_init(|| opened).clone())
    }
}

fn open_scanner(choice: DeviceChoice) -> anyhow::Result<Option<ScanDevice>> {
    let Some(device) = open_gpu(choice)? else { return Ok(None) };
    let device = ScanDevice::new(Arc::new(GpuScanner::new(device)));
    tracing::info!(device = device.name(), "a GPU scans codes");
    Ok(Some(device))
}

/// Opens a GPU, or says that there is none where that is no error.
fn open_gpu(choice: DeviceChoice) -> anyhow::Result<Option<Arc<Cuda>>> {
    if choice == DeviceChoice::Cpu {
        return Ok(None);
    }
    // Without a cache folder each process compiles kernels anew.
    let cache = cache_dir()
        .map_or(KernelCache::none(), |folder| KernelCache::in_folder(folder.join(KERNELS)));
    let device = open(choice, cache)?;
    if device.is_none() {
        let missing = devices().err().map(|error| error.to_string()).unwrap_or_default();
        tracing::warn!(device = %choice, missing, "there is no GPU, the CPU scans codes");
    }
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_with(device: Option<DeviceChoice>, settings: DeviceChoice) -> anyhow::Result<Engine> {
        let folder = tempfile::tempdir().unwrap();
        Device::new(device).open_engine(settings, folder.path(), EngineConfig::default())
    }

    #[test]
    fn a_gpu_that_is_missing_is_an_error_and_what_the_caller_says_goes_over_settings() {
        // Number 10,000 is missing on every machine, with a driver or without.
        let missing = DeviceChoice::Cuda(10_000);
        for (flag, settings) in [(Some(missing), DeviceChoice::Cpu), (None, missing)] {
            let error = open_with(flag, settings).unwrap_err().to_string();
            assert!(error.starts_with("no GPU can be used: "), "{error}");
        }
        open_with(Some(DeviceChoice::Cpu), missing).unwrap();
        open_with(None, DeviceChoice::Cpu).unwrap();
    }
}

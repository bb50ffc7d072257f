//! What scans codes and runs models: a GPU that the caller asks for, or this CPU.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use bigrain_encoders::{EncoderDevice, Runtime};
use bigrain_engine::{DeviceChoice, Engine, EngineConfig, ScanDevice};
use bigrain_gpu::{Backend, Cuda, GpuError, GpuScanner, KernelCache, devices, open};

use crate::gpu_encoder::GpuEncoder;
use crate::session::cache_dir;

/// The folder of compiled kernels, below the cache folder.
const KERNELS: &str = "kernels";

/// What the caller asked for, and the device once it was opened; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Device {
    asked: Option<DeviceChoice>,
    opened: Arc<Opened>,
}

/// Nothing is there before it was wanted, and no GPU if the CPU does it.
#[derive(Debug, Default)]
struct Opened {
    gpu: OnceLock<Option<Arc<Cuda>>>,
    scanner: OnceLock<Option<ScanDevice>>,
}

impl Device {
    /// Nothing is opened before an engine or an encoder is.
    #[must_use]
    pub fn new(asked: Option<DeviceChoice>) -> Self {
        Self { asked, opened: Arc::default() }
    }

    /// Names the device that scans codes; nothing is the CPU, or that no engine was opened yet.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.opened.scanner.get()?.as_ref().map(ScanDevice::name)
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

    /// Returns what encoders run on: threads, 0 being one for each core, and the device that the caller asked for, or
    /// else `unless_asked`.
    ///
    /// # Errors
    ///
    /// When a GPU was asked for by its number and it, or what multiplies matrices on it, is missing; when the system
    /// refuses a thread.
    pub(crate) fn runtime(
        &self,
        unless_asked: DeviceChoice,
        threads: usize,
    ) -> anyhow::Result<Runtime> {
        let runtime = Runtime::new(threads)?;
        Ok(match self.encoder(self.asked.unwrap_or(unless_asked))? {
            Some(device) => runtime.with_device(device),
            None => runtime,
        })
    }

    /// Returns the GPU that the caller asked for, or else `unless_asked`, for who uses it without an engine; nothing is the
    /// CPU.
    ///
    /// # Errors
    ///
    /// When a GPU was asked for by its number and is missing.
    pub(crate) fn backend(
        &self,
        unless_asked: DeviceChoice,
    ) -> anyhow::Result<Option<Arc<dyn Backend>>> {
        let gpu = self.gpu(self.asked.unwrap_or(unless_asked))?;
        Ok(gpu.map(|gpu| -> Arc<dyn Backend> { gpu }))
    }

    fn scanner(&self, choice: DeviceChoice) -> anyhow::Result<Option<ScanDevice>> {
        if let Some(opened) = self.opened.scanner.get() {
            return Ok(opened.clone());
        }
        let opened = self.gpu(choice)?.map(|gpu| ScanDevice::new(Arc::new(GpuScanner::new(gpu))));
        if let Some(device) = &opened {
            tracing::info!(device = device.name(), "a GPU scans codes");
        }
        Ok(self.opened.scanner.get_or_init(|| opened).clone())
    }

    fn encoder(&self, choice: DeviceChoice) -> anyhow::Result<Option<Arc<dyn EncoderDevice>>> {
        let Some(gpu) = self.gpu(choice)? else { return Ok(None) };
        match gpu.check_products() {
            Err(GpuError::Unavailable(missing)) if choice == DeviceChoice::Auto => {
                tracing::warn!(device = %choice, missing, "the CPU encodes");
                Ok(None)
            }
            checked => {
                checked?;
                Ok(Some(Arc::new(GpuEncoder::new(gpu))))
            }
        }
    }

    /// Opens the device, the first time that it is wanted.
    fn gpu(&self, choice: DeviceChoice) -> anyhow::Result<Option<Arc<Cuda>>> {
        if let Some(opened) = self.opened.gpu.get() {
            return Ok(opened.clone());
        }
        let opened = open_gpu(choice)?;
        Ok(self.opened.gpu.get_or_init(|| opened).clone())
    }
}

fn open_gpu(choice: DeviceChoice) -> anyhow::Result<Option<Arc<Cuda>>> {
    if choice == DeviceChoice::Cpu {
        return Ok(None);
    }
    // Without a cache folder each process compiles kernels anew.
    let cache = cache_dir()
        .map_or(KernelCache::none(), |folder| KernelCache::in_folder(folder.join(KERNELS)));
    let opened = open(choice, cache)?;
    if opened.is_none() {
        let missing = devices().err().map(|error| error.to_string()).unwrap_or_default();
        tracing::warn!(device = %choice, missing, "there is no GPU, the CPU scans codes and encodes");
    }
    Ok(opened)
}

/// What encoders run on, before any is opened.
#[derive(Clone, Debug, Default)]
pub struct EncodeOn {
    threads: usize,
    device: Device,
}

impl EncodeOn {
    /// So many threads, 0 being one for each core, and the device that the caller asked for.
    #[must_use]
    pub fn new(threads: usize, device: &Device) -> Self {
        Self { threads, device: device.clone() }
    }

    /// Starts the threads, and opens the device the first time that it is wanted.
    ///
    /// # Errors
    ///
    /// When a GPU was asked for by its number and it, or what multiplies matrices on it, is missing; when the system
    /// refuses a thread.
    pub fn runtime(&self) -> anyhow::Result<Runtime> {
        self.device.runtime(DeviceChoice::Cpu, self.threads)
    }
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
            let error = Device::new(flag).runtime(settings, 1).unwrap_err().to_string();
            assert!(error.starts_with("no GPU can be used: "), "{error}");
        }
        Device::new(Some(DeviceChoice::Cpu)).runtime(missing, 1).unwrap();
        assert!(EncodeOn::new(1, &Device::new(Some(missing))).runtime().is_err());
        open_with(Some(DeviceChoice::Cpu), missing).unwrap();
        open_with(None, DeviceChoice::Cpu).unwrap();
    }
}

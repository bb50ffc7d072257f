//! A model on a device, until that fails.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bigrain_types::DeviceError;

use super::{DeviceBatch, DeviceBert, DeviceModel, DeviceReport, EncoderDevice};
use crate::batch::PackedBatch;

/// A model that was to run on a device, and how that goes.
///
/// A batch that does not fit is the CPU's, and the next one is tried again. After any other failure nothing is asked of
/// the device any more: what failed once may answer wrongly the next time.
#[derive(Debug)]
pub(crate) struct OnDevice {
    name: String,
    /// Nothing if the device did not take the model.
    model: Option<Box<dyn DeviceModel>>,
    hidden: usize,
    why_cpu: OnceLock<String>,
    device_batches: AtomicU64,
    cpu_batches: AtomicU64,
}

impl OnDevice {
    /// Copies a model to a device, or says why not.
    pub(crate) fn load(device: &dyn EncoderDevice, model: &DeviceBert<'_>) -> Self {
        match device.load(model) {
            Ok(loaded) => {
                let on_device = Self::with(device, Some(loaded), model.hidden);
                tracing::info!(device = on_device.name, "a model runs on a device");
                on_device
            }
            Err(error) => Self::refused(device, &error.to_string()),
        }
    }

    /// A model that the device does not run, with the reason.
    pub(crate) fn refused(device: &dyn EncoderDevice, why: &str) -> Self {
        let on_device = Self::with(device, None, 0);
        on_device.leave_to_cpu(why);
        on_device
    }

    fn with(
        device: &dyn EncoderDevice,
        model: Option<Box<dyn DeviceModel>>,
        hidden: usize,
    ) -> Self {
        let [device_batches, cpu_batches] = [(); 2].map(|()| AtomicU64::new(0));
        let (name, why_cpu) = (device.name(), OnceLock::new());
        Self { name, model, hidden, why_cpu, device_batches, cpu_batches }
    }

    /// Whether batches are tried on the device.
    pub(crate) fn is_working(&self) -> bool {
        self.why_cpu.get().is_none()
    }

    /// Returns the rows of a batch, or nothing where the CPU is to run it.
    pub(crate) fn rows(&self, batch: &PackedBatch) -> Option<Vec<f32>> {
        let rows = self.model.as_ref().filter(|_| self.is_working()).and_then(|model| {
            let (ids, types, bounds) = (batch.ids(), batch.types(), batch.bounds());
            let rows = model.rows(&DeviceBatch { ids, types, bounds });
            match rows.and_then(|rows| self.check(rows, batch.tokens())) {
                Ok(rows) => Some(rows),
                Err(error @ DeviceError::DoesNotFit { .. }) => {
                    let (device, tokens) = (&self.name, batch.tokens());
                    tracing::warn!(device, tokens, %error, "the CPU encodes a batch of texts");
                    None
                }
                Err(error) => {
                    self.leave_to_cpu(&error.to_string());
                    None
                }
            }
        });
        let count = if rows.is_some() { &self.device_batches } else { &self.cpu_batches };
        count.fetch_add(1, Ordering::Relaxed);
        rows
    }

    /// Refuses what cannot be the rows of so many tokens.
    fn check(&self, rows: Vec<f32>, tokens: usize) -> Result<Vec<f32>, DeviceError> {
        let expected = tokens * self.hidden;
        if rows.len() != expected {
            let reason = format!("it answered {} numbers, expected {expected}", rows.len());
            return Err(DeviceError::Failed(reason.into()));
        }
        if rows.iter().any(|value| !value.is_finite()) {
            let reason = "rows are not finite, so the model goes beyond 16 bits".to_owned();
            return Err(DeviceError::Unsupported(reason));
        }
        Ok(rows)
    }

    fn leave_to_cpu(&self, why: &str) {
        // Others may have failed at the same time; the first has the word.
        if self.why_cpu.set(why.to_owned()).is_ok() {
            tracing::warn!(device = self.name, why, "the CPU encodes texts from now on");
        }
    }

    /// Says what was done where.
    pub(crate) fn report(&self) -> DeviceReport {
        DeviceReport {
            device: self.name.clone(),
            device_batches: self.device_batches.load(Ordering::Relaxed),
            cpu_batches: self.cpu_batches.load(Ordering::Relaxed),
            why_cpu: self.why_cpu.get().cloned(),
        }
    }
}

//! A model on a device, until that fails.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bigrain_types::DeviceError;

use super::{DeviceBatch, DeviceBert, DeviceModel, DeviceReport, EncoderDevice};
use crate::batch::PackedBatch;

/// A model that was to run on a device, and how that goes.
///
/// A batch that does not fit is the CPU's, and the next one is tried again. After any other failure nothing is asked of
/// the device any more: what failed once may answer wrongly the next time.
pub(crate) struct OnDevice<M: ?Sized> {
    name: String,
    /// Nothing if the device did not take the model.
    model: Option<Box<M>>,
    hidden: usize,
    why_cpu: OnceLock<String>,
    device_batches: AtomicU64,
    cpu_batches: AtomicU64,
}

impl OnDevice<dyn DeviceModel> {
    /// Copies a model of BERT's family to a device, or says why not.
    pub(crate) fn load(device: &dyn EncoderDevice, model: &DeviceBert<'_>) -> Self {
        Self::new(device, device.load(model), model.hidden)
    }

    /// Returns the rows of a batch, or nothing where the CPU is to run it.
    pub(crate) fn rows(&self, batch: &PackedBatch) -> Option<Vec<f32>> {
        let (ids, types, bounds) = (batch.ids(), batch.types(), batch.bounds());
        let tokens = batch.tokens();
        self.answer(tokens, tokens, |model| model.rows(&DeviceBatch { ids, types, bounds }))
    }
}

impl<M: ?Sized> OnDevice<M> {
    /// A model whose rows have `hidden` values, that the device took, or why it did not.
    pub(crate) fn new(
        device: &dyn EncoderDevice,
        loaded: Result<Box<M>, DeviceError>,
        hidden: usize,
    ) -> Self {
        match loaded {
            Ok(model) => {
                let on_device = Self::with(device, Some(model), hidden);
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

    fn with(device: &dyn EncoderDevice, model: Option<Box<M>>, hidden: usize) -> Self {
        let [device_batches, cpu_batches] = [(); 2].map(|()| AtomicU64::new(0));
        let (name, why_cpu) = (device.name(), OnceLock::new());
        Self { name, model, hidden, why_cpu, device_batches, cpu_batches }
    }

    /// Whether batches are tried on the device.
    pub(crate) fn is_working(&self) -> bool {
        self.why_cpu.get().is_none()
    }

    /// The model, while batches are tried on the device.
    fn working(&self) -> Option<&M> {
        self.model.as_deref().filter(|_| self.is_working())
    }

    /// Does something before the first batch; what fails here, for whatever reason, leaves the model to the CPU.
    pub(crate) fn check(&self, work: impl FnOnce(&M) -> Result<(), DeviceError>) {
        if let Some(Err(error)) = self.working().map(work) {
            self.leave_to_cpu(&error.to_string());
        }
    }

    /// Returns the `rows` rows that the device gives for a batch of so many tokens, or nothing where the CPU is to run it.
    pub(crate) fn answer(
        &self,
        tokens: usize,
        rows: usize,
        run: impl FnOnce(&M) -> Result<Vec<f32>, DeviceError>,
    ) -> Option<Vec<f32>> {
        let answer = self.working().and_then(|model| {
            match run(model).and_then(|answer| self.check_rows(answer, rows)) {
                Ok(answer) => Some(answer),
                Err(error @ DeviceError::DoesNotFit { .. }) => {
                    let device = &self.name;
                    tracing::warn!(device, tokens, %error, "the CPU encodes a batch of texts");
                    None
                }
                Err(error) => {
                    self.leave_to_cpu(&error.to_string());
                    None
                }
            }
        });
        let count = if answer.is_some() { &self.device_batches } else { &self.cpu_batches };
        count.fetch_add(1, Ordering::Relaxed);
        answer
    }

    /// Refuses what cannot be so many rows.
    fn check_rows(&self, answer: Vec<f32>, rows: usize) -> Result<Vec<f32>, DeviceError> {
        let expected = rows * self.hidden;
        if answer.len() != expected {
            let reason = format!("it answered {} numbers, expected {expected}", answer.len());
            return Err(DeviceError::Failed(reason.into()));
        }
        if answer.iter().any(|value| !value.is_finite()) {
            let reason = "rows are not finite, so the model goes beyond 16 bits".to_owned();
            return Err(DeviceError::Unsupported(reason));
        }
        Ok(answer)
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

impl<M: ?Sized> fmt::Debug for OnDevice<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDevice").field("report", &self.report()).finish_non_exhaustive()
    }
}

//! Models that run elsewhere than on this CPU.
//!
//! Whoever starts the process may put an [`EncoderDevice`] into the [`Runtime`](crate::Runtime) that encoders are opened
//! with. A model that it takes is there beside the one of the CPU, which does what the device does not: where it is
//! full, has failed, or cannot run such a model. None of that is silent: it is logged, and a [`DeviceReport`] counts it.

mod encoder_device;
mod m2_bert;
mod on_device;
mod report;

pub use encoder_device::{DeviceActivation, DeviceBatch, DeviceBert, DeviceModel, EncoderDevice};
pub use m2_bert::{DeviceFilters, DeviceM2Bert, DeviceM2BertModel, DevicePaddedTexts, DeviceRows};
pub(crate) use on_device::OnDevice;
pub use report::DeviceReport;

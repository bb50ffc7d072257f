//! Scans of codes, selection, verification and text models (BERT's family, M2-BERT) on a CUDA GPU.
//!
//! ```text
//!  DeviceChoice ──> probe ──> Cuda ─────┐
//!                                       ├─ Backend ──> GpuScanner ──> LoadedCodes ──> rows with their integer scores
//!  (in tests)            Emulated ──────┘         ├──> GpuCentroids ──> the nearest list of each row
//!                                                 ├──> GpuBert, GpuM2Bert ──> rows of tokens
//!                                                 ├──> GpuRecurrent ──> learned codes
//!                                                 └──> BatchScan, rotate_rows, quantize_rows, verify_rows, max_sim
//! ```
//!
//! The crate builds and loads where there is no CUDA: the driver and NVRTC are looked for when a device is opened, and
//! what is missing is named ([`GpuError::Unavailable`]); so is cuBLASLt when a matrix is multiplied ([`Product`]). Kernels are CUDA C (`kernels/`), compiled for the device at
//! hand and kept on disk ([`KernelCache`]).
//!
//! Integer scores equal those of [`bigrain_kernels::scan`] bit for bit. Which rows a scan returns is decided by bounds
//! that are computed by the CPU's operations one by one, so a search finds the same with and without a GPU.
//!
//! Everything above [`Backend`] runs unchanged on a host that emulates the kernels from their source
//! (`gpu/emulation`); that is how it is tested on machines without a GPU.

mod args;
mod backend;
mod batch;
mod bert;
mod buffer;
mod cache;
mod codes;
mod compile;
mod cublas;
mod cuda;
mod encode;
mod error;
mod host_memory;
mod kernel;
mod lists;
mod long_conv;
mod m2_bert;
mod probe;
mod product;
mod recurrent;
mod scan;
mod scanner;
mod staging;
mod start;
mod stream;
mod verify;
mod weights;

pub use bigrain_types::{DeviceChoice, UnknownDevice};

pub use args::Arg;
pub use backend::{Backend, Launch};
pub use batch::{BatchQuery, BatchScan, MAX_BATCH_WIDTH};
pub use bert::{BertActivation, BertBatch, BertShape, GpuBert};
pub use buffer::DeviceBuffer;
pub use cache::KernelCache;
pub use codes::GpuCodes;
pub use compile::{Architecture, compile};
pub use cuda::Cuda;
pub use encode::{Quantized, quantize_rows, rotate_rows};
pub use error::GpuError;
pub use host_memory::{HostMemory, Transfer};
pub use kernel::{CodeShape, Kernel, SOURCE};
pub use lists::GpuCentroids;
pub use long_conv::{LongConvPlan, long_convolutions};
pub use m2_bert::{GpuM2Bert, M2BertBatch, M2BertRows, M2BertShape};
pub use probe::{DeviceInfo, devices, open};
pub use product::{Matrix, Product};
pub use recurrent::{GpuRecurrent, RecurrentCodes};
pub use scanner::GpuScanner;
pub use staging::Staging;
pub use stream::{Event, Stream};
pub use verify::{DenseRows, Shortlists, max_sim, verify_rows};

//! Lists: rows that lie near each other, so that a search scans a few of them instead of all codes.
//!
//! A segment's rows are in *list order*: every list is a contiguous range of offsets. The codes of a
//! list are codes about its centroid.
//!
//! ```text
//!  lists.<field>
//! ┌──────────────────────────────┬───────────────────┬──────────────────────┬───────────────────┐
//! │ header, padded to 4096       │ starts            │ calibration          │ centroids         │
//! │ rows u32, lists u32,         │ (lists + 1) × u32 │ entries × (recall    │ lists × code dims │
//! │ code dims u32, entries u32,  │                   │ f32, limit u32,      │ × f32, rotated    │
//! │ code space 16 B              │                   │ probes u32, eps f32) │                   │
//! └──────────────────────────────┴───────────────────┴──────────────────────┴───────────────────┘
//! ```
//!
//! Sections begin at multiples of 4096. Centroids are read where they lie; their codes, by which they
//! are found, are a file of their own (`centroids.<field>`, see [`codes`](crate::codes)).

mod calibrate;
mod calibration;
mod centroids;
mod file;
mod kmeans;
mod layout;
mod on_device;

pub(crate) use calibrate::{Measured, probe_bytes, together};
pub use calibration::{Calibration, Effort, TargetEfforts};
pub use centroids::{Centroids, Nearness, OwnedCentroids, Probe};
pub use file::{ListsReader, ResidentLists, write};
pub use kmeans::{KMeans, NearestCentroid, pick, train};
pub use layout::{ListLayout, default_lists};
pub(crate) use on_device::LoadedLists;
pub use on_device::{DeviceLists, stage_bytes};

//! One file for each service of `bigrain.v1`: convert, call, convert.
//!
//! Adding a request: the method and its messages in `proto/`, their conversion in `convert/`,
//! and here a handler of three steps. What it computes or reads goes into the closure it gives to
//! a lane of the runtime.

mod answers;
mod collections;
mod context;
mod download;
mod encode;
mod encoded_points;
mod groups;
mod hybrid;
mod maintenance;
mod points;
mod search;
mod upsert_stream;

pub(crate) use collections::CollectionsService;
pub(crate) use context::{Context, Parts};
pub(crate) use encode::EncoderService;
pub(crate) use maintenance::MaintenanceService;
pub(crate) use points::PointsService;
pub(crate) use search::SearchService;

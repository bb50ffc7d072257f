//! The only place where the messages of `bigrain.v1` meet the engine's types.
//!
//! Requests are checked here as far as their shape goes (an id is missing, a metric is unknown);
//! what a collection accepts is the engine's to say. Messages of refusal name the field.
//!
//! | file | holds |
//! |---|---|
//! | `ids.rs` | ids of points |
//! | `points.rs` | points to store, what must hold for that, and points as they are stored |
//! | `fields.rs` | vector fields, text fields, and the configuration they make up |
//! | `collections.rs` | descriptions of collections |
//! | `searching.rs` | how to search, what for, and what was found |
//! | `answers.rs` | facets, orders, groups, examples, and the outcomes of a batch |
//! | `encoding.rs` | models, and embeddings |
//! | `maintenance.rs` | backups, and what a check found |

use std::fmt::Display;
use std::time::Duration;

use tonic::Status;

mod answers;
mod collections;
mod encoding;
mod fields;
mod ids;
mod maintenance;
mod points;
mod searching;

pub(crate) use answers::{
    examples, facet_query, facet_reply, group_by, groups_reply, order_by, recommend_strategy,
    search_outcome,
};
pub(crate) use collections::{collection_description, collection_info, hybrid_fit};
pub(crate) use encoding::{encode_reply, model_info, text_kind};
pub(crate) use fields::{
    field_config, field_messages, multi_field, space, sparse_field, sparse_fields, text_field,
};
pub(crate) use ids::{id_message, point_id, point_ids};
pub(crate) use maintenance::{backed_up, backup, check_report};
pub(crate) use points::{
    Parts, batch_error, conditions, payload_update, points, stored_point, update_reply,
    upsert_reply,
};
pub(crate) use searching::{
    filter, multi_query, query, search_params, search_reply, sparse_query, with_payload,
};

pub(super) fn invalid(error: impl Display) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Names the position that a refusal is about.
pub(crate) fn at(field: &str, position: usize, status: &Status) -> Status {
    Status::new(status.code(), format!("{field}[{position}]: {}", status.message()))
}

/// Returns whole microseconds, saturating after half a million years.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Writes a count that is bounded far below 32 bits, such as dimensions.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

//! Messages of the Qdrant protocol become values of the engine, and the other way round.
//!
//! No call is made here, and nothing is decided but what a message means.

mod answers;
mod fields;
mod filter;
mod ids;
mod moment;
mod params;
mod payload;
mod vectors;

pub(super) use answers::{Parts, group_id, order_value, retrieved, scored, stored_vector};
pub(super) use fields::NewField;
pub(super) use fields::{
    collection_config, dense_vector_config, description, sparse_vector_config,
};
pub(super) use filter::{filter, has_ids, optional_filter};
pub(super) use ids::{id_message, point_id, point_ids};
pub(super) use moment::moment_of;
pub(super) use params::{Ordering, order_by, refuse_shard_keys, search_params};
pub(super) use payload::{json_value, payload, payload_message, value_message};
pub(super) use vectors::{AnyVector, Example, input_of, of_input, point_vectors, vector_names};

//! The REST protocol: routes, JSON to messages, the same calls as over gRPC, answers to JSON.
//!
//! | file | what |
//! | --- | --- |
//! | `members` | reading JSON, with errors that say where |
//! | `read_*` | bodies of requests |
//! | `write` | results of answers |
//! | `handle` | one request from body to answer |

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "JSON has six kinds of values, and will have no more"
)]

mod handle;
mod members;
mod read_collections;
mod read_filter;
mod read_points;
mod read_query;
mod routes;
mod write;

pub(crate) use routes::router;

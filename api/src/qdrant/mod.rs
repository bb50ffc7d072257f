//! The Qdrant protocol, so that its clients and the frameworks that use them work unmodified.
//!
//! ```text
//!  gRPC ── grpc/ ─────────────┐
//!                             ├── messages ── calls/ ── convert/ ── engine
//!  REST ── rest/ ── read_* ───┘              (one function a call)
//! ```
//!
//! Both transports meet in the messages of the published protocol (crate `qdrant-client`, whose generated server
//! traits `grpc/` implements): `rest/` turns JSON into the same messages and answers back into JSON, so that
//! what a call means is written once, in `calls/`, over the same engine calls as `bigrain.v1`.
//!
//! Three things hold everywhere:
//!
//! - What has no counterpart here is refused by name ([`error::unsupported`]), never passed over. Settings
//!   that say how fast, and not what, are accepted: docs/qdrant.md lists them.
//! - String ids are accepted where Qdrant takes UUIDs only.
//! - The unnamed vector is the field `vector` ([`names`]).
//!
//! # Adding a call
//!
//! 1. What it does: a function in `calls/`.
//! 2. A method in `grpc/`.
//! 3. A route in `rest/`, a reader in `rest/read_*`, a writer in `rest/write`.
//! 4. What it needs, in `needs`: what is not there takes a key that writes.
//! 5. A row in docs/qdrant.md.

mod calls;
mod convert;
mod error;
mod grpc;
mod names;
mod needs;
mod rest;
mod service;

pub(crate) use grpc::add_services;
pub(crate) use needs::calls;
pub(crate) use rest::router as rest_router;

/// The version of the protocol that is spoken, for clients that compare it with their own.
const PROTOCOL_VERSION: &str = "1.20.0";
/// What the server calls itself. Clients look for this title.
const TITLE: &str = "qdrant - vector search engine";

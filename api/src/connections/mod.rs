//! Connections: how they are accepted, secured, watched and ended.
//!
//! ```text
//!  port ── accept ─┬─ max_connections ── TLS ── HTTP/1.1 | HTTP/2 ── the service of all ports
//!                  └─ beyond it ──────── TLS ── HTTP/1.1 | HTTP/2 ── one answer that says so
//! ```
//!
//! Whoever connects holds a file descriptor, a task and some buffers, so that each step has its time:
//!
//! | step | its time |
//! | --- | --- |
//! | the handshake of TLS, and over HTTP/1.1 the head of the next request | `header_timeout_seconds` |
//! | the body of a request | `body_timeout_seconds`, and more for what has come ([`timed_body`]) |
//! | no request at work, and nothing of a reply taken | `idle_timeout_seconds` ([`activity`]) |
//!
//! The work of a request is bounded by its own deadline, and a stream may wait for its client as long as that answers
//! the pings of HTTP/2.

mod activity;
mod connection;
mod ports;
mod timed_body;
mod tls;

pub(crate) use ports::{Hub, Ports};
pub(crate) use tls::Tls;
pub use tls::{TlsError, TlsFiles};

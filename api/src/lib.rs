//! The service: gRPC `bigrain.v1`, and over HTTP health, metrics and embeddings. Requests in, engine calls,
//! answers out.
//!
//! ```text
//!  connection ── TLS, limits, timeouts: connections/
//!
//!  request ── RequestScope ── access ── grpc::* | http::* ── convert ── runtime lane ── engine | model
//!             id, deadline    one file    proto to   permit, then     blocking
//!             span            a service   engine     a blocking       threads
//!                                         types      thread
//! ```
//!
//! Three things hold everywhere:
//!
//! - `convert/` alone turns messages into engine types and back; `status.rs` alone turns errors
//!   into gRPC codes.
//! - An async handler never computes or reads: it hands a closure to a lane of `runtime.rs`, which
//!   bounds how many run at once and stops them when their request goes away.
//! - A limit that is reached is an error that names its setting.
//!
//! [`Settings`] is what a user wrote, in a file, the environment and flags ([`Settings::read`]), [`Config`] what the server runs with:
//!
//! ```no_run
//! use bigrain_api::{ModelRegistry, Server, Settings};
//! use bigrain_engine::{Engine, EngineConfig};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Settings::default().into_config()?;
//! let engine = Engine::open("data", EngineConfig::default())?;
//! let server = Server::bind(config, engine, ModelRegistry::new()).await?;
//! println!("listening on {}", server.local_addr());
//! server.serve(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await?;
//! # Ok(())
//! # }
//! ```

mod access;
mod backups;
mod connections;
mod convert;
mod dialect;
mod grpc;
mod http;
mod layers;
mod metrics;
mod models;
pub mod proto;
mod qdrant;
mod recall;
mod request_scope;
mod reranker;
mod runtime;
mod server;
mod settings;
mod status;
mod traces;

pub use access::{KeyAccess, KeySettings, Secret};
pub use connections::{TlsError, TlsFiles};
pub use layers::{ReadSettingsError, Sources};
pub use models::{ModelError, ModelRegistry};
pub use server::{ServeError, Server};
pub use settings::{
    Config, ConnectionLimits, DEFAULT_PORT, Limits, QDRANT_PORTS, Settings, SettingsError,
    TlsSettings, TraceConfig, TraceSettings,
};
pub use traces::TraceError;

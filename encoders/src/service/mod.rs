//! Many callers, one encoder: a bounded queue that is cut into batches.
//!
//! ```text
//!            full: QueueFull, with a hint when to try again
//!  submit ──┬───────────────────────────────────────────────────────────────────────────
//!           │   ┌ query lane  [q][q]            ┐   cut by tokens, and by how    worker ── encode
//!           ├──▶│                               ├── long the oldest has    ──▶ worker ── encode
//!           │   └ bulk lane   [doc 900][doc 30] ┘   waited; queries first
//!           │
//!           └── texts that the cache has are answered at once
//! ```
//!
//! - A large request is taken in pieces, so that others get their turn between them.
//! - Of several workers one is kept from bulk work, so that a query waits for no bulk batch to end.
//! - A [`Ticket`] is waited for by a thread, or awaited as a future; one that is dropped takes its
//!   request out of the queue.
//! - The size of a text is estimated from its bytes, since it is not tokenized before its turn.
//!
//! An encoder gives a text the same embedding in any batch, so neither batching nor the cache can be seen
//! in an answer.

mod cache;
mod config;
mod encoder_service;
mod error;
mod queue;
mod request;
mod stats;
mod ticket;

pub use cache::EmbeddingCache;
pub use config::{Lane, ServiceConfig};
pub use encoder_service::EncoderService;
pub use error::{QueueFull, ServiceError, StartServiceError};
pub use stats::ServiceStats;
pub use ticket::Ticket;

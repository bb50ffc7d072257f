//! What a lexical index answers, against the meaning of filters, and what it does with bad bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "everything here is a test or a part of one"
)]

mod damage;
mod data;
mod differential;
mod shape;
mod text;
mod words;

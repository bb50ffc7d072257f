//! Encoders opened from folders: tiny ones kept here, and the real model where there is one.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod folders;
mod m2_bert;
mod minilm;
mod quantized;
mod support;

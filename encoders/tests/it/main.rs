//! Encoders opened from folders: tiny ones kept here, and real models where there are any.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod class_names;
mod clip;
mod cross;
mod device;
mod families;
mod files;
mod folders;
mod inspect;
mod m2_bert;
mod minilm;
mod q4;
mod quantized;
mod support;

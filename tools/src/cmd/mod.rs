//! The subcommands, a file each.
//!
//! # Adding a command
//!
//! 1. A file here: an `...Args` struct for clap, and `run(&Args, &mut Session)` that writes its
//!    results to `session.out`.
//! 2. A line in `main.rs`.
//! 3. A test of its output in `tests/commands.rs`.

pub mod answer_flags;
pub mod backup;
pub mod bench;
pub mod bprop;
pub mod build;
mod build_code;
mod build_pictures;
mod built;
pub mod check;
pub mod compact;
pub mod delete;
pub mod demo;
mod demo_pictures;
pub mod encode;
pub mod eval;
pub mod export;
pub mod facet;
pub mod field_spec;
pub mod flags;
pub mod gpu;
pub mod health;
pub mod hybrid_flags;
pub mod import;
pub mod inspect;
pub mod model;
pub mod pictures;
pub mod point_flags;
pub mod quantize;
mod quantize_clip;
pub mod recommend;
pub mod rerank_flags;
pub mod restore;
pub mod scroll;
pub mod search;
pub mod serve;
pub mod split_flags;
pub mod train;
pub mod tune;
pub mod update;
pub mod upgrade;
pub mod verify;

//! The parts of the program `bigrain`, as a library so that tests can call them.
//!
//! | module | is |
//! |---|---|
//! | [`cmd`] | the subcommands, a file each |
//! | [`input`] | files of rows become records |
//! | [`ingest`] | records become points: read, encode, write, side by side |
//! | [`exchange`] | points become files that others read |
//! | [`model`], [`session`], [`device`] | what a command works with |
//! | [`curve`], [`truth`] | recall against speed, and what decides it |
//! | [`matrix`], [`machine`], [`plot`] | vectors in memory, what figures were measured on, pictures of them |
//! | [`beir`], [`ranking`] | retrieval test collections, and how a ranked list is measured |
//! | [`fusing`] | how results of vectors and words are fused best |
//! | [`learning`] | binarizers that are learned, and whether that was worth it |
//! | [`sampling`], [`queries`] | some stored points; texts that are asked, as vectors |
//! | [`code`] | code of a folder: found, indexed by blocks, made into questions |
//! | [`curation`], [`shuffle`] | a collection as a data set: what is in it twice or does not fit; a random order |
//! | [`pictures`] | pictures of a folder: found with their captions, indexed, shown on a page |
//! | [`functions`], [`rust_sources`] | documented functions in Rust sources |
//! | [`encode_bench`], [`peer`] | tokens a second, beside another program |
//! | [`scan_bench`] | codes a second on a device, beside the CPU |
//! | [`hits`], [`footprint`], [`human`], [`table`], [`progress`] | what people see |
//! | [`failure`], [`interrupt`] | how the program ends |
//! | [`watching`], [`building`] | long work of the engine, shown and stopped; segments that are built |

pub mod beir;
pub mod building;
pub mod cmd;
pub mod code;
pub mod curation;
pub mod curve;
pub mod device;
pub mod encode_bench;
pub mod exchange;
pub mod failure;
pub mod footprint;
pub mod functions;
pub mod fusing;
pub mod gpu_encoder;
pub mod hits;
pub mod human;
pub mod ingest;
pub mod input;
pub mod interrupt;
pub mod learning;
pub mod machine;
pub mod matrix;
pub mod model;
pub mod peer;
pub mod pictures;
pub mod plot;
pub mod progress;
pub mod queries;
pub mod ranking;
pub mod rust_sources;
pub mod sampling;
pub mod scan_bench;
pub mod session;
pub mod shuffle;
mod stored_versions;
pub mod table;
pub mod truth;
pub mod watching;

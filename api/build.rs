//! Compiles `proto/` without `protoc`: protox gives the descriptor set (kept for server
//! reflection), from which tonic generates messages, clients and server traits.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const PROTOS: [&str; 6] = [
    "proto/bigrain/v1/common.proto",
    "proto/bigrain/v1/collections.proto",
    "proto/bigrain/v1/points.proto",
    "proto/bigrain/v1/search.proto",
    "proto/bigrain/v1/encoder.proto",
    "proto/bigrain/v1/maintenance.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("bigrain.v1.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}

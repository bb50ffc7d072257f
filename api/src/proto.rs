//! Messages, clients and server traits generated from `proto/bigrain/v1`.
//!
//! Their documentation is the comments of the `.proto` files. Rust clients use the `*_client`
//! modules; the server's own code meets the messages only in `convert/` and `grpc/`.

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::wildcard_enum_match_arm,
    reason = "generated code"
)]

tonic::include_proto!("bigrain.v1");

/// The encoded descriptor set of the package, for server reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("bigrain.v1");

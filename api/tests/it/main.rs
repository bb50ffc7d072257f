//! The service over a real connection: a server on a port the system picks, a temporary data
//! folder, and the toy encoder.

#![cfg(test)]

mod gated_encoder;
mod support;

mod access;
mod answers;
mod clients;
mod collections;
mod connections;
mod device;
mod encoded_points;
mod encoding;
mod fields;
mod http;
mod http_api;
mod http_clients;
mod hybrid;
mod lifecycle;
mod limits;
mod maintenance;
mod malformed;
mod multi;
mod points;
mod qdrant;
mod qdrant_access;
mod qdrant_clients;
mod rates;
mod recall;
mod rerank;
mod searching;
mod sparse;
mod stream;
mod tls;
mod traces;

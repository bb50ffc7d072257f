//! The gRPC services of the protocol: one file each, over the server traits of the crate `qdrant-client`.

mod collections;
mod points;
mod root;
mod snapshots;

use std::sync::Arc;

use q::collections_server::CollectionsServer;
use q::points_server::PointsServer;
use q::qdrant_server::QdrantServer;
use q::snapshots_server::SnapshotsServer;
use qdrant_client::qdrant as q;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::service::Routes;

use super::service::Service;
use crate::grpc::Context;

/// Adds a service with the limits and compressions that all of ours share.
macro_rules! with_limits {
    ($server:expr, $limit:expr) => {
        $server
            .max_decoding_message_size($limit)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd)
            .send_compressed(Gzip)
            .send_compressed(Zstd)
    };
}

/// Adds the services to those that are there.
pub(crate) fn add_services(routes: Routes, context: &Arc<Context>) -> Routes {
    let limit = context.limits.max_message_bytes;
    let service = || Service(Arc::clone(context));
    let collections = collections::CollectionsService(service());
    let points = points::PointsService(service());
    let snapshots = snapshots::SnapshotsService(service());
    routes
        .add_service(with_limits!(CollectionsServer::new(collections), limit))
        .add_service(with_limits!(PointsServer::new(points), limit))
        .add_service(with_limits!(SnapshotsServer::new(snapshots), limit))
        .add_service(with_limits!(QdrantServer::new(root::RootService), limit))
}

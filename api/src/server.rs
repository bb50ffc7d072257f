//! One router for `bigrain.v1`, health, reflection, the calls of [`http`] and the [Qdrant protocol](qdrant), on every
//! port, and how it stops.
//!
//! A stop has two steps. The signal closes the ports, turns health to NOT_SERVING and lets requests
//! finish; what is not done after `shutdown_timeout` is answered with UNAVAILABLE. A write that was
//! answered is on disk either way.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bigrain_engine::Engine;
use thiserror::Error;
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::codegen::http::Method;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::access::{Calls, Keys, Need, Policy, guard};
use crate::backups::BackupFolder;
use crate::connections::{Hub, Ports, Tls, TlsError};
use crate::grpc::{
    CollectionsService, Context, EncoderService, MaintenanceService, Parts, PointsService,
    SearchService,
};
use crate::metrics::Metrics;
use crate::models::ModelRegistry;
use crate::proto::collections_server::CollectionsServer;
use crate::proto::encoder_server::EncoderServer;
use crate::proto::maintenance_server::MaintenanceServer;
use crate::proto::points_server::PointsServer;
use crate::proto::search_server::SearchServer;
use crate::request_scope::RequestScope;
use crate::runtime::Phase;
use crate::settings::{Config, ConnectionLimits};
use crate::traces::{TraceError, Traces};
use crate::{http, proto, qdrant};

/// Calls of the services that are not ours.
const OTHER_SERVICES: [(Method, &str, Need); 4] = [
    (Method::POST, "/grpc.health.v1.Health/Check", Need::Open),
    (Method::POST, "/grpc.health.v1.Health/Watch", Need::Open),
    (Method::POST, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Need::Read),
    (Method::POST, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Need::Read),
];

/// Calls whose client may take its time between two messages, or waits for ours.
const STREAMS: [&str; 4] = [
    "/bigrain.v1.Points/UpsertStream",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Where backups lie in the data folder, unless told otherwise.
const BACKUPS: &str = "backups";
/// How long connections may take to flush once every request was answered.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// A server that has its ports and does not answer yet.
///
/// Clients may connect as soon as it is bound; they are answered once it serves.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    /// Where clients of Qdrant look for REST and for gRPC: a port, and its address.
    qdrant: [Option<(TcpListener, SocketAddr)>; 2],
    tls: Option<Tls>,
    connections: ConnectionLimits,
    shutdown_timeout: Duration,
    traces: Option<Traces>,
    context: Arc<Context>,
    policy: Arc<Policy>,
}

/// Why a server does not start, or stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The port is taken, or the address is not this machine's.
    #[error("listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Why the system refused.
        source: std::io::Error,
    },
    /// The descriptors of the protocol do not decode: a broken build.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// What calls there are is not clear: a broken build.
    #[error("calls: {0}")]
    Calls(String),
    /// A file of TLS is refused.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Spans cannot be sent.
    #[error(transparent)]
    Traces(#[from] TraceError),
}

impl Server {
    /// Takes the ports of the configuration, and reads the files of TLS. Needs the context of a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ServeError::Bind`] when the port is taken or the address is not this machine's; [`ServeError::Tls`];
    /// [`ServeError::Traces`].
    #[expect(clippy::unused_async, reason = "binding needs a runtime, which async makes visible")]
    pub async fn bind(
        config: Config,
        engine: Engine,
        models: ModelRegistry,
    ) -> Result<Self, ServeError> {
        let bind = |address: SocketAddr| {
            let error = |source| ServeError::Bind { address, source };
            let listener = Ports::bind(address).map_err(error)?;
            let bound = listener.local_addr().map_err(error)?;
            Ok::<_, ServeError>((listener, bound))
        };
        let tls = config.tls.map(Tls::open).transpose()?;
        let (listener, address) = bind(config.listen)?;
        let qdrant_rest = config.qdrant_rest_listen.map(bind).transpose()?;
        let qdrant_grpc = config.qdrant_grpc_listen.map(bind).transpose()?;
        let others = [&qdrant_rest, &qdrant_grpc].into_iter().flatten();
        let addresses = others.map(|(_, address)| *address).chain([address]);
        let is_local = { addresses }.all(|address| address.ip().to_canonical().is_loopback());
        let metrics = Arc::new(Metrics::new());
        let open = |traces| Traces::open(traces, Arc::clone(&metrics));
        let traces = config.traces.as_ref().map(open).transpose()?;
        let backups = config.backups.unwrap_or_else(|| engine.data_dir().join(BACKUPS));
        let backups = BackupFolder::new(backups);
        Ok(Self {
            listener,
            address,
            qdrant: [qdrant_rest, qdrant_grpc],
            tls,
            connections: config.connections,
            shutdown_timeout: config.shutdown_timeout,
            traces,
            policy: policy(config.keys, is_local, &metrics)?,
            context: Arc::new(Context::new(Parts {
                engine,
                models,
                backups,
                pictures: config.pictures,
                limits: config.limits,
                metrics,
                recall_sample: config.recall_sample,
            })),
        })
    }

    /// Returns the address it listens on, with the port that was picked if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns where clients of Qdrant look for REST and for gRPC, besides [`local_addr`](Self::local_addr).
    #[must_use]
    pub fn qdrant_addrs(&self) -> [Option<SocketAddr>; 2] {
        self.qdrant.each_ref().map(|port| port.as_ref().map(|(_, address)| *address))
    }

    /// Answers requests until `shutdown` completes, then drains and returns.
    ///
    /// # Errors
    ///
    /// [`ServeError`] for a broken build.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let traces = self.traces.clone();
        let served = self.answer(shutdown).await;
        if let Some(traces) = traces {
            traces.close().await;
        }
        served
    }

    async fn answer(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let (mut health, health_service) = health().await;
        let routes = RequestScope::new(
            routes(&self.context, health_service, &self.policy)?,
            self.context.limits.max_message_bytes,
            self.traces,
        );
        let metrics = Arc::clone(&self.context.metrics);
        let hub = Hub::new(routes, self.tls, &STREAMS, self.connections, metrics);
        let more = self.qdrant.into_iter().flatten().map(|(listener, _)| listener);
        let ports = Ports::open([self.listener].into_iter().chain(more).collect(), hub);
        tracing::info!(address = %self.address, "listening");

        shutdown.await;
        tracing::info!(timeout = ?self.shutdown_timeout, "shutting down");
        report(&health, ServingStatus::NotServing).await;
        end_watches(&mut health).await;
        ports.close();
        self.context.recall.stop();
        self.context.runtime.enter(Phase::Draining);
        if tokio::time::timeout(self.shutdown_timeout, ports.closed()).await.is_ok() {
            return Ok(());
        }
        tracing::warn!("requests were still at work at the end of the shutdown timeout");
        self.context.runtime.enter(Phase::Aborting);
        // What is left after that are connections that wait for nothing of ours, such as health watches.
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, ports.closed()).await;
        Ok(())
    }
}

/// Builds a service with the limits and compressions that all of ours share.
macro_rules! with_limits {
    ($server:expr, $context:expr) => {
        $server
            .max_decoding_message_size($context.limits.max_message_bytes)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd)
            .send_compressed(Gzip)
            .send_compressed(Zstd)
    };
}

fn routes(
    context: &Arc<Context>,
    health: HealthServer<HealthService>,
    policy: &Arc<Policy>,
) -> Result<Routes, ServeError> {
    let shared = || Arc::clone(context);
    let routes = Routes::new(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(with_limits!(CollectionsServer::new(CollectionsService(shared())), context))
        .add_service(with_limits!(PointsServer::new(PointsService(shared())), context))
        .add_service(with_limits!(SearchServer::new(SearchService(shared())), context))
        .add_service(with_limits!(EncoderServer::new(EncoderService(shared())), context))
        .add_service(with_limits!(MaintenanceServer::new(MaintenanceService(shared())), context));
    let routes = qdrant::add_services(routes, context);
    let router = routes.into_axum_router().merge(http::router(context));
    let router = router.merge(qdrant::rest_router(context)).fallback(http::not_found);
    Ok(Routes::from(guard(router, policy)).prepare())
}

/// Says what every call needs.
fn policy(keys: Keys, is_local: bool, metrics: &Arc<Metrics>) -> Result<Arc<Policy>, ServeError> {
    let listed = OTHER_SERVICES.into_iter().chain(http::CALLS);
    let listed = listed.map(|(method, path, need)| (method, path.to_owned(), need));
    let calls = Calls::default().with_services(proto::DESCRIPTORS);
    let calls = listed.chain(qdrant::calls()).fold(calls, |calls, (method, path, need)| {
        calls.and_then(|calls| calls.with(&method, &path, need))
    });
    let calls = calls.map_err(ServeError::Calls)?;
    Ok(Arc::new(Policy { keys, is_local, calls, metrics: Arc::clone(metrics) }))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

async fn health() -> (HealthReporter, HealthServer<HealthService>) {
    let reporter = HealthReporter::new();
    report(&reporter, ServingStatus::Serving).await;
    let service = HealthService::from_health_reporter(reporter.clone());
    (reporter, HealthServer::new(service))
}

/// The server as a whole, whose name is empty, and its services.
const HEALTH_NAMES: [&str; 6] = [
    "",
    CollectionsServer::<CollectionsService>::NAME,
    PointsServer::<PointsService>::NAME,
    SearchServer::<SearchService>::NAME,
    EncoderServer::<EncoderService>::NAME,
    MaintenanceServer::<MaintenanceService>::NAME,
];

async fn report(health: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        health.set_service_status(name, status).await;
    }
}

/// Ends health watches after their last status; open ones would hold up the shutdown.
async fn end_watches(health: &mut HealthReporter) {
    for name in HEALTH_NAMES {
        health.clear_service_status(name).await;
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_call_whose_client_sends_a_stream_may_take_its_time() {
        let set = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
        for file in &set.file {
            for service in &file.service {
                let streams = service.method.iter().filter(|method| method.client_streaming());
                for method in streams {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    assert!(STREAMS.contains(&&*path), "{path}");
                }
            }
        }
    }
}

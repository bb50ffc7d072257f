//! One router for `bigrain.v1`, health, reflection, the calls of [`http`] and the [Qdrant protocol](qdrant), on every
//! port, and how it stops.
//!
//! A stop has two steps. The signal closes the ports, turns health to NOT_SERVING and lets requests
//! finish; what is not done after `shutdown_timeout` is answered with UNAVAILABLE. A write that was
//! answered is on disk either way.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bigrain_engine::Engine;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::codegen::http::Method;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::access::{Calls, Keys, Need, Policy, guard};
use crate::backups::BackupFolder;
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
use crate::settings::Config;
use crate::{http, proto, qdrant};

/// Calls of the services that are not ours.
const OTHER_SERVICES: [(Method, &str, Need); 4] = [
    (Method::POST, "/grpc.health.v1.Health/Check", Need::Open),
    (Method::POST, "/grpc.health.v1.Health/Watch", Need::Open),
    (Method::POST, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Need::Read),
    (Method::POST, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Need::Read),
];

/// How often an idle connection is asked whether its peer is still there, and how long it may
/// take to say so; otherwise the streams of a vanished client would stay open for ever.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Where backups lie in the data folder, unless told otherwise.
const BACKUPS: &str = "backups";
/// How long connections may take to flush once every request was answered.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// A server that has its ports and does not answer yet.
///
/// Clients may connect as soon as it is bound; they are answered once it serves.
#[derive(Debug)]
pub struct Server {
    incoming: TcpIncoming,
    address: SocketAddr,
    /// Where clients of Qdrant look for REST and for gRPC: a port, and its address.
    qdrant: [Option<(TcpIncoming, SocketAddr)>; 2],
    shutdown_timeout: Duration,
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
    /// The transport failed.
    #[error("serve: {0}")]
    Transport(#[from] tonic::transport::Error),
}

impl Server {
    /// Takes the ports of the configuration. Needs the context of a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ServeError::Bind`] when the port is taken or the address is not this machine's.
    #[expect(clippy::unused_async, reason = "binding needs a runtime, which async makes visible")]
    pub async fn bind(
        config: Config,
        engine: Engine,
        models: ModelRegistry,
    ) -> Result<Self, ServeError> {
        let bind = |address: SocketAddr| {
            let error = |source| ServeError::Bind { address, source };
            let incoming = TcpIncoming::bind(address).map_err(error)?.with_nodelay(Some(true));
            let bound = incoming.local_addr().map_err(error)?;
            Ok::<_, ServeError>((incoming, bound))
        };
        let (incoming, address) = bind(config.listen)?;
        let qdrant_rest = config.qdrant_rest_listen.map(bind).transpose()?;
        let qdrant_grpc = config.qdrant_grpc_listen.map(bind).transpose()?;
        let metrics = Arc::new(Metrics::new());
        let backups = config.backups.unwrap_or_else(|| engine.data_dir().join(BACKUPS));
        let backups = BackupFolder::new(backups);
        Ok(Self {
            incoming,
            address,
            qdrant: [qdrant_rest, qdrant_grpc],
            shutdown_timeout: config.shutdown_timeout,
            policy: policy(config.keys, &metrics)?,
            context: Arc::new(Context::new(Parts {
                engine,
                models,
                backups,
                pictures: config.pictures,
                limits: config.limits,
                metrics,
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
    /// [`ServeError`] when the transport fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let (mut health, health_service) = health().await;
        let routes = RequestScope::new(
            routes(&self.context, health_service, &self.policy)?,
            self.context.limits.max_message_bytes,
        );
        let (stop, stopped) = watch::channel(false);
        let mut incoming: Incoming = Box::pin(self.incoming);
        for (more, _) in self.qdrant.into_iter().flatten() {
            incoming = Box::pin(incoming.merge(more));
        }
        let transport = tonic::transport::Server::builder()
            .accept_http1(true)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .serve_with_incoming_shutdown(routes, incoming, is_stopped(stopped));
        let mut transport = std::pin::pin!(transport);
        tracing::info!(address = %self.address, "listening");

        tokio::select! {
            ended = &mut transport => return Ok(ended?),
            () = shutdown => {}
        }
        tracing::info!(timeout = ?self.shutdown_timeout, "shutting down");
        report(&health, ServingStatus::NotServing).await;
        end_watches(&mut health).await;
        stop.send_replace(true);
        self.context.runtime.enter(Phase::Draining);
        if let Ok(ended) = tokio::time::timeout(self.shutdown_timeout, &mut transport).await {
            return Ok(ended?);
        }
        tracing::warn!("requests were still at work at the end of the shutdown timeout");
        self.context.runtime.enter(Phase::Aborting);
        match tokio::time::timeout(FLUSH_TIMEOUT, transport).await {
            Ok(ended) => Ok(ended?),
            // What is left are connections that wait for nothing of ours, such as health watches.
            Err(_) => Ok(()),
        }
    }
}

/// New connections, of all ports.
type Incoming = Pin<Box<dyn Stream<Item = std::io::Result<TcpStream>> + Send>>;

async fn is_stopped(mut stopped: watch::Receiver<bool>) {
    // An error means the server itself is gone.
    let _ = stopped.wait_for(|stopped| *stopped).await;
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
fn policy(keys: Keys, metrics: &Arc<Metrics>) -> Result<Arc<Policy>, ServeError> {
    let listed = OTHER_SERVICES.into_iter().chain(http::CALLS);
    let listed = listed.map(|(method, path, need)| (method, path.to_owned(), need));
    let calls = Calls::default().with_services(proto::DESCRIPTORS);
    let calls = listed.chain(qdrant::calls()).fold(calls, |calls, (method, path, need)| {
        calls.and_then(|calls| calls.with(&method, &path, need))
    });
    let calls = calls.map_err(ServeError::Calls)?;
    Ok(Arc::new(Policy { keys, calls, metrics: Arc::clone(metrics) }))
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

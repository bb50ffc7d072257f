//! One port that serves `bigrain.v1`, health and reflection, and how it stops.
//!
//! A stop has two steps. The signal closes the port, turns health to NOT_SERVING and lets requests
//! finish; what is not done after `shutdown_timeout` is answered with UNAVAILABLE. A write that was
//! answered is on disk either way.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bigrain_engine::Engine;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::backups::BackupFolder;
use crate::grpc::{
    CollectionsService, Context, EncoderService, MaintenanceService, PointsService, SearchService,
};
use crate::models::ModelRegistry;
use crate::proto;
use crate::proto::collections_server::CollectionsServer;
use crate::proto::encoder_server::EncoderServer;
use crate::proto::maintenance_server::MaintenanceServer;
use crate::proto::points_server::PointsServer;
use crate::proto::search_server::SearchServer;
use crate::request_scope::RequestScope;
use crate::runtime::{Phase, Runtime};
use crate::settings::Config;

/// How often an idle connection is asked whether its peer is still there, and how long it may
/// take to say so; otherwise the streams of a vanished client would stay open for ever.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Where backups lie in the data folder, unless told otherwise.
const BACKUPS: &str = "backups";
/// How long connections may take to flush once every request was answered.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// A server that has its port and does not answer yet.
///
/// Clients may connect as soon as it is bound; they are answered once it serves.
#[derive(Debug)]
pub struct Server {
    incoming: TcpIncoming,
    address: SocketAddr,
    more_incoming: Option<TcpIncoming>,
    rest: Option<TcpListener>,
    shutdown_timeout: Duration,
    context: Arc<Context>,
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
    pub async fn bind(
        config: Config,
        engine: Engine,
        models: ModelRegistry,
    ) -> Result<Self, ServeError> {
        let bind = |address: SocketAddr| {
            let error = |source| ServeError::Bind { address, source };
            let incoming = TcpIncoming::bind(address).map_err(error)?;
            let bound = incoming.local_addr().map_err(error)?;
            Ok::<_, ServeError>((incoming.with_nodelay(Some(true)), bound))
        };
        let (incoming, address) = bind(config.listen)?;
        let more_incoming = config.qdrant_grpc_listen.map(bind).transpose()?;
        let rest = match config.qdrant_rest_listen {
            Some(address) => {
                let error = |source| ServeError::Bind { address, source };
                Some(TcpListener::bind(address).await.map_err(error)?)
            }
            None => None,
        };
        let runtime = Runtime::new(&config.limits);
        let backups = config.backups.unwrap_or_else(|| engine.data_dir().join(BACKUPS));
        let backups = BackupFolder::new(backups);
        Ok(Self {
            incoming,
            address,
            more_incoming: more_incoming.map(|(incoming, _)| incoming),
            rest,
            shutdown_timeout: config.shutdown_timeout,
            context: Arc::new(Context { engine, models, backups, limits: config.limits, runtime }),
        })
    }

    /// Returns the address it listens on, with the port that was picked if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns where the Qdrant protocol is spoken: over REST, and over gRPC besides
    /// [`local_addr`](Self::local_addr).
    #[must_use]
    pub fn qdrant_addrs(&self) -> [Option<SocketAddr>; 2] {
        let grpc = self.more_incoming.as_ref().and_then(|incoming| incoming.local_addr().ok());
        [self.rest.as_ref().and_then(|rest| rest.local_addr().ok()), grpc]
    }

    /// Answers requests until `shutdown` completes, then drains and returns.
    ///
    /// # Errors
    ///
    /// [`ServeError`] when the transport fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let (mut health, health_service) = health().await;
        let routes = RequestScope::new(
            routes(&self.context, health_service)?,
            self.context.limits.max_message_bytes,
        );
        let (stop, stopped) = watch::channel(false);
        let rest = self.rest.map(|listener| {
            let router = crate::qdrant::rest::router(&self.context);
            let serving = axum::serve(listener, router);
            tokio::spawn(serving.with_graceful_shutdown(is_stopped(stopped.clone())).into_future())
        });
        let rest = AbortOnDrop(rest);
        let incoming = match self.more_incoming {
            Some(more) => Box::pin(self.incoming.merge(more)) as Incoming,
            None => Box::pin(self.incoming),
        };
        let transport = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .serve_with_incoming_shutdown(routes, incoming, is_stopped(stopped));
        let transport = async move {
            let ended = transport.await;
            rest.ended().await;
            ended
        };
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
    Ok(crate::qdrant::add_services(routes, context).prepare())
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

/// New connections, of one port or of two.
type Incoming =
    std::pin::Pin<Box<dyn tokio_stream::Stream<Item = std::io::Result<TcpStream>> + Send>>;

/// A listener besides the transport; it ends with it.
struct AbortOnDrop(Option<JoinHandle<std::io::Result<()>>>);

impl AbortOnDrop {
    /// Waits until it has answered what it was asked.
    async fn ended(mut self) {
        if let Some(task) = self.0.as_mut() {
            // What it failed of is logged where it happened; the connections are gone either way.
            let _ = task.await;
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

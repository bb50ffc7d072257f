//! Ports that are listened on, and how many connections they let in.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};

use super::Tls;
use super::connection::{Admission, converse};
use crate::metrics::Metrics;
use crate::settings::ConnectionLimits;

/// How often the peer of a connection without traffic is asked whether it is still there, and how long it may
/// take to say so; otherwise the streams of a vanished client would stay open for ever.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests of one connection at once; a client waits with more.
const MAX_STREAMS: u32 = 1024;
/// Connections beyond `max_connections` that are told so; more are closed at once.
const MAX_REFUSALS: usize = 64;
/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 4096;
/// How long to wait when the system has no descriptors or no memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection shares.
pub(crate) struct Hub<S> {
    pub service: S,
    pub tls: Option<Tls>,
    /// Paths of calls whose client may take its time.
    pub streams: &'static [&'static str],
    pub(super) times: Times,
    pub(super) http: Builder<TokioExecutor>,
    max_connections: usize,
    room: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// How long the steps of a connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub header: Duration,
    pub body: Duration,
    pub idle: Duration,
}

impl<S> Hub<S> {
    pub(crate) fn new(
        service: S,
        tls: Option<Tls>,
        streams: &'static [&'static str],
        limits: ConnectionLimits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let ConnectionLimits { max_connections, header_timeout, idle_timeout, body_timeout } =
            limits;
        Self {
            service,
            tls,
            streams,
            times: Times { header: header_timeout, body: body_timeout, idle: idle_timeout },
            http: http(header_timeout),
            max_connections,
            room: Arc::new(Semaphore::new(max_connections)),
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
            metrics,
        }
    }

    /// Returns why a connection is refused.
    pub(super) fn full(&self) -> Status {
        Status::resource_exhausted(format!(
            "{} connections are open, which is the limit (max_connections): close some, or use one for many requests",
            self.max_connections
        ))
    }

    /// Decides what a connection is accepted for; nothing, if even refusals are too many.
    fn admit(&self) -> Option<(Admission, OwnedSemaphorePermit)> {
        if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
            return Some((Admission::Served, permit));
        }
        self.metrics.connection_refused();
        let permit = Arc::clone(&self.refusals).try_acquire_owned().ok()?;
        Some((Admission::Refused, permit))
    }
}

fn http(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS);
    http
}

/// Ports that are open; dropping them ends every connection.
#[derive(Debug)]
pub(crate) struct Ports(watch::Sender<bool>);

impl Ports {
    /// Takes an address. Needs the context of a tokio runtime.
    ///
    /// # Errors
    ///
    /// The system's, when the port is taken or the address is not this machine's.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A port that was just given up may be taken at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    }

    /// Begins to accept connections.
    pub(crate) fn open<S>(listeners: Vec<TcpListener>, hub: Hub<S>) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let hub = Arc::new(hub);
        for listener in listeners {
            tokio::spawn(accept(listener, Arc::clone(&hub), stopped.clone()));
        }
        Self(stop)
    }

    /// Closes the ports, and each connection once its requests are answered.
    pub(crate) fn close(&self) {
        self.0.send_replace(true);
    }

    /// Completes when no connection is left.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }
}

async fn accept<S>(listener: TcpListener, hub: Arc<Hub<S>>, mut stop: watch::Receiver<bool>)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    // Connections get this one, in which a stop is news even if it is known here.
    let unseen = stop.clone();
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => begin(&hub, stream, unseen.clone()),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted, will retry");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn begin<S>(hub: &Arc<Hub<S>>, stream: TcpStream, stop: watch::Receiver<bool>)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let Some((admission, permit)) = hub.admit() else { return };
    // Small replies go at once; where this is refused they are slower.
    let _ = stream.set_nodelay(true);
    let hub = Arc::clone(hub);
    tokio::spawn(async move {
        let _permit = permit;
        let _counted = (admission == Admission::Served).then(|| hub.metrics.connected());
        converse(&hub, stream, admission, stop).await;
    });
}

/// Whether a connection was gone before it was accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

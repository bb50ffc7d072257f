//! One connection, from the handshake to its end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderValue, Request, Response, Version, header};

use super::activity::{Activity, Reply, Watched};
use super::ports::Hub;
use super::timed_body::TimedBody;
use crate::dialect::Dialect;

/// How long a connection that is over may take to say so.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// What a connection is accepted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Its requests are served.
    Served,
    /// There are too many connections: it is told so.
    Refused,
}

/// Serves a connection until its peer or a stop ends it, or it is idle.
pub(super) async fn converse<S>(
    hub: &Hub<S>,
    stream: TcpStream,
    admission: Admission,
    stop: watch::Receiver<bool>,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let stream = Watched { inner: stream, activity: Arc::clone(&activity) };
    let Some(tls) = &hub.tls else {
        return drive(hub, stream, admission, stop, activity).await;
    };
    let handshake = tls.acceptor(std::time::Instant::now()).accept(stream);
    match timeout(hub.times.header, handshake).await {
        Ok(Ok(stream)) => drive(hub, stream, admission, stop, activity).await,
        Ok(Err(error)) => tracing::debug!(%error, "handshake failed"),
        Err(_) => tracing::debug!("handshake took too long"),
    }
}

async fn drive<S, I>(
    hub: &Hub<S>,
    stream: I,
    admission: Admission,
    mut stop: watch::Receiver<bool>,
    activity: Arc<Activity>,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let allowed = match admission {
        Admission::Served => hub.times.idle,
        Admission::Refused => CLOSE_TIME,
    };
    let respond = service_fn(|request| answer(hub, request, admission, &activity));
    let mut connection = pin!(hub.http.serve_connection(TokioIo::new(stream), respond));
    let mut timer = pin!(sleep_until(activity.idle_at(allowed)));
    let mut is_closing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error, "connection broke off");
                }
                return;
            }
            changed = stop.changed() => match changed {
                Ok(()) => connection.as_mut().graceful_shutdown(),
                Err(_) => return,
            },
            () = timer.as_mut() => {
                let idle_at = activity.idle_at(allowed);
                if idle_at > Instant::now() {
                    timer.as_mut().reset(idle_at);
                } else if is_closing {
                    return;
                } else {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                    timer.as_mut().reset(Instant::now() + CLOSE_TIME);
                }
            }
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Reply<Body>>, Infallible>> + Send>>;

fn answer<S>(
    hub: &Hub<S>,
    request: Request<Incoming>,
    admission: Admission,
    activity: &Arc<Activity>,
) -> Answer
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
    S::Future: Send + 'static,
{
    let (activity, working) = (Arc::clone(activity), activity.begin());
    if admission == Admission::Refused {
        let mut refusal = Dialect::of(&request).refusal(&hub.full()).map(Body::new);
        if request.version() <= Version::HTTP_11 {
            refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let refusal = refusal.map(|body| Reply { body, activity, working: None });
        return Box::pin(std::future::ready(Ok(refusal)));
    }
    // A stream waits for its client, and is at work for as long as it lasts.
    let is_stream = hub.streams.contains(&request.uri().path());
    let request = match is_stream {
        true => request.map(Body::new),
        false => request.map(|body| Body::new(TimedBody::new(body, hub.times.body))),
    };
    let answer = hub.service.clone().call(request);
    Box::pin(async move {
        let response = answer.await?;
        let working = is_stream.then_some(working);
        Ok(response.map(|body| Reply { body, activity, working }))
    })
}

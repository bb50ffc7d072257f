//! A server to talk to, and words to talk with.

use std::net::SocketAddr;
use std::sync::Arc;

use bigrain_api::proto::collections_client::CollectionsClient;
use bigrain_api::proto::encoder_client::EncoderClient;
use bigrain_api::proto::maintenance_client::MaintenanceClient;
use bigrain_api::proto::points_client::PointsClient;
use bigrain_api::proto::search_client::SearchClient;
use bigrain_api::proto::{
    CollectionConfig, CreateCollectionRequest, Metric, Point, PointId, UpsertRequest, point_id,
};
use bigrain_api::{ModelRegistry, ServeError, Server, Settings};
use bigrain_encoders::ToyEncoder;
use bigrain_engine::{Engine, EngineConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Channel;

/// The name of the toy model.
pub const TOY: &str = "toy";
/// The dimensions of the toy model.
pub const TOY_DIMS: u32 = 32;

/// An answer over HTTP.
pub struct HttpReply {
    pub status: u16,
    /// The status line and the headers, in lower case.
    pub head: String,
    pub body: String,
}

/// A server that stops when told to, or when the test's runtime ends.
pub struct TestServer {
    pub channel: Channel,
    pub address: SocketAddr,
    pub engine: Engine,
    /// Where clients of Qdrant look for REST and for gRPC.
    pub qdrant: [Option<SocketAddr>; 2],
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
    _data: TempDir,
}

impl TestServer {
    /// Starts a server with the toy model.
    pub async fn start() -> Self {
        Self::start_with(Settings::default(), toy_models()).await
    }

    /// Starts a server with the toy model that has an empty collection `docs`: two dimensions,
    /// dot product.
    pub async fn with_docs(settings: Settings) -> Self {
        let server = Self::start_with(settings, toy_models()).await;
        server.create("docs", config(2, Metric::Dot)).await.unwrap();
        server
    }

    /// Starts a server on a port the system picks.
    pub async fn start_with(settings: Settings, models: ModelRegistry) -> Self {
        let data = tempfile::tempdir().unwrap();
        let engine = Engine::open(data.path(), EngineConfig::default()).unwrap();
        Self::start_on(data, engine, settings, models).await
    }

    /// Starts a server of an engine that was opened.
    pub async fn start_on(
        data: TempDir,
        engine: Engine,
        settings: Settings,
        models: ModelRegistry,
    ) -> Self {
        let listen = Some("127.0.0.1:0".parse().unwrap());
        let config = Settings { listen, ..settings }.into_config().unwrap();
        let server = Server::bind(config, engine.clone(), models).await.unwrap();
        let address = server.local_addr();
        let qdrant = server.qdrant_addrs();
        let (shutdown, told) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            // A dropped sender is a test that ended; the server then stops too.
            let _ = told.await;
        }));
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        Self { channel, address, engine, qdrant, shutdown, serving, _data: data }
    }

    /// Sends a request over HTTP/1.1, on a connection of its own.
    pub async fn http(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> HttpReply {
        http(self.address, method, path, headers, body).await
    }

    pub fn collections(&self) -> CollectionsClient<Channel> {
        CollectionsClient::new(self.channel.clone())
    }

    pub fn points(&self) -> PointsClient<Channel> {
        PointsClient::new(self.channel.clone())
    }

    pub fn search(&self) -> SearchClient<Channel> {
        SearchClient::new(self.channel.clone())
    }

    pub fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel.clone())
    }

    pub fn encoder(&self) -> EncoderClient<Channel> {
        EncoderClient::new(self.channel.clone())
    }

    /// Creates a collection.
    pub async fn create(&self, name: &str, config: CollectionConfig) -> Result<(), Status> {
        let request = CreateCollectionRequest { name: name.to_owned(), config: Some(config) };
        self.collections().create(request).await.map(|_| ())
    }

    /// Stores points in `docs`.
    pub async fn upsert(&self, points: Vec<Point>) -> Result<(), Status> {
        self.points().upsert(upsert("docs", points)).await.map(|_| ())
    }

    /// Counts the points of `docs`.
    pub async fn count(&self) -> u64 {
        let request =
            bigrain_api::proto::CountRequest { collection: "docs".to_owned(), filter_json: None };
        self.points().count(request).await.unwrap().into_inner().count
    }

    /// Tells the server to stop; the handle completes when it has.
    pub fn stop(self) -> (JoinHandle<Result<(), ServeError>>, TempDir) {
        self.shutdown.send(()).unwrap();
        (self.serving, self._data)
    }
}

impl TestServer {
    /// Returns a metric, the first of this name and label.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.http("GET", "/metrics", &[], "").await.body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    }

    /// Completes when no work is left, and no permit held, but that of the one who asks.
    pub async fn at_rest(&self) {
        for (kind, left) in [("search", 1), ("write", 0), ("encode", 0)] {
            self.until(&format!("bigrain_requests_at_work{{kind=\"{kind}\"}} "), left).await;
        }
    }

    /// Completes when a metric has come down, or up, to a value.
    pub async fn until(&self, name: &str, value: u64) {
        while self.metric(name).await != value {}
    }
}

/// Connects to gRPC.
pub async fn connect(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Sends a request over HTTP/1.1, on a connection of its own.
pub async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> HttpReply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if headers.iter().all(|(name, _)| *name != "content-length") {
        request += &format!("content-length: {}\r\n", body.len());
    }
    request += &format!("\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let reply = String::from_utf8_lossy(&reply);
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    HttpReply { status, head: head.to_lowercase(), body: body.to_owned() }
}

pub fn toy_models() -> ModelRegistry {
    ModelRegistry::new().with(TOY, Arc::new(toy())).unwrap()
}

pub fn toy() -> ToyEncoder {
    ToyEncoder::new(TOY_DIMS as usize)
}

pub fn config(dims: u32, metric: Metric) -> CollectionConfig {
    CollectionConfig { dims, metric: metric.into(), ..CollectionConfig::default() }
}

pub fn num(id: u64) -> PointId {
    PointId { id: Some(point_id::Id::Num(id)) }
}

pub fn text(id: &str) -> PointId {
    PointId { id: Some(point_id::Id::Text(id.to_owned())) }
}

pub fn point(id: PointId, vector: &[f32]) -> Point {
    Point { id: Some(id), vector: vector.to_vec(), ..Point::default() }
}

pub fn upsert(collection: &str, points: Vec<Point>) -> UpsertRequest {
    UpsertRequest { collection: collection.to_owned(), points, space: None, conditions: None }
}

/// Fails unless a status has this code and all of these words.
#[track_caller]
pub fn assert_status(status: &Status, code: tonic::Code, words: &[&str]) {
    assert_eq!(status.code(), code, "{status:?}");
    for word in words {
        assert!(status.message().contains(word), "{word:?} is not in {:?}", status.message());
    }
}

//! How many connections there may be, and how those end whose clients do nothing.
//!
//! Nothing here measures time: what should be closed is waited for.

use std::future::Future;

use bigrain_api::Settings;
use bigrain_api::proto::upsert_stream_reply::Outcome;
use bigrain_api::proto::{
    Point, ScrollRequest, SearchRequest, UpsertReply, UpsertRequest, UpsertStreamRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};

use crate::gated_encoder::{Event, encode_request, gated_server};
use crate::support::{TestServer, assert_status, connect, num, point, toy_models, upsert};

/// A server whose timeouts are as short as they may be.
async fn impatient() -> TestServer {
    let settings = Settings {
        header_timeout_seconds: Some(1),
        body_timeout_seconds: Some(1),
        idle_timeout_seconds: Some(1),
        ..Settings::default()
    };
    TestServer::with_docs(settings).await
}

/// Sends bytes, and returns what comes until the server closes the connection.
async fn until_closed(server: &TestServer, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

#[tokio::test]
async fn a_client_that_begins_and_does_not_go_on_is_closed() {
    let server = impatient().await;
    for bytes in [
        "",
        "G",
        "GET /healthz HTTP/1.1\r\nhost: te",
        "PRI * HTTP/2",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let reply = until_closed(&server, bytes.as_bytes()).await;
        assert!(!reply.contains(" 200 "), "{bytes:?}: {reply}");
    }
    // An answered request, and silence.
    let reply = until_closed(&server, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    server.until("bigrain_connections ", 1).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_refused_and_its_connection_closed() {
    let server = impatient().await;
    for path in [
        "/embed",
        "/v1/embeddings",
        "/api/v1/collections/docs/search",
        "/collections/docs/points/query",
    ] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{{"
        );
        let reply = until_closed(&server, request.as_bytes()).await;
        assert!(reply.starts_with("HTTP/1.1 408 "), "{path}: {reply}");
        assert!(reply.contains("body_timeout_seconds"), "{path}: {reply}");
    }
    server.at_rest().await;
}

/// Begins a call of one message, sends what is given, and nothing more: the stream stays half open.
fn half_open(
    server: &TestServer,
    messages: Vec<UpsertRequest>,
) -> impl Future<Output = Result<(), Status>> + use<> {
    let channel = server.channel.clone();
    let messages = tokio_stream::iter(messages).chain(tokio_stream::pending());
    async move {
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<UpsertRequest, UpsertReply>::default();
        let path = "/bigrain.v1.Points/Upsert".parse().unwrap();
        client.client_streaming(Request::new(messages), path, codec).await.map(|_| ())
    }
}

#[tokio::test]
async fn a_call_that_stays_half_open_is_ended_and_a_stream_is_not() {
    let server = impatient().await;
    let (batches, unsent) = mpsc::channel(1);
    let stream = server.points().upsert_stream(ReceiverStream::new(unsent)).await.unwrap();
    let mut replies = stream.into_inner();

    let status = half_open(&server, vec![]).await.unwrap_err();
    assert_status(&status, Code::DeadlineExceeded, &["body_timeout_seconds", "0 bytes came"]);
    let status = half_open(&server, vec![upsert("docs", vec![])]).await.unwrap_err();
    assert_status(&status, Code::DeadlineExceeded, &["body_timeout_seconds"]);

    // By now the stream has waited longer than calls may, and longer than connections may be idle.
    let upsert = Some(upsert("docs", vec![point(num(1), &[1.0, 0.0])]));
    batches.send(UpsertStreamRequest { batch: 7, upsert }).await.unwrap();
    let reply = replies.next().await.unwrap().unwrap();
    assert!(matches!(reply.outcome, Some(Outcome::Stored(_))), "{reply:?}");
    assert_eq!(server.count().await, 1);
}

#[tokio::test]
async fn work_that_takes_long_keeps_its_connection() {
    let settings = Settings { idle_timeout_seconds: Some(1), ..Settings::default() };
    let (server, mut gate) = gated_server(settings).await;
    let mut client = server.encoder();
    let call = tokio::spawn(async move { client.encode(encode_request()).await });
    assert_eq!(gate.event().await, Event::Started);
    // Another connection is idle meanwhile, and is closed.
    until_closed(&server, b"").await;
    gate.open();
    call.await.unwrap().unwrap();
}

/// Begins a request of one kind or another, and drops it after some turns of the runtime.
async fn drop_midway(server: &TestServer, number: u64) {
    let (mut points, mut search, mut encoder) =
        (server.points(), server.search(), server.encoder());
    let call = tokio::spawn(async move {
        match number % 4 {
            0 => search.search(query()).await.map(|_| ()),
            1 => points
                .upsert(upsert("docs", vec![point(num(number), &[1.0, 0.0])]))
                .await
                .map(|_| ()),
            2 => points.scroll(page()).await.map(|_| ()),
            _ => encoder.encode(encode_request()).await.map(|_| ()),
        }
    });
    for _ in 0..number % 41 {
        tokio::task::yield_now().await;
    }
    call.abort();
}

fn query() -> SearchRequest {
    SearchRequest { collection: "docs".to_owned(), vector: vec![1.0, 0.0], ..Default::default() }
}

fn page() -> ScrollRequest {
    ScrollRequest { collection: "docs".to_owned(), ..ScrollRequest::default() }
}

#[tokio::test]
async fn ten_thousand_requests_that_are_dropped_midway_leave_nothing_behind() {
    let server = TestServer::with_docs(Settings::default()).await;
    server.upsert(vec![point(num(1), &[1.0, 0.0])]).await.unwrap();
    server.at_rest().await;
    let runtime = Handle::current().metrics();
    let before = runtime.num_alive_tasks();
    for number in 0..10_000 {
        drop_midway(&server, number).await;
    }
    server.at_rest().await;
    while runtime.num_alive_tasks() > before {
        tokio::task::yield_now().await;
    }
    // Some of each kind came so far that the engine did them.
    assert!(server.metric("bigrain_searches_total ").await > 0);
    assert!(server.count().await > 1);
    server.upsert(vec![point(num(1), &[0.0, 1.0])]).await.unwrap();
    server.search().search(query()).await.unwrap();
    server.encoder().encode(encode_request()).await.unwrap();
}

#[tokio::test]
async fn a_reply_that_nobody_reads_does_not_hold_its_connection() {
    let server = impatient().await;
    let large = |id| Point {
        payload_json: format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20)),
        ..point(num(id), &[1.0, 0.0])
    };
    for id in 0..12 {
        server.upsert(vec![large(id)]).await.unwrap();
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let body = r#"{"limit": 12}"#;
    let request = format!(
        "POST /collections/docs/points/scroll HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    // The one that asks is left.
    server.until("bigrain_connections ", 1).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so_and_the_next_one_is_served() {
    let settings = Settings { max_connections: Some(2), ..Settings::default() };
    let server = TestServer::start_with(settings, toy_models()).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut begun = [0; 12];
        stream.read_exact(&mut begun).await.unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200");
        held.push(stream);
    }
    let reply = server.http("GET", "/healthz", &[], "").await;
    assert_eq!(reply.status, 429);
    assert!(
        reply.body.contains("2 connections") && reply.body.contains("max_connections"),
        "{}",
        reply.body
    );
    let channel = connect(server.address).await;
    let status = crate::access::call_on(&channel, "/bigrain.v1.Collections/List", None).await;
    assert_status(&status.unwrap_err(), Code::ResourceExhausted, &["max_connections"]);

    // The server sees a moment later that one is gone.
    held.pop();
    while server.http("GET", "/healthz", &[], "").await.status != 200 {}
}

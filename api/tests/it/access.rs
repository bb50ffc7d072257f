//! Keys: who is let in, and that every call that is not a read is closed to those who only read.

use bigrain_api::proto::points_client::PointsClient;
use bigrain_api::proto::{self, GetCollectionRequest, ListCollectionsRequest, Metric};
use bigrain_api::{KeyAccess, KeySettings, Secret, Settings};
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::support::{TestServer, config, num, point, toy_models, upsert};

pub const WRITER: &str = "secret-of-the-writer";
pub const READER: &str = "secret-of-the-reader";
pub const TEAM: &str = "secret-of-one-team";

fn key(name: &str, secret: &str, access: KeyAccess, collections: Option<&[&str]>) -> KeySettings {
    KeySettings {
        name: name.to_owned(),
        secret: Secret::new(secret),
        access,
        collections: collections.map(|names| names.iter().map(|name| (*name).into()).collect()),
        ..KeySettings::default()
    }
}

/// The settings of three keys: one that writes, one that reads, and one that writes in `team-*`.
pub fn settings() -> Settings {
    let keys = vec![
        key("writer", WRITER, KeyAccess::Write, None),
        key("reader", READER, KeyAccess::Read, None),
        key("team", TEAM, KeyAccess::Write, Some(&["team-*"])),
    ];
    Settings { keys: Some(keys), ..Settings::default() }
}

async fn server() -> TestServer {
    TestServer::start_with(settings(), toy_models()).await
}

/// A request that shows a secret.
pub fn shown<T>(secret: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {secret}")).unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// Every call of `bigrain.v1`: its path, and whether its descriptor says that it changes nothing.
fn calls() -> Vec<(String, bool)> {
    let set = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
    let mut calls = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let level = method.options.as_ref().map(|options| options.idempotency_level());
                let reads =
                    level == Some(prost_types::method_options::IdempotencyLevel::NoSideEffects);
                calls.push((path, reads));
            }
        }
    }
    calls
}

/// Calls a path with an empty message, whichever method it is of.
async fn call(server: &TestServer, path: &str, secret: Option<&str>) -> Result<(), Status> {
    call_on(&server.channel, path, secret).await
}

/// As [`call`], on a connection.
pub async fn call_on(channel: &Channel, path: &str, secret: Option<&str>) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let request = match secret {
        Some(secret) => shown(secret, ()),
        None => Request::new(()),
    };
    let path = path.parse().unwrap();
    client.unary(request, path, codec).await.map(|_| ())
}

#[tokio::test]
async fn whoever_shows_no_key_or_a_wrong_one_is_refused_by_every_call() {
    let server = server().await;
    for (path, _) in calls() {
        for secret in [None, Some("secret-of-nobody-here"), Some("")] {
            let status = call(&server, &path, secret).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{path} {secret:?}: {status:?}");
        }
    }
}

#[tokio::test]
async fn a_key_that_reads_is_refused_by_every_call_that_does_not() {
    let server = server().await;
    let (mut read, mut refused) = (0, 0);
    for (path, reads) in calls() {
        // What it is refused for otherwise is the empty message.
        let outcome = call(&server, &path, Some(READER)).await;
        let denied = outcome.is_err_and(|status| status.code() == Code::PermissionDenied);
        assert_eq!(denied, !reads, "{path}");
        if reads { read += 1 } else { refused += 1 }
    }
    assert!(read >= 15 && refused >= 15, "{read} {refused}");
}

#[tokio::test]
async fn a_key_of_some_collections_sees_and_changes_no_others() {
    let server = server().await;
    let create = |secret: &'static str, name: &str| {
        let request = proto::CreateCollectionRequest {
            name: name.to_owned(),
            config: Some(config(2, Metric::Dot)),
        };
        let mut client = server.collections();
        async move { client.create(shown(secret, request)).await }
    };
    create(WRITER, "docs").await.unwrap();
    create(TEAM, "team-a").await.unwrap();
    assert_eq!(create(TEAM, "docs2").await.unwrap_err().code(), Code::PermissionDenied);

    let listed = server.collections().list(shown(TEAM, ListCollectionsRequest {})).await.unwrap();
    let listed = listed.into_inner().collections;
    assert_eq!(listed.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["team-a"]);

    let mut points: PointsClient<_> = server.points();
    let write = |collection: &str| upsert(collection, vec![point(num(1), &[1.0, 0.0])]);
    points.upsert(shown(TEAM, write("team-a"))).await.unwrap();
    let status = points.upsert(shown(TEAM, write("docs"))).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert!(status.message().contains("\"team\" is not for collection \"docs\""), "{status:?}");

    // Whether a collection exists that it is not for, it does not learn.
    for name in ["docs", "absent"] {
        let request = GetCollectionRequest { name: name.to_owned() };
        let status = server.collections().get(shown(TEAM, request)).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    }
    let status = call(&server, "/bigrain.v1.Maintenance/Check", Some(TEAM)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
}

#[tokio::test]
async fn streams_carry_the_key_into_every_batch() {
    let server = server().await;
    let batch = |batch| proto::UpsertStreamRequest {
        batch,
        upsert: Some(upsert("docs", vec![point(num(1), &[1.0, 0.0])])),
    };
    let stream = shown(TEAM, tokio_stream::iter([batch(1)]));
    let mut replies = server.points().upsert_stream(stream).await.unwrap().into_inner();
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
}

#[tokio::test]
async fn over_http_the_same_keys_hold() {
    let server = server().await;
    for (path, open) in
        [("/healthz", true), ("/readyz", true), ("/metrics", false), ("/info", false)]
    {
        let reply = server.http("GET", path, &[], "").await;
        assert_eq!(reply.status, if open { 200 } else { 401 }, "{path}");
        let bearer = format!("Bearer {READER}");
        for header in [("api-key", READER), ("authorization", &*bearer)] {
            assert_eq!(server.http("GET", path, &[header], "").await.status, 200, "{path}");
        }
    }
    for (method, path) in [
        ("GET", "/v1/models"),
        ("POST", "/v1/embeddings"),
        ("POST", "/embed"),
        ("DELETE", "/healthz"),
        ("GET", "/nothing"),
    ] {
        let reply = server.http(method, path, &[("api-key", "secret-of-nobody-here")], "{}").await;
        assert_eq!(reply.status, 401, "{method} {path}");
    }
    let reply = server.http("POST", "/v1/embeddings", &[], "{}").await;
    assert_eq!(reply.status, 401);
    assert!(reply.body.contains(r#""message":"no key: expected authorization"#), "{}", reply.body);
    // What nobody listed is a write.
    let reply = server.http("DELETE", "/v1/models", &[("api-key", READER)], "").await;
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn a_server_without_keys_answers_to_names_of_this_machine_only() {
    let server = TestServer::start().await;
    for (host, status) in [
        ("localhost:7700", 200),
        ("LOCALHOST", 200),
        ("console.localhost", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:7700", 200),
        ("rebound.example:7700", 403),
        ("localhost.example", 403),
        ("local host", 403),
    ] {
        let request = format!(
            "GET /api/v1/collections HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        );
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {reply}");
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_where_there_are_no_keys() {
    let server = TestServer::start().await;
    for (origin, status) in [
        (None, 200),
        (Some("http://localhost"), 200),
        (Some("http://localhost:81"), 403),
        (Some("http://elsewhere"), 403),
        (Some("null"), 403),
        (Some(""), 403),
    ] {
        let headers: Vec<_> = origin.iter().map(|origin| ("origin", *origin)).collect();
        let body = r#"{"input": "a", "model": "toy"}"#;
        let reply = server.http("POST", "/v1/embeddings", &headers, body).await;
        assert_eq!(reply.status, status, "{origin:?}");
    }
}

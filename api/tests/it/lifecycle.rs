//! Ids and times of requests, health, reflection, deadlines, and how a server stops.

use std::time::Duration;

use bigrain_api::Settings;
use bigrain_api::proto::ListCollectionsRequest;
use tokio_stream::StreamExt;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::gated_encoder::{Event, encode_request, gated_server};
use crate::support::{TestServer, assert_status};

const SERVICES: [&str; 5] = [
    "bigrain.v1.Collections",
    "bigrain.v1.Points",
    "bigrain.v1.Search",
    "bigrain.v1.Encoder",
    "bigrain.v1.Maintenance",
];

#[tokio::test]
async fn every_reply_has_a_request_id_the_callers_if_there_was_one() {
    let server = TestServer::start().await;
    let mut client = server.collections();
    let mut request = Request::new(ListCollectionsRequest {});
    request.metadata_mut().insert("x-request-id", "job-7".parse().unwrap());
    let reply = client.list(request).await.unwrap();
    assert_eq!(reply.metadata().get("x-request-id").unwrap(), "job-7");
    let reply = client.list(ListCollectionsRequest {}).await.unwrap();
    assert_eq!(reply.metadata().get("x-request-id").unwrap().len(), 16);
}

#[tokio::test]
async fn health_answers_for_the_server_and_for_each_service() {
    let server = TestServer::start().await;
    let mut client = HealthClient::new(server.channel.clone());
    for service in SERVICES.into_iter().chain([""]) {
        let request = HealthCheckRequest { service: service.to_owned() };
        let reply = client.check(request).await.unwrap().into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving, "{service:?}");
    }
    let request = HealthCheckRequest { service: "bigrain.v1.Nothing".to_owned() };
    assert_eq!(client.check(request).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let server = TestServer::start().await;
    let mut client = ServerReflectionClient::new(server.channel.clone());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut replies =
        client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let reply = replies.next().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(listed) = reply else {
        panic!("{reply:?}");
    };
    let names: Vec<&str> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for service in SERVICES.into_iter().chain(["grpc.health.v1.Health"]) {
        assert!(names.contains(&service), "{service} is not in {names:?}");
    }
}

#[tokio::test]
async fn a_deadline_that_passes_cancels_the_work() {
    let (server, mut gate) = gated_server(Settings::default()).await;
    let mut request = Request::new(encode_request());
    request.set_timeout(Duration::from_millis(100));
    let status = server.encoder().encode(request).await.unwrap_err();
    // The client keeps the deadline too, and calls it a cancellation.
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    assert_eq!(gate.event().await, Event::Started);
    assert_eq!(gate.event().await, Event::Cancelled);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_work() {
    let (server, mut gate) = gated_server(Settings::default()).await;
    let mut client = server.encoder();
    let call = tokio::spawn(async move { client.encode(encode_request()).await });
    assert_eq!(gate.event().await, Event::Started);
    call.abort();
    assert_eq!(gate.event().await, Event::Cancelled);
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_refuses_new_connections() {
    let (server, mut gate) = gated_server(Settings::default()).await;
    let mut client = server.encoder();
    let call = tokio::spawn(async move { client.encode(encode_request()).await });
    assert_eq!(gate.event().await, Event::Started);
    let mut health = HealthClient::new(server.channel.clone());
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(request).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let (stopping, _data) = server.stop();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.next().await.is_none());

    gate.open();
    let reply = call.await.unwrap().unwrap().into_inner();
    assert_eq!(reply.embeddings.len(), 1);
    drop(health);
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_that_runs_out_of_time_answers_what_is_left() {
    let settings = Settings { shutdown_timeout_seconds: Some(0), ..Settings::default() };
    let (server, mut gate) = gated_server(settings).await;
    let mut client = server.encoder();
    let call = tokio::spawn(async move { client.encode(encode_request()).await });
    assert_eq!(gate.event().await, Event::Started);
    let (stopping, _data) = server.stop();
    let status = call.await.unwrap().unwrap_err();
    assert_status(&status, Code::Unavailable, &["shutting down"]);
    assert_eq!(gate.event().await, Event::Cancelled);
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_ends_open_streams() {
    let server = TestServer::with_docs(Settings::default()).await;
    let mut replies =
        server.points().upsert_stream(tokio_stream::pending()).await.unwrap().into_inner();
    let (stopping, _data) = server.stop();
    let status = replies.next().await.unwrap().unwrap_err();
    assert_status(&status, Code::Unavailable, &["shutting down"]);
    drop(replies);
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let data = tempfile::tempdir().unwrap();
    let engine = bigrain_engine::Engine::open(data.path(), Default::default()).unwrap();
    let config = Settings { listen: Some(address), ..Settings::default() }.into_config().unwrap();
    let error = bigrain_api::Server::bind(config, engine, Default::default()).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

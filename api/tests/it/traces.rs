//! Spans of requests: where they are sent, what they hang on, and what is not in them.
//!
//! Every wait has an end, so that a collector that is never asked fails a test instead of holding it.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bigrain_api::proto::{Metric, Point, SearchRequest, SearchTextRequest};
use bigrain_api::{Settings, TraceSettings};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::gated_encoder::gated_server;
use crate::support::{TOY, TOY_DIMS, TestServer, config, point, text, toy_models, upsert};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

async fn in_time<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(PATIENCE, work).await.expect("it takes too long")
}

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts a collector; returns it and its address.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let service = TraceServiceServer::new(collector.clone());
        let serve = Server::builder().add_service(service);
        tokio::spawn(serve.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for request in &*self.0.lock().unwrap() {
            for resource in &request.resource_spans {
                for scope in &resource.scope_spans {
                    spans.extend(scope.spans.iter().cloned());
                }
            }
        }
        spans
    }

    /// Everything that was sent, as text.
    fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

/// A server with a collection `docs` whose field has the toy model, and that sends spans.
async fn server(endpoint: String, sample: f32) -> TestServer {
    let traces = Some(TraceSettings { endpoint: Some(endpoint), sample: Some(sample) });
    let settings = Settings { traces, ..Settings::default() };
    let server = TestServer::start_with(settings, toy_models()).await;
    let mut config = config(TOY_DIMS, Metric::Cosine);
    config.model = Some(TOY.to_owned());
    server.create("docs", config).await.unwrap();
    server
}

fn traced<M>(message: M, flags: &str) -> Request<M> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request.metadata_mut().insert("tracestate", "vendor=confidential".parse().unwrap());
    request.metadata_mut().insert("x-request-id", "job-7".parse().unwrap());
    request
}

fn text_search() -> SearchTextRequest {
    SearchTextRequest {
        collection: "docs".to_owned(),
        text: "confidential words".to_owned(),
        filter_json: Some(r#"{"field": "owner", "eq": "confidential owner"}"#.to_owned()),
        ..SearchTextRequest::default()
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone()?.value
}

/// Stops a server, which sends what is left.
async fn stop(server: TestServer) {
    let (serving, _data) = server.stop();
    in_time(serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_search_is_a_span_below_its_callers_with_its_stages_and_nothing_of_the_users() {
    let (collector, address) = Collector::start().await;
    // Nothing of what comes without a trace.
    let server = server(address, 0.0).await;
    let vector: Vec<f32> = (0..TOY_DIMS).map(|at| if at == 0 { 0.625 } else { 0.0 }).collect();
    let stored = Point {
        payload_json: r#"{"owner": "confidential owner", "note": "confidential note"}"#.to_owned(),
        ..point(text("confidential-id"), &vector)
    };
    in_time(server.points().upsert(traced(upsert("docs", vec![stored]), "01"))).await.unwrap();
    let found = in_time(server.search().search_text(traced(text_search(), "01"))).await.unwrap();
    assert_eq!(found.into_inner().points.len(), 1);
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", traceparent.as_str())];
    let path = "/api/v1/collections/docs/points/confidential-id/picture";
    in_time(server.http("GET", path, &headers, "")).await;
    // Not sampled, and without a trace.
    in_time(server.search().search_text(traced(text_search(), "00"))).await.unwrap();
    in_time(server.search().search_text(text_search())).await.unwrap();
    stop(server).await;

    let spans = collector.spans();
    let named =
        |name: &str| -> Vec<&Span> { spans.iter().filter(|span| span.name == name).collect() };
    let [request] = named("/bigrain.v1.Search/SearchText")[..] else {
        panic!("expected one span of a search: {spans:?}");
    };
    assert_eq!(
        (hex(&request.trace_id), hex(&request.parent_span_id)),
        (TRACE.into(), PARENT.into())
    );
    assert_eq!(attribute(request, "bigrain.code"), Some(Value::StringValue("Ok".to_owned())));
    let id = attribute(request, "bigrain.request_id");
    assert_eq!(id, Some(Value::StringValue("job-7".to_owned())));

    let [search] = named("search")[..] else { panic!("expected one search: {spans:?}") };
    assert_eq!(search.parent_span_id, request.span_id);
    assert_eq!(attribute(search, "bigrain.rows_read"), Some(Value::IntValue(1)));
    assert_eq!(named("encode")[0].parent_span_id, request.span_id);
    assert!(!named("verify").is_empty() || !named("candidates").is_empty(), "{spans:?}");
    for stage in spans.iter().filter(|span| ["candidates", "verify"].contains(&&*span.name)) {
        assert_eq!(stage.parent_span_id, search.span_id);
        assert!(search.start_time_unix_nano <= stage.start_time_unix_nano);
    }
    assert_eq!(named("/bigrain.v1.Points/Upsert").len(), 1);
    assert_eq!(named("/api/v1/collections/{collection}/points/{id}/picture").len(), 1);

    let keys: BTreeSet<&str> = spans
        .iter()
        .flat_map(|span| span.attributes.iter().map(|attribute| attribute.key.as_str()))
        .collect();
    let expected = [
        "bigrain.bytes_read",
        "bigrain.candidates",
        "bigrain.code",
        "bigrain.codes_scanned",
        "bigrain.request_id",
        "bigrain.rows_read",
        "bigrain.segments",
    ];
    assert_eq!(keys, expected.into());
    let sent = collector.text();
    for word in ["confidential", "docs\"", "owner", "0.625"] {
        assert!(!sent.contains(word), "{word} is in {sent}");
    }
}

#[tokio::test]
async fn a_collector_that_is_gone_or_silent_fails_no_request_and_no_stop() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let held = format!("http://{}", silent.local_addr().unwrap());
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for endpoint in [gone, held] {
        let server = server(endpoint, 1.0).await;
        // More than the queue holds.
        for _ in 0..1_500 {
            let request = SearchRequest {
                collection: "docs".to_owned(),
                vector: vec![1.0; TOY_DIMS as usize],
                ..SearchRequest::default()
            };
            in_time(server.search().search(request)).await.unwrap();
        }
        stop(server).await;
    }
}

#[tokio::test]
async fn what_fails_here_is_marked_and_what_is_refused_is_not() {
    let (collector, address) = Collector::start().await;
    let traces = Some(TraceSettings { endpoint: Some(address), sample: None });
    let settings = Settings { traces, ..Settings::default() };
    // Its encoder answers nobody.
    let (server, _gate) = gated_server(settings).await;
    let absent = SearchRequest { collection: "absent".to_owned(), ..SearchRequest::default() };
    in_time(server.search().search(absent)).await.unwrap_err();
    let headers = [("content-type", "application/json"), ("grpc-timeout", "50m")];
    let late = in_time(server.http("POST", "/embed", &headers, r#"{"inputs": "a"}"#)).await;
    assert_eq!(late.status, 504);
    assert_eq!(in_time(server.http("GET", "/healthz", &[], "")).await.status, 200);
    stop(server).await;

    let codes: BTreeSet<(String, i32)> = collector
        .spans()
        .iter()
        .filter_map(|span| {
            let Value::StringValue(code) = attribute(span, "bigrain.code")? else { return None };
            Some((code, span.status.as_ref().map_or(0, |s| s.code)))
        })
        .collect();
    // 2 is an error.
    for expected in [("200", 0), ("NotFound", 0), ("504", 2)] {
        let expected = (expected.0.to_owned(), expected.1);
        assert!(codes.contains(&expected), "{expected:?} is not in {codes:?}");
    }
}

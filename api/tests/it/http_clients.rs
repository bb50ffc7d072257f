//! What is described over HTTP, asked at random; and the console, looked at by a browser.

use std::process::Command;

use bigrain_api::Settings;
use bigrain_api::proto::{CollectionConfig, Metric, Point, TextField, UpsertRequest};
use bigrain_api::proto::{CreateCollectionRequest, EncodeRequest};
use serde_json::json;

use crate::access::{WRITER, settings, shown};
use crate::clients::{folder, has_browser, python, run};
use crate::support::{TOY, TestServer, num, point, toy_models, upsert};

/// The texts of forty points.
fn texts() -> Vec<String> {
    let animals = ["cat", "dog", "horse", "cow", "hen"];
    let acts = ["sleeps", "runs", "eats", "hides", "waits", "sits", "looks", "plays"];
    let of = |animal: &str| acts.map(|act| format!("a {animal} {act} at night"));
    animals.into_iter().flat_map(of).collect()
}

/// A server with a collection of texts. It asks for a key.
async fn server(settings: Settings) -> TestServer {
    let server = TestServer::start_with(settings, toy_models()).await;
    let config = CollectionConfig {
        metric: Metric::Cosine.into(),
        model: Some(TOY.to_owned()),
        text_fields: vec![TextField { paths: vec!["text".to_owned()], ..TextField::default() }],
        ..CollectionConfig::default()
    };
    let create = CreateCollectionRequest { name: "docs".to_owned(), config: Some(config) };
    server.collections().create(shown(WRITER, create)).await.unwrap();
    let texts = texts();
    let encode = EncodeRequest { texts: texts.clone(), ..EncodeRequest::default() };
    let encoded = server.encoder().encode(shown(WRITER, encode)).await.unwrap().into_inner();
    let points =
        texts.iter().zip(encoded.embeddings).zip(1..).map(|((text, vector), number)| Point {
            // Markup that is stored stays text.
            payload_json:
                json!({"text": text, "year": 1990 + number, "note": "<img src=x onerror=alert(1)>"})
                    .to_string(),
            ..point(num(number), &vector.values)
        });
    let points = upsert("docs", points.collect());
    let request = UpsertRequest { space: Some(encoded.space), ..points };
    server.points().upsert(shown(WRITER, request)).await.unwrap();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_searches_measures_and_fits_into_small_windows() {
    let Some(python) = python() else { return };
    if !has_browser() {
        return;
    }
    let server = server(settings()).await;
    let mut command = Command::new(python);
    command.args(["console.py", &format!("http://{}/", server.address)]);
    command.args(["docs", "a horse that eats", "--key", WRITER]);
    let out = run(command).await;
    assert!(out.contains("the console shows 19 first for 'a horse that eats'"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_requests_are_answered_as_the_document_says_and_never_by_a_failure() {
    let Some(python) = python() else { return };
    let server = server(Settings::default()).await;
    let document = format!("http://{}/openapi.json", server.address);
    let fuzz = folder().join("fuzz");
    let asked = |phases: [&str; 2], checks: &str| {
        let mut command = Command::new(python.with_file_name("schemathesis"));
        let scratch = tempfile::tempdir().unwrap();
        command.current_dir(scratch.path());
        command.args(["--no-color", "--config-file"]);
        command.arg(fuzz.join("schemathesis.toml"));
        command.args(["run", &document, "--seed", "1", "--continue-on-failure"]);
        command.args(["--max-examples", "40", "--request-timeout", "30", "--checks", checks]);
        command.arg(format!("--phases={}", phases[0])).arg(format!("--mode={}", phases[1]));
        (command, scratch)
    };
    let (command, _scratch) = asked(
        ["examples,coverage,fuzzing", "all"],
        "not_a_server_error,status_code_conformance,content_type_conformance,\
         response_schema_conformance,unsupported_method,negative_data_rejection",
    );
    let out = run(command).await;
    assert!(out.contains("20 selected / 20 total"), "{out}");
    // And deeper: requests that pass the first checks.
    let (mut command, _scratch) = asked(
        ["fuzzing", "positive"],
        "not_a_server_error,status_code_conformance,response_schema_conformance",
    );
    command.env("SCHEMATHESIS_HOOKS", fuzz.join("hooks.py")).env("PYTHONPATH", &fuzz);
    run(command).await;
    let metrics = server.http("GET", "/metrics", &[], "").await.body;
    let failed = |line: &&str| line.contains("code=\"5") || line.contains("Internal");
    let failed: Vec<&str> = metrics.lines().filter(failed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    for call in ["search", "scroll", "points", "facet"] {
        let path = format!("call=\"/api/v1/collections/{{collection}}/{call}\",code=\"200\"");
        assert!(metrics.contains(&path), "{call} never succeeded");
    }
}

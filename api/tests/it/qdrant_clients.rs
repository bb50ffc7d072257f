//! Clients of Qdrant, unmodified, on a server of ours.
//!
//! They run in the Python that `scripts/setup.sh clients` makes ([`clients`](crate::clients)).

use std::process::Command;

use bigrain_api::Settings;

use crate::clients::{python, run};
use crate::support::{TestServer, toy_models};

/// A server on ports that the system picks.
async fn server() -> (TestServer, String, u16) {
    let free = Some("127.0.0.1:0".parse().unwrap());
    let settings =
        Settings { qdrant_rest_listen: free, qdrant_grpc_listen: free, ..Settings::default() };
    let server = TestServer::start_with(settings, toy_models()).await;
    let [rest, grpc] = server.qdrant;
    (server, format!("http://{}", rest.unwrap()), grpc.unwrap().port())
}

#[tokio::test(flavor = "multi_thread")]
async fn random_operations_over_rest_are_the_same_as_on_the_reference() {
    let Some(python) = python() else { return };
    let (_server, url, _) = server().await;
    let mut command = Command::new(python);
    command.args(["differential.py", "--operations", "2000", "--seed", "1", "--url", &url]);
    let out = run(command).await;
    assert!(out.contains("2000 operations are the same"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_operations_over_grpc_are_the_same_as_on_the_reference() {
    let Some(python) = python() else { return };
    let (_server, url, port) = server().await;
    let mut command = Command::new(python);
    command.args(["differential.py", "--operations", "500", "--seed", "2", "--url", &url]);
    command.args(["--grpc-port", &port.to_string()]);
    let out = run(command).await;
    assert!(out.contains("500 operations are the same"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_tests_of_vector_stores_pass_through_langchain() {
    let Some(python) = python() else { return };
    let (_server, url, _) = server().await;
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "langchain_standard.py"]);
    command.args(["-o", "asyncio_mode=auto"]);
    command.env("BIGRAIN_URL", url);
    let out = run(command).await;
    assert!(out.contains("25 passed"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_run() {
    let Some(python) = python() else { return };
    // Each protocol is spoken on every port.
    let (_server, url, _) = server().await;
    for (example, last) in [
        ("with_qdrant_client.py", "of both kinds: {False: 3, True: 2}"),
        ("with_langchain.py", "by id: Light codes in memory find the candidates."),
        ("with_openai.py", "the cat on a mat: 0.869 A cat sleeps on the mat."),
        ("with_grpc.py", "the cat on a mat: 0.869 A cat sleeps on the mat."),
    ] {
        let path = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python/{}"), example);
        let mut command = Command::new(&python);
        command.args([&path, &url]);
        let out = run(command).await;
        assert_eq!(out.trim_end().lines().last(), Some(last), "{out}");
    }
}

//! Clients of Qdrant, unmodified, on a server of ours.
//!
//! They run in the Python that `scripts/setup.sh clients` makes. Without it these tests are passed over with a
//! line that says so; `REQUIRE_CLIENTS=1` turns that into a failure.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use bigrain_api::Settings;

use crate::support::{TestServer, toy_models};

/// The Python of the clients, if it is there.
fn python() -> Option<PathBuf> {
    let folder = std::env::var_os("BIGRAIN_CLIENTS").map(PathBuf::from);
    let python = folder.map(|folder| folder.join("bin/python"));
    let python = python.filter(|python| python.is_file());
    if python.is_none() {
        let required = std::env::var_os("REQUIRE_CLIENTS").is_some();
        assert!(!required, "BIGRAIN_CLIENTS has no Python: run scripts/setup.sh clients");
        println!("passed over: BIGRAIN_CLIENTS has no Python (scripts/setup.sh clients)");
    }
    python
}

/// A server on ports that the system picks.
async fn server() -> (TestServer, String, u16) {
    let free = Some("127.0.0.1:0".parse().unwrap());
    let settings =
        Settings { qdrant_rest_listen: free, qdrant_grpc_listen: free, ..Settings::default() };
    let server = TestServer::start_with(settings, toy_models()).await;
    let [rest, grpc] = server.qdrant;
    (server, format!("http://{}", rest.unwrap()), grpc.unwrap().port())
}

/// Runs a program to its end, and returns what it printed. It must succeed.
async fn run(mut command: Command) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
    command.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{error}", output.status);
    println!("{out}");
    out
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
    let (_server, url, _) = server().await;
    for (example, last) in [
        ("with_qdrant_client.py", "of both kinds: {False: 3, True: 2}"),
        ("with_langchain.py", "by id: Light codes in memory find the candidates."),
    ] {
        let path = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/{}"), example);
        let mut command = Command::new(&python);
        command.args([&path, &url]);
        let out = run(command).await;
        assert_eq!(out.trim_end().lines().last(), Some(last), "{out}");
    }
}

//! Programs in Python that talk to a server of ours.
//!
//! They run in the Python that `scripts/setup.sh clients` makes. Without it tests of them are passed over with a
//! line that says so; `REQUIRE_CLIENTS=1` turns that into a failure, and `REQUIRE_BROWSER=1` does so for a browser.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The Python of the clients, if it is there.
pub fn python() -> Option<PathBuf> {
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

/// Whether there is a headless browser.
pub fn has_browser() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium-headless-shell", "chromium", "google-chrome"];
    let there = std::env::split_paths(&path)
        .any(|folder| names.iter().any(|name| folder.join(name).is_file()));
    if !there {
        let required = std::env::var_os("REQUIRE_BROWSER").is_some();
        assert!(!required, "no headless browser: apt-get install chromium-headless-shell");
        println!("passed over: no headless browser (chromium-headless-shell)");
    }
    there
}

/// Where the programs are.
pub fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients"))
}

/// Runs a program to its end, in the folder of these programs unless it has another, and returns what it printed.
/// It must succeed.
pub async fn run(mut command: Command) -> String {
    let folder = folder();
    if command.get_current_dir().is_none() {
        command.current_dir(folder);
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{error}", output.status);
    println!("{out}");
    out
}

//! A folder to run `bigrain` in, and files for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A folder with input files and a data folder.
pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// Runs `bigrain` with the words of `line`.
    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// `bigrain` with the words of `line`, where no model is to be found.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bigrain"));
        command.current_dir(self.0.path()).args(line.split_whitespace());
        command.env("BIGRAIN_DATA", self.path("data")).env("BIGRAIN_CACHE", self.path("cache"));
        command
            .env_remove("BIGRAIN_MODEL")
            .env_remove("BIGRAIN_IMAGE_MODEL")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn succeed(&self, line: &str) -> String {
        let output = self.run(line);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{line}: {out}{err}");
        out
    }

    pub fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.succeed(line)).unwrap()
    }

    /// Expects a failure of exit code `code`, and returns its one line; of a refused command line, behind
    /// which its usage is told, the one that says why.
    pub fn fail(&self, line: &str, code: i32) -> String {
        let output = self.run(line);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "{line}: {out}{err}");
        let told = |line: &&str| line.starts_with("error: ");
        let told = if code == 2 { err.lines().find(told) } else { err.lines().last().filter(told) };
        assert!(told.is_some(), "{line}: no error is told: {err}");
        told.unwrap_or_default().to_owned()
    }
}

pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The bytes of a `.npy` matrix.
pub fn npy<const DIMS: usize>(rows: &[[f32; DIMS]]) -> Vec<u8> {
    let shape = format!("({}, {DIMS})", rows.len());
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    rows.iter().flatten().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    bytes
}

/// The bytes of an `.fvecs` file.
pub fn fvecs<const DIMS: usize>(rows: &[[f32; DIMS]]) -> Vec<u8> {
    let components = |row: &[f32; DIMS]| row.iter().flat_map(|value| value.to_le_bytes()).collect();
    texmex(rows.iter().map(components), DIMS)
}

/// The bytes of an `.ivecs` file.
pub fn ivecs<const WIDTH: usize>(rows: &[[i32; WIDTH]]) -> Vec<u8> {
    let components = |row: &[i32; WIDTH]| row.iter().flat_map(|id| id.to_le_bytes()).collect();
    texmex(rows.iter().map(components), WIDTH)
}

/// The bytes of a `.bvecs` file.
pub fn bvecs<const DIMS: usize>(rows: &[[u8; DIMS]]) -> Vec<u8> {
    texmex(rows.iter().map(|row| row.to_vec()), DIMS)
}

fn texmex(rows: impl Iterator<Item = Vec<u8>>, dims: usize) -> Vec<u8> {
    rows.flat_map(|row| [(dims as i32).to_le_bytes().to_vec(), row].concat()).collect()
}

/// Vectors that look random and are the same every time, components between -1 and 1.
pub fn noise<const DIMS: usize>(rows: usize, seed: u64) -> Vec<[f32; DIMS]> {
    let mut state = seed;
    let mut component = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..rows).map(|_| std::array::from_fn(|_| component())).collect()
}

/// The model that `make test` fetches; without it a test says that it did nothing, unless
/// `REQUIRE_MODEL=1` forbids that.
pub fn model_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("BIGRAIN_MODEL").map(PathBuf::from);
    let found = folder.filter(|folder| Path::new(folder).is_dir());
    if found.is_none() {
        let required = std::env::var_os("REQUIRE_MODEL").is_some_and(|value| value == "1");
        assert!(!required, "REQUIRE_MODEL=1, but BIGRAIN_MODEL names no model folder");
        println!("skipped: BIGRAIN_MODEL names no model folder");
    }
    found
}

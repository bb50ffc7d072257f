//! What a user may configure, and what the server runs with.
//!
//! Two stages: [`Settings`] holds what was written in a file or on a command line, all of it
//! optional; [`Config`] has everything decided. [`Settings::into_config`] is the only way from one
//! to the other, and the only place with defaults and checks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bigrain_engine::{DeviceChoice, MAX_POINTS_PER_BATCH, VerifyIo};
use serde::Deserialize;
use thiserror::Error;
use tonic::codegen::http::Uri;

use crate::access::{KeySettings, Keys};
use crate::connections::TlsFiles;

/// The port the server listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 7700;
/// The ports where clients of Qdrant look for REST and for gRPC.
pub const QDRANT_PORTS: [u16; 2] = [6333, 6334];

/// The range a message limit may have. Lengths have 32 bits in gRPC, and a message is held in
/// memory as a whole.
const MESSAGE_BYTES: RangeInclusive<usize> = 64 << 10..=1 << 30;
/// The range a timeout of connections may have, in seconds.
const TIMEOUT_SECONDS: RangeInclusive<usize> = 1..=86_400;

/// What a user wrote, in a file or on the command line; what is absent takes its default.
///
/// ```
/// use bigrain_api::Settings;
///
/// let settings: Settings = serde_json::from_str(r#"{ "listen": "127.0.0.1:9000" }"#)?;
/// let config = settings.into_config()?;
/// assert_eq!(config.listen.port(), 9000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on; 127.0.0.1:7700. Port 0 picks a free one.
    pub listen: Option<SocketAddr>,
    /// Another address and port to listen on, where clients of Qdrant look for REST; none. They look at port 6333.
    pub qdrant_rest_listen: Option<SocketAddr>,
    /// Another address and port to listen on, where clients of Qdrant look for gRPC; none. They look at port 6334.
    pub qdrant_grpc_listen: Option<SocketAddr>,
    /// Keys that callers must show, and what each allows; none. With keys, these addresses may be reachable from
    /// other machines.
    pub keys: Option<Vec<KeySettings>>,
    /// Whether these addresses may be reachable from other machines without keys; no. Who reaches a port may
    /// then read, write and drop everything.
    pub allow_remote: Option<bool>,
    /// Model folders to load, encoders and cross-encoders; none. A model's name is its folder's.
    pub models: Option<Vec<PathBuf>>,
    /// The folder of backups; `backups` in the data folder.
    pub backups: Option<PathBuf>,
    /// A folder of pictures that payloads name, which the console shows; none.
    pub pictures: Option<PathBuf>,
    /// Threads that encode texts; 0, one for each core.
    pub encode_threads: Option<usize>,
    /// Largest request, and largest reply, in bytes; 32 MiB.
    pub max_message_bytes: Option<usize>,
    /// Points or ids in one request; 10000, which is also the most the engine takes.
    pub max_points_per_batch: Option<usize>,
    /// Texts in one encode request; 1024.
    pub max_texts_per_encode: Option<usize>,
    /// Searches and reads at work or waiting; 256. More are refused.
    pub max_concurrent_searches: Option<usize>,
    /// Writes at work or waiting; 256. More are refused.
    pub max_concurrent_writes: Option<usize>,
    /// Encode requests and text queries at work or waiting; 64. More are refused.
    pub max_concurrent_encodes: Option<usize>,
    /// Connections at once, on all ports together; 12000. More are told so and closed.
    pub max_connections: Option<usize>,
    /// How long a client may take for the handshake of TLS, and over HTTP/1.1 for the head of its next request, in
    /// seconds; 30.
    pub header_timeout_seconds: Option<u64>,
    /// How long a client may take for the body of a request, in seconds; 60, and one more for each 4 KiB that came.
    pub body_timeout_seconds: Option<u64>,
    /// How long a connection may be without requests, in seconds; 300.
    pub idle_timeout_seconds: Option<u64>,
    /// The files of TLS; none, all ports speak in clear.
    pub tls: Option<TlsSettings>,
    /// The share of searches by vector, 0 to 1, that are answered a second time, exactly and in the background, to see
    /// what share of the true neighbours was found; 0.
    pub recall_sample: Option<f32>,
    /// Where spans of requests are sent; none, nothing is sent.
    pub traces: Option<TraceSettings>,
    /// How long a shutdown waits for requests, in seconds; 10.
    pub shutdown_timeout_seconds: Option<u64>,
    /// How vectors on disk reach verification: auto, map, uring or pread; auto.
    pub verify_io: Option<VerifyIo>,
    /// What scans codes: cpu, auto (the first GPU if there is one) or cuda:N; cpu.
    pub device: Option<DeviceChoice>,
}

/// The files of TLS as a user wrote them, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// The server's certificate, and those between it and its authority.
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate, not encrypted.
    pub key: Option<PathBuf>,
    /// The authorities whose certificates clients must show; none, clients show none.
    pub client_ca: Option<PathBuf>,
}

/// Where spans of requests are sent, as a user wrote it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceSettings {
    /// Where a collector takes OTLP over gRPC, such as `http://127.0.0.1:4317`.
    pub endpoint: Option<String>,
    /// The share of requests whose spans are sent, 0 to 1, of those that come without a trace; 1. What comes with a
    /// trace is sent if that says so.
    pub sample: Option<f32>,
}

/// What the server runs with. Made by [`Settings::into_config`].
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Another address to listen on, where clients of Qdrant look for REST.
    pub qdrant_rest_listen: Option<SocketAddr>,
    /// Another address to listen on, where clients of Qdrant look for gRPC.
    pub qdrant_grpc_listen: Option<SocketAddr>,
    /// Keys; none lets everybody in.
    pub keys: Keys,
    /// Model folders to load, for [`ModelRegistry::open`](crate::ModelRegistry::open).
    pub models: Vec<PathBuf>,
    /// The folder of backups; `None` is `backups` in the data folder.
    pub backups: Option<PathBuf>,
    /// A folder of pictures that payloads name, which the console shows.
    pub pictures: Option<PathBuf>,
    /// Threads that encode texts; 0 means one for each core.
    pub encode_threads: usize,
    /// What a request may ask for.
    pub limits: Limits,
    /// How many connections there may be, and how long their steps may take.
    pub connections: ConnectionLimits,
    /// The files of TLS; `None` is none.
    pub tls: Option<TlsFiles>,
    /// The share of searches by vector that are answered a second time, exactly.
    pub recall_sample: f32,
    /// Where spans of requests are sent; `None`, nothing is sent.
    pub traces: Option<TraceConfig>,
    /// How long a shutdown waits for requests.
    pub shutdown_timeout: Duration,
    /// How vectors on disk reach verification, for whoever opens the engine.
    pub verify_io: VerifyIo,
    /// What scans codes, for whoever opens the engine.
    pub device: DeviceChoice,
}

/// What requests may ask for, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request, and largest reply, in bytes.
    pub max_message_bytes: usize,
    /// Points or ids in one request.
    pub max_points_per_batch: usize,
    /// Texts in one encode request.
    pub max_texts_per_encode: usize,
    /// Searches and reads at work or waiting.
    pub max_concurrent_searches: usize,
    /// Writes at work or waiting.
    pub max_concurrent_writes: usize,
    /// Encode requests and text queries at work or waiting.
    pub max_concurrent_encodes: usize,
}

/// Where spans of requests are sent, and of which.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceConfig {
    /// A collector of OTLP over gRPC, in clear.
    pub endpoint: Uri,
    /// The share of requests, of those that come without a trace, 0 to 1.
    pub sample: f32,
}

/// How many connections there may be, and how long their steps may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at once, on all ports together.
    pub max_connections: usize,
    /// For the handshake of TLS, and over HTTP/1.1 for the head of the next request.
    pub header_timeout: Duration,
    /// For the body of a request, before the time that goes by what has come.
    pub body_timeout: Duration,
    /// Without a request at work.
    pub idle_timeout: Duration,
}

/// A setting that is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsError {
    /// An address is not a loopback address, callers show neither keys nor certificates, and `allow_remote` is not set.
    #[error(
        "listen address {0} can be reached from other machines, and there are no keys: \
         set keys or tls.client_ca, or listen on 127.0.0.1"
    )]
    Remote(SocketAddr),
    /// A key that is refused; its secret is not said.
    #[error("key {name:?}: {reason}")]
    Key {
        /// The key's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// One of two settings that need each other is missing.
    #[error("{missing} is not set, which {stated} needs")]
    Missing {
        /// What is not set.
        missing: &'static str,
        /// What is.
        stated: &'static str,
    },
    /// A value that is refused, and may hold a secret.
    #[error("{name}: expected {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// A number out of its range.
    #[error("{name} out of range: expected {min} to {max}, got {actual}")]
    Range {
        /// The setting.
        name: &'static str,
        /// Its smallest value.
        min: usize,
        /// Its largest value.
        max: usize,
        /// What was written.
        actual: usize,
    },
}

impl Settings {
    /// Decides everything that was left open and checks the rest.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] for a number out of range, or an address that other machines reach
    /// without keys or `allow_remote`.
    pub fn into_config(self) -> Result<Config, SettingsError> {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT);
        let listen = self.listen.unwrap_or(loopback);
        let limits = self.limits()?;
        let connections = self.connections()?;
        let tls = self.tls.map(TlsSettings::into_files).transpose()?;
        let traces = self.traces.map(TraceSettings::into_config).transpose()?;
        let recall_sample = share("recall_sample", self.recall_sample, 0.0)?;
        let shows_certificates = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let keys = Keys::new(self.keys.unwrap_or_default())?;
        let all = [Some(listen), self.qdrant_rest_listen, self.qdrant_grpc_listen];
        let is_remote = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
        if let Some(remote) = all.into_iter().flatten().find(is_remote)
            && keys.is_empty()
            && !shows_certificates
            && !self.allow_remote.unwrap_or(false)
        {
            return Err(SettingsError::Remote(remote));
        }
        let shutdown_timeout = Duration::from_secs(self.shutdown_timeout_seconds.unwrap_or(10));
        Ok(Config {
            listen,
            qdrant_rest_listen: self.qdrant_rest_listen,
            qdrant_grpc_listen: self.qdrant_grpc_listen,
            keys,
            models: self.models.unwrap_or_default(),
            backups: self.backups,
            pictures: self.pictures,
            encode_threads: self.encode_threads.unwrap_or(0),
            limits,
            connections,
            tls,
            recall_sample,
            traces,
            shutdown_timeout,
            verify_io: self.verify_io.unwrap_or_default(),
            device: self.device.unwrap_or_default(),
        })
    }

    fn connections(&self) -> Result<ConnectionLimits, SettingsError> {
        let seconds = |name, written: Option<u64>, default| {
            let written = written.map(|seconds| usize::try_from(seconds).unwrap_or(usize::MAX));
            let seconds = in_range(name, written, default, TIMEOUT_SECONDS)?;
            Ok(Duration::from_secs(seconds as u64))
        };
        Ok(ConnectionLimits {
            max_connections: in_range(
                "max_connections",
                self.max_connections,
                12_000,
                1..=1 << 20,
            )?,
            header_timeout: seconds("header_timeout_seconds", self.header_timeout_seconds, 30)?,
            body_timeout: seconds("body_timeout_seconds", self.body_timeout_seconds, 60)?,
            idle_timeout: seconds("idle_timeout_seconds", self.idle_timeout_seconds, 300)?,
        })
    }

    fn limits(&self) -> Result<Limits, SettingsError> {
        let concurrent = |name, written, default| in_range(name, written, default, 1..=65_536);
        Ok(Limits {
            max_message_bytes: in_range(
                "max_message_bytes",
                self.max_message_bytes,
                32 << 20,
                MESSAGE_BYTES,
            )?,
            max_points_per_batch: in_range(
                "max_points_per_batch",
                self.max_points_per_batch,
                MAX_POINTS_PER_BATCH,
                1..=MAX_POINTS_PER_BATCH,
            )?,
            max_texts_per_encode: in_range(
                "max_texts_per_encode",
                self.max_texts_per_encode,
                1024,
                1..=1 << 20,
            )?,
            max_concurrent_searches: concurrent(
                "max_concurrent_searches",
                self.max_concurrent_searches,
                256,
            )?,
            max_concurrent_writes: concurrent(
                "max_concurrent_writes",
                self.max_concurrent_writes,
                256,
            )?,
            max_concurrent_encodes: concurrent(
                "max_concurrent_encodes",
                self.max_concurrent_encodes,
                64,
            )?,
        })
    }
}

impl TlsSettings {
    fn into_files(self) -> Result<TlsFiles, SettingsError> {
        let missing = |missing, stated| SettingsError::Missing { missing, stated };
        let [certificate, key] = ["tls.certificate", "tls.key"];
        match (self.certificate, self.key, self.client_ca) {
            (Some(certificate), Some(key), client_ca) => {
                Ok(TlsFiles { certificate, key, client_ca })
            }
            (None, Some(_), _) => Err(missing(certificate, key)),
            (Some(_), None, _) => Err(missing(key, certificate)),
            (None, None, Some(_)) => Err(missing(certificate, "tls.client_ca")),
            (None, None, None) => Err(missing(certificate, "tls")),
        }
    }
}

impl TraceSettings {
    fn into_config(self) -> Result<TraceConfig, SettingsError> {
        let [name, stated] = ["traces.endpoint", "traces"];
        let endpoint = self.endpoint.ok_or(SettingsError::Missing { missing: name, stated })?;
        let is_address = |uri: &Uri| {
            uri.scheme_str() == Some("http")
                && uri.path_and_query().is_none_or(|path| path == "/")
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        };
        let expected = "http://HOST:PORT of a collector that takes OTLP over gRPC in clear";
        let endpoint = endpoint.parse().ok().filter(is_address);
        let endpoint = endpoint.ok_or(SettingsError::Value { name, expected })?;
        let sample = share("traces.sample", self.sample, 1.0)?;
        Ok(TraceConfig { endpoint, sample })
    }
}

fn share(name: &'static str, written: Option<f32>, default: f32) -> Result<f32, SettingsError> {
    let share = written.unwrap_or(default);
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(SettingsError::Value { name, expected: "0 to 1" })
}

fn in_range(
    name: &'static str,
    written: Option<usize>,
    default: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, SettingsError> {
    let actual = written.unwrap_or(default);
    if range.contains(&actual) {
        return Ok(actual);
    }
    Err(SettingsError::Range { name, min: *range.start(), max: *range.end(), actual })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_let_other_machines_in() {
        let key = r#"{"name": "app", "secret": "0123456789abcdef", "access": "write"}"#;
        for listen in ["listen", "qdrant_rest_listen", "qdrant_grpc_listen"] {
            let json = format!(r#"{{"{listen}": "0.0.0.0:7700", "keys": [{key}]}}"#);
            assert!(parse(&json).is_ok(), "{listen}");
            let json = format!(r#"{{"{listen}": "0.0.0.0:7700", "keys": []}}"#);
            let error = parse(&json).unwrap_err();
            assert!(error.to_string().contains("there are no keys: set keys"), "{error}");
        }
    }

    fn parse(json: &str) -> Result<Config, SettingsError> {
        serde_json::from_str::<Settings>(json).unwrap().into_config()
    }

    #[test]
    fn certificates_of_clients_let_other_machines_in_and_those_of_the_server_do_not() {
        let tls = r#""tls": {"certificate": "a.pem", "key": "b.pem""#;
        let remote = r#""listen": "0.0.0.0:7700""#;
        assert!(parse(&format!(r#"{{{remote}, {tls}, "client_ca": "c.pem"}}}}"#)).is_ok());
        let error = parse(&format!("{{{remote}, {tls}}}}}")).unwrap_err();
        assert!(matches!(error, SettingsError::Remote(_)), "{error}");
    }

    #[test]
    fn a_missing_part_of_tls_is_named() {
        for (tls, missing) in [
            (r#"{"key": "a"}"#, "tls.certificate is not set, which tls.key needs"),
            (r#"{"certificate": "a"}"#, "tls.key is not set, which tls.certificate needs"),
            (r#"{"client_ca": "a"}"#, "tls.certificate is not set, which tls.client_ca needs"),
            ("{}", "tls.certificate is not set, which tls needs"),
        ] {
            assert_eq!(parse(&format!(r#"{{"tls": {tls}}}"#)).unwrap_err().to_string(), missing);
        }
    }

    #[test]
    fn spans_are_sent_only_where_told_and_what_is_wrong_with_that_is_named() {
        assert_eq!(parse("{}").unwrap().traces, None);
        let traces = |traces: &str| parse(&format!(r#"{{"traces": {traces}}}"#));
        let config = traces(r#"{"endpoint": "http://collector:4317"}"#).unwrap().traces.unwrap();
        assert_eq!((config.endpoint.port_u16(), config.sample), (Some(4317), 1.0));
        let error = traces(r#"{"sample": 0.5}"#).unwrap_err().to_string();
        assert_eq!(error, "traces.endpoint is not set, which traces needs");
        for endpoint in ["", "collector:4317", "https://a:1", "http://me:secret@a:1", "http://a/b"]
        {
            let error =
                traces(&format!(r#"{{"endpoint": "{endpoint}"}}"#)).unwrap_err().to_string();
            assert!(error.starts_with("traces.endpoint: expected http://"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let error = traces(r#"{"endpoint": "http://a:1", "sample": 1.5}"#).unwrap_err();
        assert_eq!(error.to_string(), "traces.sample: expected 0 to 1");
        for share in ["-0.1", "1.1"] {
            let error = parse(&format!(r#"{{"recall_sample": {share}}}"#)).unwrap_err();
            assert_eq!(error.to_string(), "recall_sample: expected 0 to 1");
        }
    }

    #[test]
    fn nothing_written_is_loopback_with_defaults() {
        let config = parse("{}").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:7700");
        assert_eq!(config.limits.max_message_bytes, 32 << 20);
        assert_eq!(config.shutdown_timeout, Duration::from_secs(10));
        assert_eq!(config.verify_io, VerifyIo::Auto);
        assert_eq!(config.recall_sample, 0.0);
    }

    #[test]
    fn ways_of_reading_go_by_their_names() {
        assert_eq!(parse(r#"{"verify_io": "pread"}"#).unwrap().verify_io, VerifyIo::Pread);
        let error = serde_json::from_str::<Settings>(r#"{"verify_io": "mmap"}"#).unwrap_err();
        assert!(error.to_string().contains("unknown variant `mmap`"), "{error}");
    }

    #[test]
    fn unknown_settings_are_refused_by_name() {
        let error = serde_json::from_str::<Settings>(r#"{"lisen": "127.0.0.1:1"}"#).unwrap_err();
        assert!(error.to_string().contains("lisen"), "{error}");
    }

    #[test]
    fn other_machines_are_let_in_only_when_told_so() {
        for remote in ["0.0.0.0:7700", "[::]:7700", "192.0.2.1:80"] {
            let json = format!(r#"{{"listen": "{remote}"}}"#);
            assert_eq!(parse(&json), Err(SettingsError::Remote(remote.parse().unwrap())));
            let rest = format!(r#"{{"qdrant_rest_listen": "{remote}"}}"#);
            assert_eq!(parse(&rest), Err(SettingsError::Remote(remote.parse().unwrap())));
            let json = format!(r#"{{"listen": "{remote}", "allow_remote": true}}"#);
            assert!(parse(&json).is_ok());
        }
        for local in ["127.0.0.1:0", "127.8.9.1:1", "[::1]:7700", "[::ffff:127.0.0.1]:7700"] {
            assert!(parse(&format!(r#"{{"listen": "{local}"}}"#)).is_ok(), "{local}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        assert_eq!(
            parse(r#"{"max_points_per_batch": 0}"#).unwrap_err().to_string(),
            format!(
                "max_points_per_batch out of range: expected 1 to {MAX_POINTS_PER_BATCH}, got 0"
            )
        );
        for name in [
            "max_message_bytes",
            "max_texts_per_encode",
            "max_concurrent_searches",
            "max_connections",
            "header_timeout_seconds",
            "body_timeout_seconds",
            "idle_timeout_seconds",
        ] {
            let error = parse(&format!(r#"{{"{name}": 0}}"#)).unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
        }
    }
}

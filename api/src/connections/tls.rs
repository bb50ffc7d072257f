//! TLS, and mutual TLS: certificates from files, read at the start and again when the files are others.
//!
//! Nobody has to say so when a certificate was renewed: a handshake looks, at most once a second, whether a file changed. A pair
//! that is refused then, such as a certificate whose key is not there yet, leaves the former one in use.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// The protocols spoken, the preferred one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// How often a handshake may look for new files.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The files of TLS, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the server, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
    /// The authorities whose certificates clients must show; `None` asks for none.
    pub client_ca: Option<PathBuf>,
}

/// A file of TLS that is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is not there, or not readable.
    #[error("{setting} {}", path.display())]
    Read {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why the system refused.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{setting} {}: {reason}", path.display())]
    File {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The certificates of a server, as they are now.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// The files that were read last, whether they were taken or refused.
    versions: Vec<Option<Version>>,
    looked: Instant,
}

/// Which file there is under a name: when it was written, how long it is, and its number.
type Version = (i64, i64, u64, u64);

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which names the setting and the file.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let versions = files.versions();
        let config = Arc::new(files.read()?);
        let loaded = Mutex::new(Loaded { config, versions, looked: Instant::now() });
        Ok(Self { files, loaded })
    }

    /// Returns what secures a connection, by the files as they are now.
    pub(crate) fn acceptor(&self, now: Instant) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(loaded.looked) >= LOOK_INTERVAL {
            loaded.looked = now;
            let versions = self.files.versions();
            if versions != loaded.versions {
                loaded.versions = versions;
                self.reload(&mut loaded);
            }
        }
        TlsAcceptor::from(Arc::clone(&loaded.config))
    }

    fn reload(&self, loaded: &mut Loaded) {
        match self.files.read() {
            Ok(config) => {
                loaded.config = Arc::new(config);
                tracing::info!(certificate = %self.files.certificate.display(), "new certificates are in use");
            }
            Err(error) => tracing::warn!(
                error = crate::status::with_causes(&error),
                "new certificates are refused, the former ones stay in use"
            ),
        }
    }
}

impl TlsFiles {
    fn versions(&self) -> Vec<Option<Version>> {
        let version = |path: &PathBuf| {
            let file = fs::metadata(path).ok()?;
            Some((file.mtime(), file.mtime_nsec(), file.size(), file.ino()))
        };
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca).map(version).collect()
    }

    fn read(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let refused = |setting, path: &Path, error: &dyn std::error::Error| TlsError::File {
            setting,
            path: path.to_owned(),
            reason: crate::status::with_causes(error),
        };
        let chain = certificates("tls.certificate", &self.certificate)?;
        let key = private_key(&self.key)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| refused("tls.certificate", &self.certificate, &error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("tls.client_ca", path)? {
                    roots
                        .add(certificate)
                        .map_err(|error| refused("tls.client_ca", path, &error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let verifier = verifier.map_err(|error| refused("tls.client_ca", path, &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            if !matches!(error, rustls::Error::InconsistentKeys(_)) {
                return refused("tls.certificate", &self.certificate, &error);
            }
            let reason = format!("not the key of {}", self.certificate.display());
            TlsError::File { setting: "tls.key", path: self.key.clone(), reason }
        })?;
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        Ok(config)
    }
}

fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(setting, path)?;
    let file_error = |reason| TlsError::File { setting, path: path.to_owned(), reason };
    let read = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, pem::Error>>();
    match read {
        Ok(found) if found.is_empty() => {
            Err(file_error("no certificate in it: expected PEM, BEGIN CERTIFICATE".to_owned()))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(file_error(error.to_string())),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    const SETTING: &str = "tls.key";
    let text = read(SETTING, path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let holds = |words: &[u8]| text.windows(words.len()).any(|part| part == words);
        let reason = if holds(b"ENCRYPTED") {
            "the key is encrypted: write it without a password, in a file for this user only"
                .to_owned()
        } else if matches!(error, pem::Error::NoItemsFound) {
            "no private key in it: expected PEM, BEGIN PRIVATE KEY".to_owned()
        } else {
            error.to_string()
        };
        TlsError::File { setting: SETTING, path: path.to_owned(), reason }
    })
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { setting, path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;

    /// A folder with a certificate, its key, and whatever else a test writes.
    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.renew("server.pem", "server.key");
            folder
        }

        /// Writes a new certificate and its key.
        fn renew(&self, certificate: &str, key: &str) {
            let CertifiedKey { cert, signing_key } =
                generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            self.write(certificate, &cert.pem());
            self.write(key, &signing_key.serialize_pem());
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.path().join(name), text).unwrap();
        }

        fn files(&self, client_ca: Option<&str>) -> TlsFiles {
            let path = |name| self.0.path().join(name);
            TlsFiles {
                certificate: path("server.pem"),
                key: path("server.key"),
                client_ca: client_ca.map(path),
            }
        }

        fn refusal(&self, client_ca: Option<&str>) -> String {
            let error = Tls::open(self.files(client_ca)).unwrap_err();
            crate::status::with_causes(&error)
        }
    }

    #[test]
    fn a_file_that_is_refused_is_named_with_its_setting_and_the_reason() {
        let folder = Folder::new();
        Tls::open(folder.files(None)).unwrap();
        Tls::open(folder.files(Some("server.pem"))).unwrap();
        let key = fs::read_to_string(folder.0.path().join("server.key")).unwrap();

        let error = folder.refusal(Some("absent.pem"));
        assert!(
            error.starts_with("tls.client_ca ") && error.contains("absent.pem: No such file"),
            "{error}"
        );
        let error = folder.refusal(Some("server.key"));
        assert!(error.contains("server.key: no certificate in it"), "{error}");

        folder.renew("other.pem", "server.key");
        let error = folder.refusal(None);
        assert!(error.starts_with("tls.key ") && error.contains("not the key of "), "{error}");
        for (text, reason) in [
            (key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "the key is encrypted"),
            ("nothing\n".to_owned(), "no private key in it"),
            (key.replace("-----END", "----END"), ""),
        ] {
            folder.write("server.key", &text);
            let error = folder.refusal(None);
            assert!(error.contains("server.key: ") && error.contains(reason), "{error}");
        }
        folder
            .write("server.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        folder.write("server.key", &key);
        let error = folder.refusal(None);
        assert!(error.starts_with("tls.certificate ") && error.contains("server.pem: "), "{error}");
    }

    #[test]
    fn new_files_are_taken_up_once_they_fit_each_other() {
        let folder = Folder::new();
        let tls = Tls::open(folder.files(None)).unwrap();
        let start = Instant::now();
        let config = |seconds| {
            let acceptor = tls.acceptor(start + Duration::from_secs(seconds));
            Arc::as_ptr(acceptor.config())
        };
        let first = config(2);
        assert_eq!(config(4), first, "nothing changed");

        folder.renew("server.pem", "next.key");
        assert_eq!(config(6), first, "the key is not there yet");
        fs::copy(folder.0.path().join("next.key"), folder.0.path().join("server.key")).unwrap();
        let second = config(8);
        assert_ne!(second, first);
        assert_eq!(config(10), second);

        fs::remove_file(folder.0.path().join("server.pem")).unwrap();
        assert_eq!(config(12), second, "a file that is gone changes nothing");
    }
}

//! TLS and mutual TLS, on every port, with certificates that are made here.

use std::net::SocketAddr;
use std::sync::Arc;

use bigrain_api::proto::ListCollectionsRequest;
use bigrain_api::proto::collections_client::CollectionsClient;
use bigrain_api::{Settings, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::Status;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::support::{TestServer, toy_models};

/// Whoever signs certificates.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
struct Signed {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn pem(&self) -> String {
        self.issuer.as_ref().pem()
    }

    fn sign(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Signed { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A server behind TLS, and who signed for it and for its clients.
struct Secured {
    server: TestServer,
    authority: Authority,
    clients: Authority,
    _files: TempDir,
}

impl Secured {
    async fn start(asks_clients: bool) -> Self {
        let (authority, clients) = (Authority::new(), Authority::new());
        let files = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let signed = authority.sign("localhost");
        let tls = TlsSettings {
            certificate: write("server.pem", &signed.certificate),
            key: write("server.key", &signed.key),
            client_ca: asks_clients.then(|| write("clients.pem", &clients.pem())).flatten(),
        };
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let settings = Settings {
            tls: Some(tls),
            header_timeout_seconds: Some(1),
            qdrant_rest_listen: Some(any),
            qdrant_grpc_listen: Some(any),
            ..Settings::default()
        };
        let server = TestServer::start_with(settings, toy_models()).await;
        Self { server, authority, clients, _files: files }
    }

    fn ports(&self) -> [SocketAddr; 3] {
        let [rest, grpc] = self.server.qdrant.map(Option::unwrap);
        [self.server.address, rest, grpc]
    }

    /// Lists the collections of a port over gRPC.
    async fn list(&self, port: SocketAddr, shown: Option<Signed>) -> Result<(), Status> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.authority.pem()))
            .domain_name("localhost");
        if let Some(Signed { certificate, key }) = shown {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{port}")).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect_lazy();
        CollectionsClient::new(channel).list(ListCollectionsRequest {}).await.map(|_| ())
    }

    /// Asks a port over HTTP/1.1 whether it is there.
    async fn health(&self, port: SocketAddr) -> String {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(port).await.unwrap();
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }
}

/// Sends bytes in clear and returns all that comes back until the port closes the connection.
async fn in_clear(port: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(port).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut reply = Vec::new();
    // A connection that is reset is closed, too.
    let _ = stream.read_to_end(&mut reply).await;
    reply
}

#[tokio::test]
async fn grpc_and_http_are_answered_over_tls_on_every_port() {
    let secured = Secured::start(false).await;
    for port in secured.ports() {
        secured.list(port, None).await.unwrap();
        let reply = secured.health(port).await;
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    }
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_their_authority_are_served_under_mutual_tls() {
    let secured = Secured::start(true).await;
    for port in secured.ports() {
        secured.list(port, Some(secured.clients.sign("a client"))).await.unwrap();
        secured.list(port, None).await.unwrap_err();
        let stranger = secured.authority.sign("a stranger");
        secured.list(port, Some(stranger)).await.unwrap_err();
    }
}

#[tokio::test]
async fn what_is_sent_in_clear_to_a_port_with_tls_is_refused_and_nothing_hangs() {
    let secured = Secured::start(false).await;
    for port in secured.ports() {
        for bytes in [
            &b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"[..],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            // The beginning of a handshake, and silence: closed when their time is over.
            b"\x16\x03\x01",
            b"",
        ] {
            let reply = in_clear(port, bytes).await;
            assert!(!reply.starts_with(b"HTTP"), "{reply:?}");
        }
        let channel = Endpoint::from_shared(format!("http://{port}")).unwrap().connect_lazy();
        CollectionsClient::new(channel).list(ListCollectionsRequest {}).await.unwrap_err();
        secured.list(port, None).await.unwrap();
    }
}

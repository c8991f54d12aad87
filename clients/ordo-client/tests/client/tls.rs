//! Over https a server is known by its certificate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ordo_client::{Client, Error};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 30\r\nconnection: close\r\n\r\n\
                      {\"sku\":\"a\",  \"tracked\": false}";

/// A server for localhost, and a file with its certificate.
struct TlsServer {
    port: u16,
    ca_file: PathBuf,
    _folder: tempfile::TempDir,
    task: JoinHandle<()>,
}

impl TlsServer {
    async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that does not trust the certificate hangs up.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = [0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                assert!(String::from_utf8_lossy(&head[..read]).contains("authorization: Bearer secret\r\n"));
                stream.write_all(ANSWER.as_bytes()).await.unwrap();
                let _ = stream.shutdown().await;
            }
        });
        Self { port, ca_file, _folder: folder, task }
    }

    async fn asked_by(&self, host: &str, ca_file: Option<&PathBuf>) -> Result<(), Error> {
        let builder = Client::builder(format!("https://{host}:{}", self.port)).token("secret");
        let builder = builder.retries(0, Duration::ZERO).timeout(Duration::from_secs(10));
        let builder = if let Some(file) = ca_file { builder.ca_file(file) } else { builder };
        builder.build()?.stock_level("a").await.map(drop)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_trusted_gets_no_token() {
    let (server, other) = (TlsServer::start().await, TlsServer::start().await);
    server.asked_by("localhost", Some(&server.ca_file)).await.unwrap();
    let refused = |asked: Result<(), Error>| {
        let error = asked.unwrap_err();
        assert!(matches!(error, Error::UntrustedCertificate { .. }) && !error.is_outcome_unknown(), "{error:?}");
    };
    refused(server.asked_by("localhost", Some(&other.ca_file)).await);
    // It is trusted, but for another name.
    refused(server.asked_by("127.0.0.1", Some(&server.ca_file)).await);
    match server.asked_by("localhost", None).await {
        // A machine without certificates trusts nobody, too.
        Err(Error::InvalidRequest(_)) => {}
        asked => refused(asked),
    }
}

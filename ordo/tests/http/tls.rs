//! TLS, and the certificates that change while connections are open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ordo::http::{ConnectionLimits, HttpSettings, ServerTls, TlsFiles};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::{PATIENCE, QUICK, SHORT, Server};

#[tokio::test]
async fn a_client_without_http_2_is_answered_over_tls() {
    let (pair, _folder, tls) = certificate().await;
    let server = Server::start(HttpSettings { tls: Some(tls), ..HttpSettings::default() });
    let mut client = pair.connect(server.address, &[]).await.unwrap();
    for _ in 0..2 {
        client.write_all(QUICK).await.unwrap();
        let answer = one_answer(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("quick"), "{answer}");
        assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_gets_nothing() {
    let (_, _folder, tls) = certificate().await;
    let server = Server::start(HttpSettings { tls: Some(tls), ..HttpSettings::default() });
    let mut client = server.connect().await;
    client.write_all(QUICK).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off() {
    let (_, _folder, tls) = certificate().await;
    let limits = ConnectionLimits { headers: SHORT, ..ConnectionLimits::default() };
    let server = Server::start(HttpSettings { limits, tls: Some(tls), ..HttpSettings::default() });
    for beginning in [&b""[..], &[22, 3, 1, 2, 0, 1][..]] {
        let mut client = server.connect().await;
        client.write_all(beginning).await.unwrap();
        // Nothing of it is answered in plain text.
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(answer, b"");
    }
}

#[tokio::test]
async fn those_who_never_end_their_handshakes_keep_nobody_out() {
    let (pair, _folder, tls) = certificate().await;
    let limits = ConnectionLimits { connections: 5, reserve: 0, ..ConnectionLimits::default() };
    let server = Server::start(HttpSettings { limits, tls: Some(tls), ..HttpSettings::default() });
    let mut crowd = Vec::new();
    for _ in 0..20 {
        let mut client = server.connect().await;
        client.write_all(&[22, 3, 1]).await.unwrap();
        crowd.push(client);
    }
    let mut client = pair.connect(server.address, &[]).await.unwrap();
    client.write_all(QUICK).await.unwrap();
    assert!(one_answer(&mut client).await.ends_with("quick"));
}

#[tokio::test]
async fn a_new_certificate_is_used_and_a_broken_one_is_not() {
    let (before, folder, tls) = certificate().await;
    let reloading =
        tokio::spawn(tls.clone().reload(Duration::from_millis(10), tokio_util::sync::CancellationToken::new()));
    let server = Server::start(HttpSettings { tls: Some(tls), ..HttpSettings::default() });
    let mut open = before.connect(server.address, &[]).await.unwrap();

    // The certificate alone does not fit the key.
    let after = Pair::generate();
    std::fs::write(folder.path().join("certificate.pem"), &after.certificate_pem).unwrap();
    tokio::time::sleep(SHORT).await;
    assert!(before.connect(server.address, &[]).await.is_ok());
    std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
    tokio::time::sleep(SHORT).await;
    assert!(before.connect(server.address, &[]).await.is_ok());

    std::fs::write(folder.path().join("key.pem"), &after.key_pem).unwrap();
    let replaced = async {
        while after.connect(server.address, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, replaced).await.unwrap();
    assert!(before.connect(server.address, &[]).await.is_err());
    open.write_all(QUICK).await.unwrap();
    assert!(one_answer(&mut open).await.ends_with("quick"));
    reloading.abort();
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let (pair, other) = (Pair::generate(), Pair::generate());
    let files = TlsFiles { certificate: folder.path().join("certificate.pem"), key: folder.path().join("key.pem") };
    let said = async || format!("{:#}", ServerTls::load(files.clone()).await.unwrap_err());
    assert!(said().await.contains("certificate.pem can't be read"));
    std::fs::write(&files.certificate, &pair.certificate_pem).unwrap();
    std::fs::write(&files.key, &other.key_pem).unwrap();
    assert!(said().await.contains("key.pem can't be used"), "{}", said().await);
    std::fs::write(&files.certificate, "").unwrap();
    assert!(said().await.contains("there is no certificate"), "{}", said().await);
    std::fs::write(&files.certificate, &pair.certificate_pem).unwrap();
    std::fs::write(&files.key, &pair.key_pem).unwrap();
    assert!(ServerTls::load(files).await.is_ok());
}

/// A certificate for `localhost`, and its key.
pub(crate) struct Pair {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

/// A certificate in a folder, which has to be kept.
pub(crate) async fn certificate() -> (Pair, TempDir, ServerTls) {
    let (pair, folder) = (Pair::generate(), tempfile::tempdir().unwrap());
    let files = TlsFiles { certificate: folder.path().join("certificate.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.certificate, &pair.certificate_pem).unwrap();
    std::fs::write(&files.key, &pair.key_pem).unwrap();
    let tls = ServerTls::load(files).await.unwrap();
    (pair, folder, tls)
}

impl Pair {
    fn generate() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key_pem = made.signing_key.serialize_pem();
        Self { certificate: made.cert.der().clone(), certificate_pem: made.cert.pem(), key_pem }
    }

    /// Connects as one who trusts this certificate alone, and offers those protocols.
    pub(crate) async fn connect(
        &self,
        server: SocketAddr,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(server).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

async fn one_answer(client: &mut TlsStream<TcpStream>) -> String {
    let mut answer = vec![0; 4096];
    let length = client.read(&mut answer).await.unwrap();
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

//! An identity provider: keys that sign tokens, and a server for their public halves that speaks TLS under an authority of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ED25519, SigningKey};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::support::folder;

pub(crate) const ISSUER: &str = "https://id.shop.example/";

/// A key that signs tokens with EdDSA.
pub(crate) struct TokenKey {
    kid: &'static str,
    key: KeyPair,
}

impl TokenKey {
    pub(crate) fn generate(kid: &'static str) -> Self {
        Self { kid, key: KeyPair::generate_for(&PKCS_ED25519).unwrap() }
    }

    /// A token of the shop's.
    pub(crate) fn token(&self, subject: &str) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.kid });
        let claims =
            json!({ "iss": ISSUER, "aud": "ordo", "sub": subject, "role": "shop", "nbf": now - 5, "exp": now + 600 });
        let text = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", text(&header), text(&claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(self.key.sign(message.as_bytes()).unwrap()))
    }

    fn public(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key_raw());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x })
    }
}

/// A server of keys on loopback. It ends when it is dropped.
pub(crate) struct IdentityProvider {
    pub(crate) url: String,
    keys: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    /// The file with the certificate of its authority.
    pub(crate) ca: String,
    _folder: TempDir,
    _server: AbortOnDropHandle<()>,
}

impl IdentityProvider {
    pub(crate) async fn start(keys: &[&TokenKey]) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], private).unwrap();

        let folder = folder();
        let ca = folder.path().join("ca.pem").to_str().unwrap().to_owned();
        std::fs::write(&ca, authority.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/jwks.json", listener.local_addr().unwrap());
        let (published, asked) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
        let (answers, count, tls) = (Arc::clone(&published), Arc::clone(&asked), TlsAcceptor::from(Arc::new(config)));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(&tls, stream, &answers, &count).await.unwrap_or_default();
            }
        });
        let provider =
            Self { url, keys: published, asked, ca, _folder: folder, _server: AbortOnDropHandle::new(server) };
        provider.publish(keys);
        provider
    }

    /// These are its keys from now on.
    pub(crate) fn publish(&self, keys: &[&TokenKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        *self.keys.lock().unwrap() = json!({ "keys": keys }).to_string();
    }

    /// How often its keys were given out.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Answers one request over a connection. An error: the client does not trust it, or left.
async fn answer(
    tls: &TlsAcceptor,
    stream: TcpStream,
    keys: &Mutex<String>,
    asked: &AtomicUsize,
) -> std::io::Result<()> {
    let mut stream = tls.accept(stream).await?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let keys = keys.lock().unwrap().clone();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{keys}", keys.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

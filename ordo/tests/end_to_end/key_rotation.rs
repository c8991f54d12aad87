//! Tokens of an identity provider whose keys are read over TLS, and change while connections stay open.

mod identity_provider;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use futures_util::StreamExt;
use futures_util::future::join_all;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tempfile::TempDir;
use testkit::demo_order;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use self::identity_provider::{ISSUER, IdentityProvider, TokenKey};
use crate::support::{Ordo, PATIENCE, Setting, folder};

#[tokio::test]
async fn a_new_key_beside_the_old_one_refuses_no_request_of_an_open_connection() {
    // Given a connection with a live stream, both let in by a token of the old key
    let (old, new) = (TokenKey::generate("old"), TokenKey::generate("new"));
    let provider = IdentityProvider::start(&[&old]).await;
    let secured = Secured::start(&[("ORDO_JWKS_CA", &provider.ca)], &provider).await;
    let mut client = secured.connect().await;
    let before = old.token("web");
    let stream = client.send(get("/events/stream?after=end", &before)).await;
    assert_eq!(stream.status(), 200);
    let mut stream = Body::new(stream.into_body()).into_data_stream();

    // When the provider signs with a new key while requests come
    provider.publish(&[&old, &new]);
    let requests = (0..200).map(|nth| {
        let token = match nth % 4 {
            0 => before.clone(),
            1 => old.token(&format!("till-{nth}")),
            _ => new.token(&format!("till-{}", nth % 10)),
        };
        client.sending(get("/stock", &token))
    });
    let answers = join_all(requests.collect::<Vec<_>>()).await;

    // Then all are answered, and so is what follows on the stream
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == 200), "{answers:?}");
    assert_eq!(provider.asked(), 2);
    let order = Request::post("https://localhost/orders")
        .header("authorization", format!("Bearer {}", new.token("web")))
        .header("content-type", "application/json");
    let posted = client.send(order.body(demo_order("o-1").to_string().into()).unwrap()).await;
    assert_eq!(posted.status(), 201);
    let told = async {
        let mut told = String::new();
        while !told.contains("event: OrderCreated") {
            told.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
}

#[tokio::test]
async fn a_key_that_was_replaced_ends_its_tokens_on_an_open_connection() {
    let (old, new) = (TokenKey::generate("old"), TokenKey::generate("new"));
    let provider = IdentityProvider::start(&[&old]).await;
    let secured = Secured::start(&[("ORDO_JWKS_CA", &provider.ca)], &provider).await;
    let mut client = secured.connect().await;
    let before = old.token("web");
    assert_eq!(client.send(get("/stock", &before)).await.status(), 200);

    provider.publish(&[&new]);
    assert_eq!(client.send(get("/stock", &new.token("web"))).await.status(), 200);
    let refused = client.send(get("/stock", &before)).await;
    assert_eq!((refused.status().as_u16(), code(refused).await.as_str()), (401, "invalid-credential"));
    assert_eq!(client.send(get("/stock", &new.token("web"))).await.status(), 200);
}

#[tokio::test]
async fn keys_are_not_taken_from_a_server_that_no_trusted_authority_vouches_for() {
    let key = TokenKey::generate("key");
    let keys = [&key];
    let (provider, other) = tokio::join!(IdentityProvider::start(&keys), IdentityProvider::start(&keys));
    let trusting_another = [("ORDO_JWKS_CA", &*other.ca)];
    let (system, another) = tokio::join!(Secured::start(&[], &provider), Secured::start(&trusting_another, &provider));
    for secured in [system, another] {
        let answer = secured.connect().await.send(get("/stock", &key.token("web"))).await;
        let status = answer.status().as_u16();
        // It may be a valid one.
        assert_eq!((status, code(answer).await.as_str()), (503, "authentication-unavailable"));
        assert!(secured.ordo.log().contains("certificate"), "{}", secured.ordo.log());
    }
    assert_eq!(provider.asked(), 0);
}

/// A platform that speaks TLS and takes the tokens of an identity provider.
struct Secured {
    ordo: Ordo,
    certificate: CertificateDer<'static>,
    _folder: TempDir,
}

impl Secured {
    async fn start(settings: &[Setting<'_>], provider: &IdentityProvider) -> Self {
        let folder = folder();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let file = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (certificate, key) =
            (file("certificate.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
        let mut all = vec![
            ("ORDO_TLS_CERTIFICATE", certificate.as_str()),
            ("ORDO_TLS_KEY", &key),
            ("ORDO_JWKS_URL", &provider.url),
            ("ORDO_TOKEN_ISSUER", ISSUER),
        ];
        all.extend(settings);
        let ordo = Ordo::up(&all).await;
        Self { ordo, certificate: made.cert.der().clone(), _folder: folder }
    }

    /// Opens a connection that speaks HTTP/2.
    async fn connect(&self) -> Http2Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let address: SocketAddr = self.ordo.api.trim_start_matches("https://").parse().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Http2Client { requests, _connection: AbortOnDropHandle::new(tokio::spawn(connection)) }
    }
}

/// One connection. It is open as long as requests can be sent.
struct Http2Client {
    requests: SendRequest<Body>,
    _connection: AbortOnDropHandle<hyper::Result<()>>,
}

impl Http2Client {
    async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        tokio::time::timeout(PATIENCE, self.sending(request)).await.unwrap().unwrap()
    }

    fn sending(&mut self, request: Request<Body>) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        self.requests.send_request(request)
    }
}

fn get(path: &str, token: &str) -> Request<Body> {
    let request = Request::get(format!("https://localhost{path}")).header("authorization", format!("Bearer {token}"));
    request.body(Body::empty()).unwrap()
}

/// The code of a problem.
async fn code(answer: Response<Incoming>) -> String {
    let body = to_bytes(Body::new(answer.into_body()), usize::MAX).await.unwrap();
    serde_json::from_slice::<Value>(&body).unwrap()["code"].as_str().unwrap().to_owned()
}

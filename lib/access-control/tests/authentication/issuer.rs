//! An identity provider: keys, a server for their public halves, and tokens.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use access_control::{AuthenticationSettings, Authenticator, IssuerUrl, TokenClaimSettings, TokenKeys};
use axum::Router;
use axum::routing::get;
use http::StatusCode;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use crate::signing::{base64, claims_with, token};

/// A private key for these tests alone, as PKCS #8.
const RSA: &str = include_str!("rsa-test-key.base64");

pub(crate) enum SigningKey {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    pub(crate) fn rsa() -> Self {
        use base64::Engine;
        let text: String = RSA.split_whitespace().collect();
        let der = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        Self::Rsa(RsaKeyPair::from_pkcs8(&der).unwrap())
    }

    pub(crate) fn ecdsa() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Ecdsa(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap())
    }

    pub(crate) fn ed25519() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    /// The public half as a JSON Web Key.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Rsa(key) => {
                let public: ring::rsa::PublicKeyComponents<Vec<u8>> = key.public().into();
                json!({ "kty": "RSA", "n": base64(public.n), "e": base64(public.e) })
            }
            Self::Ecdsa(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": base64(x), "y": base64(y) })
            }
            Self::Ed25519(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(key.public_key()) }),
        };
        jwk["kid"] = kid.into();
        jwk
    }

    pub(crate) fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let random = SystemRandom::new();
                let signed = match alg {
                    "PS256" => key.sign(&RSA_PSS_SHA256, &random, message, &mut signature),
                    _ => key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature),
                };
                signed.unwrap();
                signature
            }
            Self::Ecdsa(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of the issuer below.
    pub(crate) fn token(&self, alg: &str, kid: Option<&str>, changes: &Value) -> String {
        let mut header = json!({ "alg": alg, "typ": "at+jwt" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let mut claims = claims_with(changes);
        claims["iss"] = ISSUER.into();
        token(&header.to_string(), &claims.to_string(), |message| self.sign(alg, message))
    }
}

pub(crate) const ISSUER: &str = "https://id.shop.example/";

/// A server of keys on loopback. It ends when it is dropped.
pub(crate) struct Issuer {
    pub(crate) url: String,
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
    /// What is asked for leaves only with one of these.
    ways_out: Arc<Semaphore>,
    _server: AbortOnDropHandle<()>,
}

impl Issuer {
    pub(crate) async fn start(keys: &[Value]) -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, String::new())));
        let asked = Arc::new(AtomicUsize::new(0));
        let ways_out = Arc::new(Semaphore::new(1));
        let (answers, count, out) = (Arc::clone(&answer), Arc::clone(&asked), Arc::clone(&ways_out));
        let routes = Router::new().route(
            "/jwks.json",
            get(async move || {
                let answer = answers.lock().unwrap().clone();
                count.fetch_add(1, Ordering::SeqCst);
                drop(out.acquire().await.unwrap());
                answer
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let issuer = Self { url, answer, asked, ways_out, _server: AbortOnDropHandle::new(server) };
        issuer.publish(keys);
        issuer
    }

    pub(crate) fn publish(&self, keys: &[Value]) {
        self.answers(StatusCode::OK, &json!({ "keys": keys }).to_string());
    }

    pub(crate) fn answers(&self, status: StatusCode, body: &str) {
        *self.answer.lock().unwrap() = (status, body.to_owned());
    }

    /// Holds back the answers to those who ask from now on, until what it returns is dropped.
    pub(crate) async fn hold_back(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.ways_out).acquire_owned().await.unwrap()
    }

    /// How often its keys were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn authenticator(&self) -> Authenticator {
        trusting(TokenKeys::JwksUrl(IssuerUrl::parse(&self.url).unwrap()))
    }
}

/// Accepts tokens of the issuer, verified with these keys.
pub(crate) fn trusting(keys: TokenKeys) -> Authenticator {
    let token_claims = TokenClaimSettings { issuer: ISSUER.to_owned(), ..TokenClaimSettings::default() };
    Authenticator::start(&AuthenticationSettings { token_claims, token_keys: Some(keys), open_id: None }, None).unwrap()
}

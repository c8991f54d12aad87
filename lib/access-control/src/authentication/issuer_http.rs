//! HTTP to the issuer of tokens. Redirects are not followed: what is trusted is the address that is set.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::jwks::TIMING;
use super::refreshed::LoadError;

/// Far more than the longest set of keys.
pub(super) const LONGEST_ANSWER: usize = 256 * 1024;

#[derive(Debug, Clone)]
pub(super) struct IssuerHttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl IssuerHttpClient {
    /// `authority`: a PEM file with the only certificates that are trusted; `None`: those that this machine knows.
    pub(super) fn new(authority: Option<&Path>) -> io::Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(TIMING.timeout / 2));
        let https = HttpsConnectorBuilder::new();
        let https = match authority {
            Some(authority) => https.with_tls_config(trusting_alone(authority)?),
            None => https.with_provider_and_native_roots(ring::default_provider())?,
        };
        let https = https.https_or_http().enable_http1().wrap_connector(http);
        Ok(Self(Client::builder(TokioExecutor::new()).build(https)))
    }

    /// An error: there is no answer, or it is longer than [`LONGEST_ANSWER`].
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, LoadError> {
        let (head, body) = self.0.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

/// A client's TLS that trusts the authorities in a PEM file and no others.
fn trusting_alone(file: &Path) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "there is no certificate in it"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

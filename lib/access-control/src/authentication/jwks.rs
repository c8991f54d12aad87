//! Where an issuer's keys are read: at a URL, or from a file.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt;

use super::key_set::KeySet;
use super::refreshed::{LoadError, RefreshSource, RefreshTiming};
use super::token::TokenClaimSettings;

/// Far more than the longest set of keys.
const LONGEST_SET: usize = 256 * 1024;

pub(super) const TIMING: RefreshTiming = RefreshTiming {
    refresh: Duration::from_secs(300),
    retry: Duration::from_secs(10),
    // A token with a `kid` that nobody has costs its sender nothing.
    pause: Duration::from_secs(60),
    timeout: Duration::from_secs(5),
};

/// The address of a JSON Web Key Set: `https`, or `http` on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUrl {
    uri: Uri,
    authority: Option<PathBuf>,
}

impl JwksUrl {
    /// `None`: another scheme, or a user name in it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let authority = uri.authority()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let is_safe = match uri.scheme_str()? {
            "https" => true,
            "http" => is_local,
            _ => false,
        };
        (is_safe && !authority.as_str().contains('@')).then_some(Self { uri, authority: None })
    }

    /// Trusts the certificate authorities in a PEM file, instead of those that this machine knows.
    #[must_use]
    pub fn trusting(self, authority: PathBuf) -> Self {
        Self { authority: Some(authority), ..self }
    }

    /// As it was given.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.uri.to_string()
    }

    /// Whether the keys come over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

/// Where an issuer's keys are loaded from: an address or a file.
#[derive(Debug)]
pub(super) struct JwksSource {
    place: Place,
    rules: TokenClaimSettings,
}

#[derive(Debug)]
enum Place {
    Url(JwksUrl, Box<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>>),
    File(PathBuf),
}

impl JwksSource {
    /// An error: the certificates of the authorities that are trusted can't be read.
    pub(super) fn at_url(url: JwksUrl, rules: TokenClaimSettings) -> Result<Self, io::Error> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(TIMING.timeout / 2));
        let https = HttpsConnectorBuilder::new();
        let https = match &url.authority {
            Some(authority) => https.with_tls_config(trusting_alone(authority)?),
            None => https.with_provider_and_native_roots(ring::default_provider())?,
        };
        let https = https.https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).build(https);
        Ok(Self { place: Place::Url(url, Box::new(client)), rules })
    }

    pub(super) fn in_file(path: PathBuf, rules: TokenClaimSettings) -> Self {
        Self { place: Place::File(path), rules }
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

impl RefreshSource for JwksSource {
    type Value = KeySet;

    fn name(&self) -> String {
        match &self.place {
            Place::Url(url, _) => format!("the issuer's keys at {}", url.to_text()),
            Place::File(path) => format!("the issuer's keys in {}", path.display()),
        }
    }

    async fn load(&self) -> Result<KeySet, LoadError> {
        let json = match &self.place {
            Place::Url(url, client) => {
                let request =
                    Request::get(url.uri.clone()).header(ACCEPT, "application/jwk-set+json, application/json");
                let response = client.request(request.body(Empty::new())?).await?;
                if !response.status().is_success() {
                    return Err(format!("the answer is {}", response.status()).into());
                }
                Limited::new(response.into_body(), LONGEST_SET).collect().await?.to_bytes()
            }
            Place::File(path) => {
                let mut json = Vec::new();
                let most = LONGEST_SET as u64 + 1;
                tokio::fs::File::open(path).await?.take(most).read_to_end(&mut json).await?;
                json.into()
            }
        };
        if json.len() > LONGEST_SET {
            return Err(format!("it is longer than {LONGEST_SET} bytes").into());
        }
        Ok(KeySet::parse(&json, &self.rules)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_tls_or_from_this_machine() {
        let accepted = ["https://id.example/keys", "http://localhost:8080/k", "http://127.0.0.1/", "http://[::1]:9/k"];
        for url in accepted {
            assert!(JwksUrl::parse(url).is_some(), "{url}");
        }
        for url in [
            "",
            "id.example/keys",
            "http://id.example/keys",
            "http://localhost.evil.example/",
            "http://127.0.0.1.nip.io/keys",
            "http://127.0.0.1@evil.example/",
            "https://user:password@id.example/keys",
            "file:///etc/passwd",
            "ftp://localhost/keys",
        ] {
            assert!(JwksUrl::parse(url).is_none(), "{url}");
        }
    }
}

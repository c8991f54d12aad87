//! One request and its answer.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;

use crate::error::BoxError;
use crate::{Error, Problem};

/// How much of a text that is no problem is shown.
const SHOWN_CHARS: usize = 200;

/// The certificates that a server's must be signed by.
#[derive(Debug, Clone)]
pub(crate) enum TrustedRoots<'a> {
    /// There is no TLS.
    None,
    /// The machine's.
    Native,
    /// Those of a PEM file, and no others.
    File(&'a Path),
}

/// Sends requests over HTTP; clones share its connections.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// The time-out of an attempt; of a stream, of its head.
    pub(crate) patience: Duration,
    pub(crate) max_answer_bytes: usize,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) url: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Transport {
    pub(crate) fn new(
        roots: &TrustedRoots<'_>,
        connect_patience: Duration,
        patience: Duration,
        max_answer_bytes: usize,
    ) -> Result<Self, Error> {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(connect_patience));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let tls = tls_config(roots)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        // The server closes a connection that idles for 75 s; a request on one that is about to be closed would fail.
        builder.pool_timer(hyper_util::rt::TokioTimer::new()).pool_idle_timeout(Duration::from_secs(60));
        Ok(Self { http: builder.build(connector.wrap_connector(tcp)), patience, max_answer_bytes })
    }

    /// The whole answer, whatever its status.
    pub(crate) async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<HttpAnswer, Error> {
        let url = shown(request.uri());
        let whole = async {
            let (head, body) = self.request(request).await?.into_parts();
            let body = self.read(&url, head.status, body).await?;
            Ok(HttpAnswer { url: url.clone(), status: head.status, headers: head.headers, body })
        };
        let timed_out = |_| Error::TimedOut { url: url.clone(), patience: self.patience };
        tokio::time::timeout(self.patience, whole).await.map_err(timed_out)?
    }

    /// The whole answer. One that is no success is an error.
    pub(crate) async fn succeed(&self, request: Request<Full<Bytes>>) -> Result<HttpAnswer, Error> {
        let answer = self.exchange(request).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(answer.into_error()) }
    }

    /// An answer whose body goes on. If it is a refusal, its whole body is read.
    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        let url = shown(request.uri());
        let begun = async {
            let answer = self.request(request).await?;
            if answer.status().is_success() {
                return Ok(answer);
            }
            let (head, body) = answer.into_parts();
            let body = self.read(&url, head.status, body).await?;
            Err(HttpAnswer { url: url.clone(), status: head.status, headers: head.headers, body }.into_error())
        };
        let timed_out = |_| Error::TimedOut { url: url.clone(), patience: self.patience };
        tokio::time::timeout(self.patience, begun).await.map_err(timed_out)?
    }

    async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        let uri = request.uri().clone();
        self.http.request(request).await.map_err(|error| match error.is_connect() {
            true => match certificate_error(&error) {
                Some(cause) => Error::UntrustedCertificate { address: address(&uri), cause },
                None => Error::Unreachable { address: address(&uri), cause: innermost(&error) },
            },
            false => Error::NoAnswer { url: shown(&uri), cause: innermost(&error) },
        })
    }

    async fn read(&self, url: &str, status: StatusCode, body: Incoming) -> Result<Bytes, Error> {
        let read = Limited::new(body, self.max_answer_bytes).collect().await;
        read.map(http_body_util::Collected::to_bytes).map_err(|cause| match cause.is::<LengthLimitError>() {
            true => Error::UnexpectedAnswer {
                url: url.to_owned(),
                status,
                reason: format!("it has more than {} bytes", self.max_answer_bytes),
                retry_after: None,
            },
            false => Error::NoAnswer { url: url.to_owned(), cause },
        })
    }
}

impl HttpAnswer {
    /// What a success says.
    pub(crate) fn parse<T: DeserializeOwned>(self) -> Result<T, Error> {
        if !self.status.is_success() {
            return Err(self.into_error());
        }
        if !has_type(&self.headers, "application/json") {
            return Err(self.unexpected("it is not JSON".to_owned()));
        }
        serde_json::from_slice(&self.body).map_err(|error| self.unexpected(format!("it can't be understood: {error}")))
    }

    /// Why it is no success.
    pub(crate) fn into_error(self) -> Error {
        let retry_after = retry_after(&self.headers);
        if has_type(&self.headers, "application/problem+json") {
            return match serde_json::from_slice::<Problem>(&self.body) {
                Ok(problem) => {
                    let status = self.status.as_u16();
                    Error::Problem(Box::new(Problem { status, retry_after, ..problem }))
                }
                Err(error) => self.unexpected(format!("its problem can't be understood: {error}")),
            };
        }
        if self.status.is_redirection() {
            let location = self.headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            let reason = format!("it redirects to {}, and redirects are not followed", beginning(location));
            return self.unexpected(reason);
        }
        let said = String::from_utf8_lossy(&self.body[..self.body.len().min(4 * SHOWN_CHARS)]).into_owned();
        self.unexpected(if said.is_empty() { "without a reason".to_owned() } else { beginning(&said) })
    }

    fn unexpected(&self, reason: String) -> Error {
        let retry_after = retry_after(&self.headers);
        Error::UnexpectedAnswer { url: self.url.clone(), status: self.status, reason, retry_after }
    }
}

pub(crate) fn has_type(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}

/// In seconds; the other form, a date, depends on two clocks and is passed over.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Texts of strangers are cut and shown without control characters.
fn beginning(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// Without the query, which may name customers.
fn shown(uri: &Uri) -> String {
    format!("{}{}", address(uri), uri.path())
}

fn address(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or_default())
}

/// The innermost cause as a text: those around it say that a request failed.
fn innermost(error: &legacy::Error) -> BoxError {
    let mut innermost: &dyn StdError = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string().into()
}

/// Why the server's certificate was refused; `None`: it was not.
fn certificate_error(error: &legacy::Error) -> Option<BoxError> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref::<rustls::Error>() {
            return Some(in_words(reason).into());
        }
        // The source of an I/O error is that of the error in it.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

fn in_words(reason: &CertificateError) -> String {
    // What this error of the verifier is called is all that rustls tells.
    let is_authority = |error: &rustls::OtherError| error.to_string().contains("CaUsedAsEndEntity");
    if matches!(reason, CertificateError::UnknownIssuer) {
        "it is signed by nobody who is trusted".to_owned()
    } else if matches!(reason, CertificateError::Other(error) if is_authority(error)) {
        "it is an authority's (CA:TRUE), and a server's has to be made with basicConstraints CA:FALSE".to_owned()
    } else {
        reason.to_string()
    }
}

fn tls_config(roots: &TrustedRoots<'_>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::InvalidRequest(format!("TLS can't be set up: {error}")))?;
    let verifying = match roots {
        TrustedRoots::None => builder.with_root_certificates(RootCertStore::empty()),
        TrustedRoots::Native => builder.with_native_roots().map_err(|error| {
            Error::InvalidRequest(format!("the certificates of this machine can't be read: {error}"))
        })?,
        TrustedRoots::File(file) => builder.with_root_certificates(roots_in(file).map_err(|error| {
            Error::InvalidRequest(format!("the certificates in {} can't be read: {error}", file.display()))
        })?),
    };
    Ok(verifying.with_no_client_auth())
}

fn roots_in(file: &Path) -> Result<RootCertStore, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has none").into());
    }
    Ok(roots)
}

//! A small HTTP client for commands that talk to a running platform. It speaks plain HTTP only, because commands talk to the process
//! itself, not to the proxy that does TLS.

use std::error::Error;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The longest answer is the brief list of a full inbox's mails, 400 bytes each.
const LONGEST_ANSWER: usize = embedded::inbox::MESSAGES_KEPT * 4 * 1024;

/// The environment variable with the credential of commands.
pub(crate) const TOKEN_VARIABLE: &str = "ORDO_TOKEN";

/// With which credential a command calls a platform.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CredentialArgs {
    /// The token or API key to call the API with [environment: ORDO_TOKEN; default: none]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

impl CredentialArgs {
    /// The `Authorization` of its requests. `None`: it calls without a credential.
    pub(crate) fn authorization(&self) -> anyhow::Result<Option<HeaderValue>> {
        let variable = || std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        let Some(token) = self.token.clone().or_else(variable) else { return Ok(None) };
        let unusable = || "the token has characters that no token has (not shown: it is a secret)";
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim())).with_context(unusable)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct ApiClient {
    http: legacy::Client<HttpConnector, Body>,
    patience: Duration,
    authorization: Option<HeaderValue>,
}

impl ApiClient {
    /// A client with a time-out for each call.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { http: legacy::Client::builder(TokioExecutor::new()).build_http(), patience, authorization: None }
    }

    /// Sends this `Authorization` with each request.
    #[must_use]
    pub(crate) fn authorized(self, authorization: Option<HeaderValue>) -> Self {
        Self { authorization, ..self }
    }

    /// The status and JSON of an answer. A body that is not JSON becomes a string.
    pub async fn get(&self, url: &str) -> anyhow::Result<(StatusCode, Value)> {
        self.send(Request::get(address(url)?).body(Body::empty())?).await
    }

    /// Posts JSON.
    pub async fn post(&self, url: &str, body: &Value) -> anyhow::Result<(StatusCode, Value)> {
        let request = Request::post(address(url)?).header(CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string()))?).await
    }

    /// A streamed answer. Only its head has to arrive in time.
    pub(crate) async fn open(&self, url: &str, headers: &[(&str, &str)]) -> anyhow::Result<Response<Body>> {
        let mut request = Request::get(address(url)?);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = self.with_credential(request.body(Body::empty())?);
        let uri = request.uri().clone();
        match tokio::time::timeout(self.patience, self.http.request(request)).await {
            Ok(answered) => Ok(answered.map_err(|error| reason(&error, &uri))?.map(Body::new)),
            Err(_) => bail!("{uri} did not answer within {} s", self.patience.as_secs()),
        }
    }

    fn with_credential(&self, mut request: Request) -> Request {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        request
    }

    async fn send(&self, request: Request) -> anyhow::Result<(StatusCode, Value)> {
        let request = self.with_credential(request);
        let uri = request.uri().clone();
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| reason(&error, &uri))?;
            let status = response.status();
            let body =
                to_bytes(Body::new(response.into_body()), LONGEST_ANSWER).await.context("the answer broke off")?;
            let json = serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body)));
            Ok((status, json))
        };
        match tokio::time::timeout(self.patience, exchange).await {
            Ok(answered) => answered,
            Err(_) => bail!("{uri} did not answer within {} s", self.patience.as_secs()),
        }
    }
}

fn address(url: &str) -> anyhow::Result<Uri> {
    let uri: Uri =
        url.parse().with_context(|| format!("{url} is not an address; it must look like http://127.0.0.1:3000"))?;
    ensure!(uri.scheme_str() == Some("http"), "{url} must begin with http://");
    Ok(uri)
}

fn reason(error: &legacy::Error, uri: &Uri) -> anyhow::Error {
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let what = if error.is_connect() { "nothing answers" } else { "no answer" };
    anyhow::anyhow!("{what} at http://{authority} ({innermost})")
}

//! A small HTTP client for answers of any kind, those of the inbox included. It tries once, and speaks plain HTTP only.

use std::error::Error;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The longest answer is the brief list of a full inbox's mails, 400 bytes each.
const LONGEST_ANSWER: usize = embedded::inbox::MESSAGES_KEPT * 4 * 1024;

/// Sends single requests, and reads answers to their end.
#[derive(Debug, Clone)]
pub(crate) struct ApiClient {
    http: legacy::Client<HttpConnector, Body>,
    patience: Duration,
    /// The credential of what is read as browsers do.
    token: Option<String>,
}

impl ApiClient {
    /// A client with a time-out for each call.
    #[must_use]
    pub(crate) fn new(patience: Duration) -> Self {
        Self { http: legacy::Client::builder(TokioExecutor::new()).build_http(), patience, token: None }
    }

    /// The same as whoever has this token, for [`first_byte`](Self::first_byte) and [`open`](Self::open).
    pub(crate) fn with_token(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The status and JSON of an answer. A body that is not JSON becomes a string.
    pub(crate) async fn get(&self, url: &str) -> anyhow::Result<(StatusCode, Value)> {
        self.send(Request::get(address(url)?).body(Body::empty())?).await
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, url: &str, body: &Value) -> anyhow::Result<(StatusCode, Value)> {
        let request = Request::post(address(url)?).header(CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string()))?).await
    }

    /// The status of an answer that is read to its end, and how long it took to begin.
    pub(crate) async fn first_byte(&self, url: &str) -> anyhow::Result<(StatusCode, Duration)> {
        let asked = Instant::now();
        let exchange = async {
            let answer = self.begin(url).await?;
            let took = asked.elapsed();
            let status = answer.status();
            to_bytes(answer.into_body(), LONGEST_ANSWER).await.context("the answer broke off")?;
            Ok((status, took))
        };
        match tokio::time::timeout(self.patience, exchange).await {
            Ok(answered) => answered,
            Err(_) => bail!("{url} did not answer within {} s", self.patience.as_secs()),
        }
    }

    /// The body of an answer that goes on.
    pub(crate) async fn open(&self, url: &str) -> anyhow::Result<Body> {
        let answer = self.begin(url).await?;
        ensure!(answer.status().is_success(), "{url} is answered {}", answer.status());
        Ok(answer.into_body())
    }

    async fn begin(&self, url: &str) -> anyhow::Result<http::Response<Body>> {
        let uri = address(url)?;
        // As a browser asks.
        let request = Request::get(uri.clone()).header(ACCEPT, "text/html, */*");
        let request = match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        let request = request.body(Body::empty())?;
        Ok(self.http.request(request).await.map_err(|error| reason(&error, &uri))?.map(Body::new))
    }

    async fn send(&self, request: Request) -> anyhow::Result<(StatusCode, Value)> {
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

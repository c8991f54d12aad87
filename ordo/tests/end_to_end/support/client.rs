//! An HTTP client that sends what it is told to and shows what came back.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use http::request::Builder;
use http::{HeaderMap, Method};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// No answer takes longer, a read that waits for its position included.
const PATIENCE: Duration = Duration::from_secs(20);

/// Talks to one server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: legacy::Client<HttpConnector, Body>,
    base: String,
    /// The operate listener, where it is another.
    ops: Option<String>,
    /// The credential of each request.
    token: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nobody listens there.
    NotSent,
    /// The request was on its way: what became of it is not known.
    Unknown(#[expect(dead_code, reason = "it is for whoever unwraps")] String),
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    /// A client for the server at `base`.
    pub(crate) fn new(base: &str) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { http, base: base.to_owned(), ops: None, token: None }
    }

    /// Asks what runs the platform at its operate listener.
    pub(crate) fn operating(mut self, ops: &str) -> Self {
        self.ops = Some(ops.to_owned());
        self
    }

    /// Calls with a credential.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The same caller at another server, which has one address for everything.
    pub(crate) fn at(self, base: &str) -> Self {
        Self { base: base.to_owned(), ops: None, ..self }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).await
    }

    /// Asks with a header.
    pub(crate) async fn get_with(&self, path: &str, name: &str, value: &str) -> Answer {
        self.send(Request::get(self.uri(path)).header(name, value), Body::empty()).await.unwrap()
    }

    /// Asks a server that may not be there.
    pub(crate) async fn try_get(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.send(Request::get(self.uri(path)), Body::empty()).await
    }

    /// Asks without a body.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Answer {
        self.send(Request::builder().method(method).uri(self.uri(path)), Body::empty()).await.unwrap()
    }

    /// Posts an order as JSON.
    pub(crate) async fn order(&self, order: &Value) -> Answer {
        self.try_order(order).await.unwrap()
    }

    /// Posts an order to a server that may not be there.
    pub(crate) async fn try_order(&self, order: &Value) -> Result<Answer, NoAnswer> {
        self.send(self.posting("/orders", "application/json"), Body::from(order.to_string())).await
    }

    /// Posts JSON to a server that may not be there.
    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> Result<Answer, NoAnswer> {
        self.try_send(Method::POST, path, body).await
    }

    /// Sends JSON to a server that may not be there.
    pub(crate) async fn try_send(&self, method: Method, path: &str, body: &Value) -> Result<Answer, NoAnswer> {
        self.try_send_under(method, path, None, body).await
    }

    /// The same, for a version of what it is about.
    pub(crate) async fn try_send_under(
        &self,
        method: Method,
        path: &str,
        etag: Option<&str>,
        body: &Value,
    ) -> Result<Answer, NoAnswer> {
        let request = Request::builder().method(method).uri(self.uri(path)).header(CONTENT_TYPE, "application/json");
        let request = etag.into_iter().fold(request, |request, etag| request.header(IF_MATCH, etag));
        self.send(request, Body::from(body.to_string())).await
    }

    /// Has units of a SKU come in.
    pub(crate) async fn receive(&self, sku: &str, quantity: usize) {
        let received = self.try_post(&format!("/stock/{sku}/receive"), &json!({ "quantity": quantity })).await.unwrap();
        assert!(matches!(received.status, 200 | 201), "{}", received.text());
    }

    /// Posts an order as JSON, under a key.
    pub(crate) async fn order_once(&self, order: &Value, key: &str) -> Result<Answer, NoAnswer> {
        let request = self.posting("/orders", "application/json").header("idempotency-key", key);
        self.send(request, Body::from(order.to_string())).await
    }

    /// Posts a body as it is.
    pub(crate) async fn post(&self, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
        self.send(self.posting(path, content_type), body.into()).await.unwrap()
    }

    /// Sends a request with these headers.
    pub(crate) async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(self.uri(path));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request, body.into()).await.unwrap()
    }

    fn uri(&self, path: &str) -> String {
        const OPERATES: [&str; 9] = [
            "/metrics",
            "/admin/",
            "/audit",
            "/read-models",
            "/sagas",
            "/subscriptions",
            "/bulk-actions",
            "/dead-letters",
            "/webhooks",
        ];
        let (route, _) = path.split_once('?').unwrap_or((path, ""));
        let operates = OPERATES.iter().any(|begin| route.starts_with(begin))
            || route.ends_with("/saga")
            || route.ends_with("/saga/decisions");
        let base = self.ops.as_ref().filter(|_| operates).unwrap_or(&self.base);
        format!("{base}{path}")
    }

    fn posting(&self, path: &str, content_type: &str) -> Builder {
        Request::post(self.uri(path)).header(CONTENT_TYPE, content_type)
    }

    async fn send(&self, mut request: Builder, body: Body) -> Result<Answer, NoAnswer> {
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let exchange = async {
            let response = self.http.request(request.body(body).unwrap()).await.map_err(NoAnswer::from)?;
            let (head, body) = response.into_parts();
            let body = to_bytes(Body::new(body), usize::MAX).await;
            let body = body.map_err(|error| NoAnswer::Unknown(error.to_string()))?;
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        let in_time = tokio::time::timeout(PATIENCE, exchange).await;
        in_time.unwrap_or_else(|_| Err(NoAnswer::Unknown(format!("none within {PATIENCE:?}"))))
    }
}

impl From<legacy::Error> for NoAnswer {
    fn from(error: legacy::Error) -> Self {
        if error.is_connect() { Self::NotSent } else { Self::Unknown(format!("{error:?}")) }
    }
}

impl Answer {
    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of an answer that must be a problem with this status.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!((self.status, self.header("content-type")), (status, "application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        for member in ["type", "title", "code", "instance", "traceId"] {
            assert!(problem[member].is_string(), "no {member}: {problem}");
        }
        problem
    }

    /// The pointers of a problem's violations.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

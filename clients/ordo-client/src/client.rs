//! The client and how it is set up.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;
use url::{Host, Url};

use crate::Error;
use crate::error::BoxError;
use crate::retry::{RemainingRetries, RetryBounds};
use crate::transport::{HttpAnswer, Transport, TrustedRoots};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

type TokenFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

#[derive(Clone)]
enum Tokens {
    None,
    Fixed(HeaderValue),
    Asked(Arc<dyn Fn() -> TokenFuture + Send + Sync>),
}

/// Talks to one server. Cheap to clone: all clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    base: Url,
    tokens: Tokens,
    retries: RetryBounds,
    transport: Transport,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.0.base.as_str()).finish_non_exhaustive()
    }
}

/// How a [`Client`] is set up.
pub struct ClientBuilder {
    base: String,
    tokens: Result<Tokens, Error>,
    token_over_http: bool,
    ca_file: Option<PathBuf>,
    retries: RetryBounds,
    connect_timeout: Duration,
    timeout: Duration,
    max_answer_bytes: usize,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("base", &self.base).finish_non_exhaustive()
    }
}

/// A request, before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct PreparedRequest {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether it may be sent again although it may have been carried out.
    pub(crate) is_idempotent: bool,
}

impl Client {
    /// A client for the server at `base`, such as `http://127.0.0.1:3000`, with the defaults of [`ClientBuilder`].
    pub fn new(base: &str) -> Result<Self, Error> {
        Self::builder(base).build()
    }

    /// Sets up a client for the server at `base`. Its path, such as `/v1`, goes before the paths of all routes.
    pub fn builder(base: impl Into<String>) -> ClientBuilder {
        ClientBuilder {
            base: base.into(),
            tokens: Ok(Tokens::None),
            token_over_http: false,
            ca_file: None,
            retries: RetryBounds::default(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            max_answer_bytes: 16 << 20,
        }
    }

    /// The URL of a route. Segments may have any characters.
    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.0.base.clone();
        // A base without segments is refused when the client is made.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    pub(crate) fn retries(&self) -> RemainingRetries {
        RemainingRetries::new(self.0.retries)
    }

    /// Sends a request until it is answered or will not be. An answer that is no success is an error.
    pub(crate) async fn send(&self, request: &PreparedRequest) -> Result<HttpAnswer, Error> {
        let mut retries = self.retries();
        let mut may_be_done = false;
        loop {
            let error = match self.attempt(request, |http| self.0.transport.succeed(http)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let is_unknown = error.is_outcome_unknown();
            may_be_done |= is_unknown;
            let waited = retries.wait(error, request.is_idempotent || !is_unknown).await;
            waited.map_err(|error| if may_be_done { request.outcome_unknown(error) } else { error })?;
        }
    }

    /// Sends a request once, or once more with a newer token if its token is refused: that may have expired on the way.
    pub(crate) async fn attempt<T, F>(
        &self,
        request: &PreparedRequest,
        send: impl Fn(Request<Full<Bytes>>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let token = self.token().await?;
        let sent = send(request.to_http(token.clone())?).await;
        match sent {
            Err(error) if self.asks_for_tokens() && error.is_unauthorized() => {
                let newer = self.token().await?;
                if newer == token { Err(error) } else { send(request.to_http(newer)?).await }
            }
            sent => sent,
        }
    }

    pub(crate) fn asks_for_tokens(&self) -> bool {
        matches!(self.0.tokens, Tokens::Asked(_))
    }

    /// The answer to one attempt, whatever its status.
    pub(crate) async fn send_once(&self, request: &PreparedRequest) -> Result<HttpAnswer, Error> {
        self.0.transport.exchange(request.to_http(self.token().await?)?).await
    }

    async fn token(&self) -> Result<Option<HeaderValue>, Error> {
        match &self.0.tokens {
            Tokens::None => Ok(None),
            Tokens::Fixed(token) => Ok(Some(token.clone())),
            Tokens::Asked(ask) => bearer(&ask().await.map_err(Error::Token)?).map(Some),
        }
    }
}

impl ClientBuilder {
    /// The bearer token of all requests: a JWT or an API key.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.tokens = bearer(token).map(Tokens::Fixed);
        self
    }

    /// Asks for the bearer token before each request. Tokens should be kept until they expire: it is asked again when the server
    /// has refused one (401), and the request is sent again if there is another.
    #[must_use]
    pub fn token_from<F>(mut self, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        self.tokens = Ok(Tokens::Asked(Arc::new(move || Box::pin(ask()))));
        self
    }

    /// Sends the token over `http://` to other machines, too, where everybody on the way can read it. For networks where nobody else is,
    /// such as that of containers. Without it only this machine (`localhost` or a loopback address) gets a token over `http://`.
    #[must_use]
    pub fn allow_token_over_http(mut self) -> Self {
        self.token_over_http = true;
        self
    }

    /// A PEM file with the only certificates that a server's must be signed by. Without it they are the machine's.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// How often a request is sent again, and for how long. Without it: 6 times within 30 s.
    #[must_use]
    pub fn retries(mut self, retries: usize, within: Duration) -> Self {
        self.retries = RetryBounds { retries, within };
        self
    }

    /// The time-out of a connection. Without it: 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The time-out of an attempt, until its whole answer is there; of a stream, until it begins. Without it: 15 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest answer, and the longest event of a stream. Without it: 16 MiB.
    #[must_use]
    pub fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.max_answer_bytes = bytes;
        self
    }

    /// Fails if the URL, the token or the certificates can't be used, or others could read the token. Nothing is sent.
    pub fn build(self) -> Result<Client, Error> {
        let base = parse_base(&self.base)?;
        let tokens = self.tokens?;
        let has_token = !matches!(tokens, Tokens::None);
        if has_token && base.scheme() == "http" && !is_this_machine(&base) && !self.token_over_http {
            return Err(Error::InvalidRequest(format!(
                "the token is not sent to {base}, since others on the way could read it: use https://, or allow tokens over http://"
            )));
        }
        let roots = match (base.scheme(), &self.ca_file) {
            ("https", None) => TrustedRoots::Native,
            ("https", Some(file)) => TrustedRoots::File(file),
            _ => TrustedRoots::None,
        };
        let transport = Transport::new(&roots, self.connect_timeout, self.timeout, self.max_answer_bytes)?;
        Ok(Client(Arc::new(Shared { base, tokens, retries: self.retries, transport })))
    }
}

impl PreparedRequest {
    pub(crate) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new(), is_idempotent: true }
    }

    /// The error of a request after an attempt that may have succeeded. A request that only reads has no outcome.
    pub(crate) fn outcome_unknown(&self, error: Error) -> Error {
        if self.method.is_safe() {
            return error;
        }
        let key = self.headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
        Error::OutcomeUnknown { idempotency_key: key.map(str::to_owned), cause: Box::new(error) }
    }

    pub(crate) fn header(&mut self, name: HeaderName, value: &str) -> Result<(), Error> {
        let wrong = |_| Error::InvalidRequest(format!("{value:?} can't be the value of the header {name}"));
        let value = HeaderValue::from_str(value).map_err(wrong)?;
        self.headers.insert(name, value);
        Ok(())
    }

    pub(crate) fn to_http(&self, token: Option<HeaderValue>) -> Result<Request<Full<Bytes>>, Error> {
        let wrong = |error: http::Error| Error::InvalidRequest(error.to_string());
        let request = Request::builder().method(self.method.clone()).uri(self.url.as_str());
        let mut request = request.body(Full::new(self.body.clone())).map_err(wrong)?;
        let headers = request.headers_mut();
        let accepted = HeaderValue::from_static("application/json, application/problem+json");
        headers.insert(ACCEPT, accepted);
        let agent = concat!("ordo-client/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.extend(self.headers.clone());
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token);
        }
        Ok(request)
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let is_of_token = |char: char| char.is_ascii_alphanumeric() || "-._~+/=".contains(char);
    if token.is_empty() || !token.chars().all(is_of_token) {
        // Without the token: errors are logged.
        return Err(Error::InvalidRequest("the token is empty, or has characters that no token has".to_owned()));
    }
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| Error::InvalidRequest("the token can't be sent".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn parse_base(base: &str) -> Result<Url, Error> {
    let wrong = || Error::InvalidRequest(format!("{base} is not an address; it must look like http://127.0.0.1:3000"));
    let url = Url::parse(base.trim_end_matches('/')).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::InvalidRequest(format!("{base} must begin with http:// or https://")));
    }
    if url.host_str().is_none_or(str::is_empty) || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::InvalidRequest(
            "a URL with a user's name or password can't be used: give a token".to_owned(),
        ));
    }
    Ok(url)
}

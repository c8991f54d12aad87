//! Which requests are let in: those that are addressed to this server, and not those that a page of another site makes.
//!
//! Browsers send whatever a page asks them to, to any address that they reach. A page of another site can't read the answer, but
//! its request would be carried out (cross-site request forgery), and the browser would have the answer in its memory. A page whose
//! own name suddenly resolves to this server (DNS rebinding) could read the answer too. `Sec-Fetch-Site` and `Origin`, which pages
//! can't forge, give away the first, and `Host` the second. A link on a page of another site may be followed: what it leads to is
//! shown to the person, and not to the page.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use tower::{Layer, Service};

use crate::{Problem, ProblemType};

/// How the site of the page that makes a request relates to this server.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Whether the browser itself goes where the request leads, or a page loads something.
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// What the answer will be: the document of a tab, a frame, an image.
const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The host names under which a server may be addressed: IP addresses, `localhost`, names without a dot, as containers have them, and
/// configured names. No page of the web has one of the first three for its own. As a layer it refuses all other requests.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    /// Any host is allowed; but only pages of `names` may ask something.
    any: bool,
    names: Arc<[String]>,
    /// Origins whose pages may ask something, whatever their host.
    origins: Arc<[HeaderValue]>,
    /// A `Host` that was found to be allowed. Most requests name the same, which is then not parsed again.
    seen: Arc<OnceLock<HeaderValue>>,
}

impl AllowedHosts {
    /// These names beside the local ones; their pages may ask, too. `*` allows any host, but no page of it to ask something.
    fn these(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(|name| canonical(&name.into()));
        let (any, names): (Vec<_>, Vec<_>) = names.partition(|name| name == "*");
        Self { any: !any.is_empty(), names: names.into(), origins: Arc::default(), seen: Arc::default() }
    }

    /// The hosts for a server that listens on `address`: `named`, if given. If only this machine reaches it, there is no proxy in front
    /// that checks hosts: the local ones. Otherwise any.
    #[must_use]
    pub fn for_listener(address: SocketAddr, named: Option<&[String]>) -> Self {
        match named {
            Some(names) => Self::these(names),
            None if address.ip().is_loopback() => Self::local(),
            None => Self::any(),
        }
    }

    /// Lets pages of these origins ask as well.
    #[must_use]
    pub fn with_origins(self, origins: &[HeaderValue]) -> Self {
        Self { origins: origins.into(), ..self }
    }

    /// The local ones alone.
    fn local() -> Self {
        Self { any: false, names: Arc::default(), origins: Arc::default(), seen: Arc::default() }
    }

    /// Any host: a proxy in front checks them.
    fn any() -> Self {
        Self { any: true, names: Arc::default(), origins: Arc::default(), seen: Arc::default() }
    }

    /// Refuses a request without exactly one valid host (400), for a host that is not allowed (421), or of a page of another site (403)
    /// unless it follows a link, or asks whether it may ask (OPTIONS).
    pub fn check<B>(&self, request: &http::Request<B>) -> Result<(), Problem> {
        if self.has_seen(request) {
            return Ok(());
        }
        let named = host(request)?;
        // An absolute URL as the target overrides the header: RFC 9112, 3.2.2.
        let Some(asked) = request.uri().authority().cloned().or(named) else { return Ok(()) };
        if !self.allows(asked.host()) {
            let detail = format!(
                "{:?} is not known here: ask for an address, for localhost, or for one of ORDO_ALLOWED_HOSTS",
                asked.host()
            );
            return Err(Problem::new(ProblemType::UnknownHost, detail));
        }
        if self.is_same_site(request.headers(), &asked) || is_harmless(request) {
            if let (None, Some(host)) = (request.uri().authority(), request.headers().get(header::HOST)) {
                self.seen.get_or_init(|| host.clone());
            }
            return Ok(());
        }
        let detail = "a page of another site made this request; only this server's own pages and other programs may";
        Err(Problem::new(ProblemType::CrossSite, detail))
    }

    /// Whether no page sent the request, and its host is, letter by letter, the one that was found to be allowed before.
    fn has_seen<B>(&self, request: &http::Request<B>) -> bool {
        let headers = request.headers();
        if request.uri().authority().is_some() || headers.contains_key(header::ORIGIN) || headers.contains_key(SITE) {
            return false;
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        hosts.next().is_some_and(|host| Some(host) == self.seen.get()) && hosts.next().is_none()
    }

    fn allows(&self, host: &str) -> bool {
        let host = canonical(host);
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        self.any
            || address.parse::<IpAddr>().is_ok()
            || !host.contains('.')
            || host.ends_with(".localhost")
            || self.names.contains(&host)
    }

    /// Whether the request comes from a page of this server, or from no page.
    fn is_same_site(&self, headers: &HeaderMap, asked: &Authority) -> bool {
        let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
        let named = || origin.is_some_and(|origin| self.names_origin(origin));
        match (headers.get(SITE).map(HeaderValue::as_bytes), origin) {
            (Some(b"same-origin" | b"none"), _) | (None, None) => true,
            (Some(_), _) => named(),
            (None, Some(origin)) => {
                authority(origin).is_some_and(|origin| origin.as_str().eq_ignore_ascii_case(asked.as_str())) || named()
            }
        }
    }

    /// Whether an origin or its host is a configured one: then it is the same shop's.
    fn names_origin(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|known| known.as_bytes() == origin)
            || authority(origin).is_some_and(|origin| self.names.contains(&canonical(origin.host())))
    }
}

/// A host in the spelling by which hosts are compared: lower case, without the dot that ends a full name.
fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// The host of a request, which HTTP/1.1 must name once (RFC 9112, 3.2).
fn host<B>(request: &http::Request<B>) -> Result<Option<Authority>, Problem> {
    let mut values = request.headers().get_all(header::HOST).iter();
    match (values.next(), values.next()) {
        (Some(only), None) => {
            let host = only.to_str().ok().and_then(|host| host.parse::<Authority>().ok()).filter(is_host);
            host.map(Some).ok_or_else(|| Problem::malformed("header Host must be a host, and a port where it has one"))
        }
        (Some(_), Some(_)) => Err(Problem::malformed("header Host must be given once")),
        (None, _) if request.version() <= Version::HTTP_10 => Ok(None),
        // HTTP/2 has the target's authority in its place: RFC 9113, 8.3.1.
        (None, _) if request.version() == Version::HTTP_2 && request.uri().authority().is_some() => Ok(None),
        (None, _) => Err(Problem::malformed("header Host is missing")),
    }
}

/// Whether it is a host and perhaps a port, and not the name of a user, too.
fn is_host(authority: &Authority) -> bool {
    let rest = authority.as_str().strip_prefix(authority.host());
    let port = rest.map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    !authority.host().is_empty() && port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok())
}

fn authority(origin: &[u8]) -> Option<Authority> {
    let (_, authority) = str::from_utf8(origin).ok()?.split_once("://")?;
    authority.parse().ok()
}

/// Whether the page that sends a request has nothing of it: it asks what is allowed, or leaves for the answer.
fn is_harmless<B>(request: &http::Request<B>) -> bool {
    let says = |name, value: &str| request.headers().get(name).is_some_and(|said| said == value);
    match *request.method() {
        Method::OPTIONS | Method::TRACE => true,
        Method::GET | Method::HEAD => says(MODE, "navigate") && says(DESTINATION, "document"),
        _ => false,
    }
}

impl<S> Layer<S> for AllowedHosts {
    type Service = AllowedHostsService<S>;

    fn layer(&self, inner: S) -> AllowedHostsService<S> {
        AllowedHostsService { hosts: self.clone(), inner }
    }
}

/// An extension of an answer: [`AllowedHosts`] refused the request, and no route has seen it.
#[derive(Debug, Clone, Copy)]
pub struct RefusedByHost;

/// Refuses requests for other hosts and from other sites before they reach the inner service.
#[derive(Debug, Clone)]
pub struct AllowedHostsService<S> {
    hosts: AllowedHosts,
    inner: S,
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for AllowedHostsService<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.hosts.check(&request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refused) => {
                let mut refused = refused.into_response();
                refused.extensions_mut().insert(RefusedByHost);
                Either::Right(ready(Ok(refused)))
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Which requests are let in: those that are addressed to this server, and not those that a page of another site makes to change
//! something.
//!
//! Browsers send whatever a page asks them to, to any address that they reach. A page of another site can't read the answer, but
//! its request would be carried out (cross-site request forgery). A page whose own name suddenly resolves to this server (DNS
//! rebinding) could read the answer too. `Sec-Fetch-Site` and `Origin`, which pages can't forge, give away the first, and `Host` the
//! second.

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

/// The host names under which a server may be addressed: IP addresses, `localhost`, names without a dot, as containers have them, and
/// configured names. No page of the web has one of the first three for its own. As a layer it refuses all other requests.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    /// Any host is allowed; but only pages of `names` may change something.
    any: bool,
    names: Arc<[String]>,
    /// Origins whose pages may change something, whatever their host.
    origins: Arc<[HeaderValue]>,
    /// A `Host` that was found to be allowed. Most requests name the same, which is then not parsed again.
    seen: Arc<OnceLock<HeaderValue>>,
}

impl AllowedHosts {
    /// These names beside the local ones; their pages may change things. `*` allows any host, but no page of it to change something.
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

    /// Lets pages of these origins change things as well: those that may read answers.
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

    /// Refuses a request without exactly one valid host (400), for a host that is not allowed (421), or by which a page of another site
    /// would change something (403).
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
        if is_safe(request.method()) || self.is_same_site(request.headers(), &asked) {
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

fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
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

/// A service behind [`AllowedHosts`].
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
mod tests {
    use http::StatusCode;

    use super::*;

    fn ask(hosts: &AllowedHosts, method: &str, headers: &[(&str, &str)]) -> u16 {
        let request = http::Request::builder().method(method).uri("/orders");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        hosts.check(&request.body(()).unwrap()).map_or_else(|refused| refused.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_request_names_one_host() {
        let hosts = AllowedHosts::any();
        for good in ["shop.example", "shop.example:3000", "shop.example:", "127.0.0.1:3000", "[::1]:3000", "orders"] {
            assert_eq!(ask(&hosts, "GET", &[("host", good)]), 200, "{good}");
        }
        for bad in
            ["", ":3000", "a b", "user@shop.example", "shop.example:70000", "shop.example/orders", "[::1", "a,b c"]
        {
            assert_eq!(ask(&hosts, "GET", &[("host", bad)]), 400, "{bad}");
        }
        assert_eq!(ask(&hosts, "GET", &[]), 400);
        assert_eq!(ask(&hosts, "GET", &[("host", "a"), ("host", "a")]), 400);
        let old = http::Request::get("/orders").version(Version::HTTP_10).body(()).unwrap();
        assert!(hosts.check(&old).is_ok());
    }

    #[test]
    fn who_is_asked_under_another_name_does_not_answer() {
        let hosts = AllowedHosts::these(["api.shop.example"]);
        for known in [
            "127.0.0.1:3000",
            "[::1]:3000",
            "192.0.2.7",
            "localhost:3000",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "gateway",
            "api.shop.example",
            "API.shop.example:3000",
        ] {
            assert_eq!(ask(&hosts, "GET", &[("host", known)]), 200, "{known}");
        }
        for unknown in
            ["rebound.example:3000", "shop.example", "localhost.example", "127.0.0.1.example", "xapi.shop.example"]
        {
            assert_eq!(ask(&hosts, "GET", &[("host", unknown)]), 421, "{unknown}");
            for any in [AllowedHosts::these(["*"]), AllowedHosts::these(["*", "api.shop.example"])] {
                assert_eq!(ask(&any, "GET", &[("host", unknown)]), 200, "{unknown}");
            }
        }
        // What is asked for is in the target, whatever the header says.
        let whole = http::Request::get("http://rebound.example/orders").header("host", "localhost").body(()).unwrap();
        assert_eq!(hosts.check(&whole).unwrap_err().status(), StatusCode::MISDIRECTED_REQUEST);
    }

    #[test]
    fn a_front_end_that_is_named_may_change_things_whatever_host_is_asked() {
        let host = ("host", "api.shop.example");
        let post = |hosts: &AllowedHosts, origin| {
            ask(hosts, "POST", &[host, ("sec-fetch-site", "same-site"), ("origin", origin)])
        };
        let named = AllowedHosts::these(["*", "Shop.example."]);
        for origin in
            ["https://shop.example", "https://SHOP.example", "https://shop.example.", "http://shop.example:8080"]
        {
            assert_eq!(post(&named, origin), 200, "{origin}");
        }
        for origin in ["https://elsewhere.example", "https://*", "https://api.shop.example", "null"] {
            assert_eq!(post(&named, origin), 403, "{origin}");
        }
        assert_eq!(post(&AllowedHosts::any(), "https://shop.example"), 403);
    }

    #[test]
    fn pages_of_an_origin_that_may_read_may_change_things() {
        let origins = [HeaderValue::from_static("https://app.shop.example")];
        let post = |hosts: &AllowedHosts, site, origin| {
            ask(hosts, "POST", &[("host", "localhost"), ("sec-fetch-site", site), ("origin", origin)])
        };
        for hosts in [AllowedHosts::local(), AllowedHosts::any(), AllowedHosts::these(["api.shop.example"])] {
            let hosts = hosts.with_origins(&origins);
            assert_eq!(post(&hosts, "cross-site", "https://app.shop.example"), 200);
            for other in ["http://app.shop.example", "https://app.shop.example:8443", "https://shop.example", "null"] {
                assert_eq!(post(&hosts, "cross-site", other), 403, "{other}");
            }
        }
    }

    #[test]
    fn with_http_2_the_target_names_the_host() {
        let asked = |uri: &str| http::Request::post(uri).version(Version::HTTP_2).body(()).unwrap();
        let hosts = AllowedHosts::these(["api.shop.example"]);
        assert!(hosts.check(&asked("https://api.shop.example/orders")).is_ok());
        assert_eq!(hosts.check(&asked("https://rebound.example/orders")).unwrap_err().status().as_u16(), 421);
        assert_eq!(hosts.check(&asked("/orders")).unwrap_err().status().as_u16(), 400);
    }

    #[test]
    fn a_host_that_was_seen_before_lets_in_no_more_than_it_did() {
        let (hosts, host) = (AllowedHosts::local(), ("host", "localhost:3000"));
        for _ in 0..2 {
            assert_eq!((ask(&hosts, "POST", &[host]), ask(&hosts, "GET", &[host])), (200, 200));
            assert_eq!(ask(&hosts, "GET", &[host, host]), 400);
            assert_eq!(ask(&hosts, "POST", &[host, ("origin", "https://elsewhere.example")]), 403);
            assert_eq!(ask(&hosts, "POST", &[host, ("sec-fetch-site", "cross-site")]), 403);
            assert_eq!(ask(&hosts, "POST", &[("host", "rebound.example:3000")]), 421);
            let whole = http::Request::post("http://rebound.example/orders").header(host.0, host.1).body(()).unwrap();
            assert_eq!(hosts.check(&whole).unwrap_err().status(), StatusCode::MISDIRECTED_REQUEST);
        }
    }

    #[test]
    fn a_name_may_be_given_with_the_dot_that_ends_it() {
        let hosts = AllowedHosts::these(["api.shop.example."]);
        for known in ["api.shop.example", "api.shop.example."] {
            assert_eq!(ask(&hosts, "GET", &[("host", known)]), 200, "{known}");
        }
    }

    #[test]
    fn who_listens_for_others_than_this_machine_does_not_know_its_names() {
        let (here, all) = (([127, 0, 0, 1], 3000).into(), ([0, 0, 0, 0], 3000).into());
        let names = ["api.shop.example".to_owned()];
        for (hosts, known, unknown) in [
            (AllowedHosts::for_listener(here, None), 421, 421),
            (AllowedHosts::for_listener(all, None), 200, 200),
            (AllowedHosts::for_listener(here, Some(&names)), 200, 421),
            (AllowedHosts::for_listener(all, Some(&names)), 200, 421),
        ] {
            assert_eq!(ask(&hosts, "GET", &[("host", "api.shop.example")]), known, "{hosts:?}");
            assert_eq!(ask(&hosts, "GET", &[("host", "rebound.example")]), unknown, "{hosts:?}");
        }
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let hosts = AllowedHosts::these(["shop.example"]);
        let host = ("host", "127.0.0.1:3000");
        for (headers, may) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            // Another port of the same machine is another's page.
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:3000")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://shop.example")], true),
            (&[("origin", "http://127.0.0.1:3000")], true),
            (&[("origin", "http://127.0.0.1:8080")], false),
            (&[("origin", "https://elsewhere.example")], false),
            (&[("origin", "https://shop.example")], true),
            (&[("origin", "null")], false),
        ] {
            let headers = [&[host], headers].concat();
            for method in ["POST", "DELETE", "PUT", "PATCH"] {
                assert_eq!(ask(&hosts, method, &headers), if may { 200 } else { 403 }, "{method} {headers:?}");
            }
            assert_eq!(ask(&hosts, "GET", &headers), 200, "{headers:?}");
        }
    }
}

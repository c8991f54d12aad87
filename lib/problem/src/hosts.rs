//! Which requests are let in at all: those that are addressed to this server, and those that no page of another site makes.
//!
//! Browsers send whatever a page asks them to, to any address that they reach. A page of another site can't read the answer, but
//! what it asked for is done; and one whose own name leads here all of a sudden (DNS rebinding) can read as well. The first is told
//! by `Sec-Fetch-Site` and `Origin`, which pages can't forge, the second by `Host`.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use tower::{Layer, Service};

use crate::Problem;

/// Where the page is from that makes a request.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The hosts under which a server may be asked: IP addresses, `localhost`, names without a dot, as containers have them, and whatever
/// else it is told. No page of the web has one of the first three for its own. A layer, too, which refuses all other requests.
#[derive(Debug, Clone)]
pub struct KnownHosts(Arc<Known>);

#[derive(Debug)]
struct Known {
    /// It may be asked under any host; the pages that may change something are those of `names` still.
    any: bool,
    names: Vec<String>,
    /// A `Host` that was found to be known: most requests name the same, and it is not read each time.
    seen: OnceLock<HeaderValue>,
}

impl KnownHosts {
    /// These beside the usual ones, and pages of theirs may change things. `*` is any host, but lets no page do so.
    pub fn named(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(|name| canonical(&name.into()));
        let (any, names): (Vec<_>, Vec<_>) = names.partition(|name| name == "*");
        Self::new(!any.is_empty(), names)
    }

    /// Those of a server that listens on `address`, unless `named` says which. Where only this machine reaches it, no proxy has
    /// looked: the usual ones. Elsewhere any.
    #[must_use]
    pub fn listening_on(address: SocketAddr, named: Option<&[String]>) -> Self {
        match named {
            Some(names) => Self::named(names),
            None if address.ip().is_loopback() => Self::usual(),
            None => Self::any(),
        }
    }

    /// The usual ones alone.
    #[must_use]
    pub fn usual() -> Self {
        Self::new(false, Vec::new())
    }

    /// All: whoever is in front has looked.
    #[must_use]
    pub fn any() -> Self {
        Self::new(true, Vec::new())
    }

    fn new(any: bool, names: Vec<String>) -> Self {
        Self(Arc::new(Known { any, names, seen: OnceLock::new() }))
    }

    /// Refuses a request without one valid host (400), for a host that is not known (421), or by which a page of another site would
    /// change something (403).
    pub fn check<B>(&self, request: &http::Request<B>) -> Result<(), Problem> {
        if self.has_seen(request) {
            return Ok(());
        }
        let named = host(request)?;
        // A target that is a whole URL counts for more than the header: RFC 9112, 3.2.2.
        let Some(asked) = request.uri().authority().cloned().or(named) else { return Ok(()) };
        if !self.knows(asked.host()) {
            let detail = format!(
                "{:?} is not known here: ask for an address, for localhost, or for one of ORDO_ALLOWED_HOSTS",
                asked.host()
            );
            return Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "unknown-host",
                "It is addressed to another server",
            )
            .detail(detail));
        }
        if is_safe(request.method()) || self.is_own(request.headers(), &asked) {
            if let (None, Some(host)) = (request.uri().authority(), request.headers().get(header::HOST)) {
                self.0.seen.get_or_init(|| host.clone());
            }
            return Ok(());
        }
        let detail = "a page of another site made this request; only this server's own pages and other programs may";
        Err(Problem::new(StatusCode::FORBIDDEN, "cross-site", "It comes from another site").detail(detail))
    }

    /// Whether no page sent it, and its host alone was found to be known before, letter by letter.
    fn has_seen<B>(&self, request: &http::Request<B>) -> bool {
        let headers = request.headers();
        if request.uri().authority().is_some() || headers.contains_key(header::ORIGIN) || headers.contains_key(SITE) {
            return false;
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        hosts.next().is_some_and(|host| Some(host) == self.0.seen.get()) && hosts.next().is_none()
    }

    fn knows(&self, host: &str) -> bool {
        let host = canonical(host);
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        self.0.any
            || address.parse::<IpAddr>().is_ok()
            || !host.contains('.')
            || host.ends_with(".localhost")
            || self.0.names.contains(&host)
    }

    /// Whether the request comes from a page of the server that it asks, or from no page.
    fn is_own(&self, headers: &HeaderMap, asked: &Authority) -> bool {
        let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
        let named = || origin.is_some_and(|origin| self.names(origin));
        match (headers.get(SITE).map(HeaderValue::as_bytes), origin) {
            (Some(b"same-origin" | b"none"), _) | (None, None) => true,
            (Some(_), _) => named(),
            (None, Some(origin)) => {
                authority(origin).is_some_and(|origin| origin.as_str().eq_ignore_ascii_case(asked.as_str())) || named()
            }
        }
    }

    /// Whether an origin's host was named: then it is the same shop's.
    fn names(&self, origin: &[u8]) -> bool {
        authority(origin).is_some_and(|origin| self.0.names.contains(&canonical(origin.host())))
    }
}

/// A host as all spellings of it are compared: in lower case, and without the dot that ends a whole name.
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

impl<S> Layer<S> for KnownHosts {
    type Service = OfKnownHosts<S>;

    fn layer(&self, inner: S) -> OfKnownHosts<S> {
        OfKnownHosts { hosts: self.clone(), inner }
    }
}

/// Among the extensions of an answer: [`KnownHosts`] refused the request, and no route has seen it.
#[derive(Debug, Clone, Copy)]
pub struct RefusedAtTheDoor;

/// A service behind [`KnownHosts`].
#[derive(Debug, Clone)]
pub struct OfKnownHosts<S> {
    hosts: KnownHosts,
    inner: S,
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for OfKnownHosts<S> {
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
                refused.extensions_mut().insert(RefusedAtTheDoor);
                Either::Right(ready(Ok(refused)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(hosts: &KnownHosts, method: &str, headers: &[(&str, &str)]) -> u16 {
        let request = http::Request::builder().method(method).uri("/orders");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        hosts.check(&request.body(()).unwrap()).map_or_else(|refused| refused.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_request_names_one_host() {
        let hosts = KnownHosts::any();
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
        let hosts = KnownHosts::named(["api.shop.example"]);
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
            for any in [KnownHosts::named(["*"]), KnownHosts::named(["*", "api.shop.example"])] {
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
        let post = |hosts: &KnownHosts, origin| {
            ask(hosts, "POST", &[host, ("sec-fetch-site", "same-site"), ("origin", origin)])
        };
        let named = KnownHosts::named(["*", "Shop.example."]);
        for origin in
            ["https://shop.example", "https://SHOP.example", "https://shop.example.", "http://shop.example:8080"]
        {
            assert_eq!(post(&named, origin), 200, "{origin}");
        }
        for origin in ["https://elsewhere.example", "https://*", "https://api.shop.example", "null"] {
            assert_eq!(post(&named, origin), 403, "{origin}");
        }
        assert_eq!(post(&KnownHosts::any(), "https://shop.example"), 403);
    }

    #[test]
    fn a_host_that_was_seen_before_lets_in_no_more_than_it_did() {
        let (hosts, host) = (KnownHosts::usual(), ("host", "localhost:3000"));
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
        let hosts = KnownHosts::named(["api.shop.example."]);
        for known in ["api.shop.example", "api.shop.example."] {
            assert_eq!(ask(&hosts, "GET", &[("host", known)]), 200, "{known}");
        }
    }

    #[test]
    fn who_listens_for_others_than_this_machine_does_not_know_its_names() {
        let (here, all) = (([127, 0, 0, 1], 3000).into(), ([0, 0, 0, 0], 3000).into());
        let names = ["api.shop.example".to_owned()];
        for (hosts, known, unknown) in [
            (KnownHosts::listening_on(here, None), 421, 421),
            (KnownHosts::listening_on(all, None), 200, 200),
            (KnownHosts::listening_on(here, Some(&names)), 200, 421),
            (KnownHosts::listening_on(all, Some(&names)), 200, 421),
        ] {
            assert_eq!(ask(&hosts, "GET", &[("host", "api.shop.example")]), known, "{hosts:?}");
            assert_eq!(ask(&hosts, "GET", &[("host", "rebound.example")]), unknown, "{hosts:?}");
        }
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let hosts = KnownHosts::named(["shop.example"]);
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

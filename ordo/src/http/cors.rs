//! Which pages of other origins may read answers (CORS). Without a setting: none.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::Either;
use http::header::{
    ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, Method};
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};

/// How long a browser may remember what is allowed.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The CORS layer: it lets web pages of some origins send requests, with credentials in a header and not in a cookie.
#[derive(Clone)]
pub(crate) struct CrossOriginLayer {
    /// `None`: no page may.
    cors: Option<CorsLayer>,
    part: CrossOriginPart,
}

/// Which part of CORS a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CrossOriginPart {
    Answers,
    Preflights,
}

impl CrossOriginLayer {
    pub(crate) fn answers(origins: &[HeaderValue]) -> Self {
        Self { cors: cors(origins), part: CrossOriginPart::Answers }
    }

    pub(crate) fn preflights(origins: &[HeaderValue]) -> Self {
        Self { cors: cors(origins), part: CrossOriginPart::Preflights }
    }
}

/// `None`: there are no origins.
fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let name = HeaderName::from_static;
    let asked = [
        ACCEPT,
        AUTHORIZATION,
        CONTENT_TYPE,
        IF_MATCH,
        IF_NONE_MATCH,
        name("event-position-min"),
        name("idempotency-key"),
        name("last-event-id"),
        name("prefer"),
        name("traceparent"),
        name("tracestate"),
    ];
    let shown = [
        ETAG,
        LINK,
        LOCATION,
        RETRY_AFTER,
        WWW_AUTHENTICATE,
        name("deprecation"),
        name("event-position"),
        name("idempotent-replayed"),
        name("preference-applied"),
        name("ratelimit"),
        name("ratelimit-policy"),
        name("sunset"),
        name("traceresponse"),
    ];
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(asked)
        .expose_headers(shown)
        .max_age(REMEMBERED);
    Some(cors)
}

impl<S: Clone> Layer<S> for CrossOriginLayer {
    type Service = CrossOriginService<S>;

    fn layer(&self, inner: S) -> CrossOriginService<S> {
        CrossOriginService { cors: self.cors.as_ref().map(|cors| cors.layer(inner.clone())), part: self.part, inner }
    }
}

/// Answers preflights, and says in other answers which pages may read them. An OPTIONS that is no preflight goes to the route: CORS
/// would answer it without asking.
#[derive(Clone)]
pub(crate) struct CrossOriginService<S> {
    cors: Option<Cors<S>>,
    part: CrossOriginPart,
    inner: S,
}

impl<S> Service<Request> for CrossOriginService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let is_theirs = match self.part {
            CrossOriginPart::Answers => request.method() != Method::OPTIONS,
            CrossOriginPart::Preflights => {
                request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            }
        };
        match self.cors.as_mut().filter(|_| is_theirs) {
            Some(cors) => Either::Right(Box::pin(cors.call(request))),
            None => Either::Left(self.inner.call(request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::request::Builder;
    use axum::routing::post;
    use http::StatusCode;
    use http::header::{ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN};
    use tower::ServiceExt;

    use super::*;

    const FRONT_END: &str = "https://app.shop.example";

    #[tokio::test]
    async fn a_page_of_a_known_origin_may_ask_before_it_has_a_credential() {
        let answer = ask(preflight(FRONT_END)).await;
        assert_eq!((answer.status(), allowed(&answer)), (StatusCode::OK, Some(FRONT_END)));
        let headers = answer.headers();
        let asked = headers["access-control-allow-headers"].to_str().unwrap();
        assert!(asked.contains("authorization") && asked.contains("idempotency-key"), "{asked}");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[tokio::test]
    async fn its_request_is_answered_and_so_is_its_refusal() {
        let answer = ask(Request::post("/orders").header(ORIGIN, FRONT_END)).await;
        assert_eq!((answer.status(), allowed(&answer)), (StatusCode::UNAUTHORIZED, Some(FRONT_END)));
        let shown = answer.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(shown.contains("etag") && shown.contains("ratelimit") && shown.contains("event-position"), "{shown}");
    }

    #[tokio::test]
    async fn a_page_of_any_other_origin_may_nothing() {
        for other in ["https://elsewhere.example", "http://app.shop.example", "null", "*"] {
            let preflight = ask(preflight(other)).await;
            let answer = ask(Request::post("/orders").header(ORIGIN, other)).await;
            assert_eq!((allowed(&preflight), allowed(&answer)), (None, None), "{other}");
        }
    }

    #[tokio::test]
    async fn an_options_that_is_no_preflight_is_the_routes() {
        let answer = ask(Request::options("/orders").header(ORIGIN, FRONT_END)).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    fn preflight(origin: &str) -> Builder {
        Request::options("/orders").header(ORIGIN, origin).header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
    }

    async fn ask(request: Builder) -> Response {
        let routes = Router::new().route("/orders", post(|| async { StatusCode::UNAUTHORIZED }));
        let origins = [HeaderValue::from_static(FRONT_END)];
        let routes = routes.layer((CrossOriginLayer::answers(&origins), CrossOriginLayer::preflights(&origins)));
        routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn allowed(answer: &Response) -> Option<&str> {
        answer.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|origin| origin.to_str().unwrap())
    }
}

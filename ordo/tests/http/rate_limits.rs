//! Rate limits around a router, as requests meet them before and after authentication.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use access_control::{Principal, Role};
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use ordo::http::{RateLimits, RequestRateLimiter};
use problem::{ClientNetwork, RefusedCaller};
use tower::ServiceExt;

#[tokio::test]
async fn an_address_without_a_credential_has_a_bucket() {
    let routes = limited("anonymous=3/min");
    for left in [2, 1, 0] {
        let answer = ask(&routes, "192.0.2.7", None).await;
        assert_eq!((answer.status(), remaining(&answer)), (StatusCode::OK, Some(left)));
        assert_eq!(header(&answer, "ratelimit-policy"), Some("\"anonymous\";q=3;w=60"));
    }
    let refused = ask(&routes, "192.0.2.7", None).await;
    assert_eq!((refused.status(), remaining(&refused)), (StatusCode::TOO_MANY_REQUESTS, Some(0)));
    let after: u64 = header(&refused, "retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&after), "{after}");
    assert!(body(refused).await.contains(r#""code":"rate-limited""#));
    // Another one has its own, and so has who is authenticated.
    assert_eq!(ask(&routes, "192.0.2.8", None).await.status(), StatusCode::OK);
    assert_eq!(ask(&routes, "192.0.2.7", Some("operator:o")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_network_of_ipv6_is_one_address() {
    let routes = limited("anonymous=2/min");
    for (address, status) in
        [("2001:db8::1", 200), ("2001:db8::2", 200), ("2001:db8::3", 429), ("2001:db8:0:1::1", 200)]
    {
        assert_eq!(ask(&routes, address, None).await.status().as_u16(), status, "{address}");
    }
}

#[tokio::test]
async fn nobody_tries_out_credentials_at_will() {
    let routes = limited("anonymous=3/min");
    for left in [2, 1, 0] {
        let refused = ask(&routes, "192.0.2.7", Some("forged")).await;
        assert_eq!((refused.status(), remaining(&refused)), (StatusCode::UNAUTHORIZED, Some(left)));
    }
    // It is not looked at, be it good or bad.
    for credential in ["forged", "operator:o"] {
        assert_eq!(ask(&routes, "192.0.2.7", Some(credential)).await.status(), StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(ask(&routes, "192.0.2.8", Some("operator:o")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn who_is_authenticated_takes_nothing_of_its_address() {
    let routes = limited("anonymous=1/min");
    for _ in 0..10 {
        let answer = ask(&routes, "192.0.2.7", Some("operator:o")).await;
        assert_eq!((answer.status(), remaining(&answer)), (StatusCode::OK, None));
    }
}

#[tokio::test]
async fn a_principal_has_one_bucket_wherever_it_comes_from_and_whichever_token_it_has() {
    let routes = limited("customer=2/min");
    for (address, credential, status) in [
        ("192.0.2.7", "customer:ann", 200),
        ("192.0.2.8", "customer:ann", 200),
        ("192.0.2.9", "customer:ann", 429),
        ("192.0.2.9", "customer:bob", 200),
        ("192.0.2.9", "shop:ann", 200),
    ] {
        assert_eq!(ask(&routes, address, Some(credential)).await.status().as_u16(), status, "{credential}");
    }
    let refused = ask(&routes, "192.0.2.7", Some("customer:ann")).await;
    assert_eq!(header(&refused, "ratelimit-policy"), Some("\"customer\";q=2;w=60"));
}

#[tokio::test]
async fn probes_are_never_counted() {
    let routes = limited("anonymous=1/min,operator=1/min");
    for _ in 0..5 {
        for credential in [None, Some("operator:o")] {
            for path in ["/health/live", "/health/ready"] {
                let answer = ask_for(&routes, path, "192.0.2.7", credential).await;
                assert_eq!((answer.status(), remaining(&answer)), (StatusCode::OK, None));
            }
        }
    }
}

#[tokio::test]
async fn a_credential_is_worth_nothing_where_everyone_may_come() {
    let routes = limited("anonymous=2/min");
    // Public, not there, and there by another method: no credential is looked at.
    for (address, method, path, status) in [
        ("192.0.2.1", Method::GET, "/problems", 200),
        ("192.0.2.2", Method::GET, "/nowhere", 404),
        ("192.0.2.3", Method::PUT, "/orders", 405),
    ] {
        for left in [1, 0] {
            let answer = ask_by(&routes, &method, path, address, Some("shop:web")).await;
            assert_eq!((answer.status().as_u16(), remaining(&answer)), (status, Some(left)), "{method} {path}");
        }
        let refused = ask_by(&routes, &method, path, address, Some("shop:web")).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{method} {path}");
        // Who has one that holds is served all the same.
        assert_eq!(ask(&routes, address, Some("shop:web")).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_credential_of_which_is_not_known_whose_it_is_takes_a_token() {
    let routes = limited("anonymous=2/min");
    for status in [503, 503, 429] {
        assert_eq!(ask(&routes, "192.0.2.7", Some("unavailable")).await.status(), status);
    }
    for status in [403, 403, 403] {
        assert_eq!(ask(&routes, "192.0.2.8", Some("forbidden")).await.status(), status);
    }
}

#[tokio::test]
async fn without_a_setting_a_shop_is_not_limited() {
    let routes = limited("");
    for _ in 0..2_000 {
        assert_eq!(ask(&routes, "192.0.2.7", Some("shop:web")).await.status(), StatusCode::OK);
    }
    let everyone = RequestRateLimiter::new(&RateLimits::default().for_everyone(), 10);
    let routes = Router::new().route("/orders", get(|| async {})).layer(everyone.per_address());
    for _ in 0..2_000 {
        assert_eq!(ask(&routes, "192.0.2.7", None).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_principal_has_so_many_requests_under_way_until_their_answers_are_sent() {
    let limits = RequestRateLimiter::new(&RateLimits::default(), 2);
    let routes = Router::new().route("/orders", get(|| async {})).route("/health/live", get(|| async {}));
    let routes = routes.layer((from_fn(authenticate), limits.per_principal()));
    let one = ask(&routes, "192.0.2.7", Some("shop:web")).await;
    let other = ask(&routes, "192.0.2.8", Some("shop:web")).await;
    let refused = ask(&routes, "192.0.2.9", Some("shop:web")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(body(refused).await.contains(r#""code":"too-many-connections""#));
    assert_eq!(ask(&routes, "192.0.2.9", Some("shop:app")).await.status(), StatusCode::OK);
    assert_eq!(ask_for(&routes, "/health/live", "192.0.2.9", Some("shop:web")).await.status(), StatusCode::OK);
    drop(one);
    assert_eq!(ask(&routes, "192.0.2.9", Some("shop:web")).await.status(), StatusCode::OK);
    drop(other);
}

/// Routes that answer everyone but who has a credential that does not hold.
fn limited(quotas: &str) -> Router {
    let limits = RequestRateLimiter::new(&RateLimits::parse(quotas).unwrap(), 10);
    let routes = ["/orders", "/problems", "/health/live", "/health/ready"];
    let router = routes.into_iter().fold(Router::new(), |router, path| router.route(path, get(|| async {})));
    router.layer((limits.per_address(), from_fn(authenticate), limits.per_principal()))
}

/// `role:subject` is a credential that holds. Each has another time at which it ends. As access control does, it names in an answer
/// who called.
async fn authenticate(mut request: Request, next: Next) -> Response {
    let credential = request.headers().get(AUTHORIZATION).map(|credential| credential.to_str().unwrap().to_owned());
    let Some(credential) = credential else { return next.run(request).await };
    let actor = RefusedCaller::from(credential.clone());
    let Some((role, subject)) = credential.split_once(':') else {
        return match credential.as_str() {
            "unavailable" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            "forbidden" => (StatusCode::FORBIDDEN, Extension(actor)).into_response(),
            _ => StatusCode::UNAUTHORIZED.into_response(),
        };
    };
    let until = SystemTime::now() + Duration::from_secs(60);
    request.extensions_mut().insert(Principal::new(role.parse::<Role>().unwrap(), subject, Some(until)));
    let mut answer = next.run(request).await;
    answer.extensions_mut().insert(actor);
    answer
}

async fn ask(routes: &Router, address: &str, credential: Option<&str>) -> Response {
    ask_for(routes, "/orders", address, credential).await
}

async fn ask_for(routes: &Router, path: &str, address: &str, credential: Option<&str>) -> Response {
    ask_by(routes, &Method::GET, path, address, credential).await
}

async fn ask_by(routes: &Router, method: &Method, path: &str, address: &str, credential: Option<&str>) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(credential) = credential {
        request = request.header(AUTHORIZATION, credential);
    }
    let request = request.extension(ClientNetwork::of(address.parse::<IpAddr>().unwrap()));
    routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

/// How many requests are left, as the answer says.
fn remaining(answer: &Response) -> Option<u32> {
    let parameter = header(answer, "ratelimit")?.split(';').find_map(|parameter| parameter.strip_prefix("r="));
    Some(parameter.unwrap().parse().unwrap())
}

async fn body(answer: Response) -> String {
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

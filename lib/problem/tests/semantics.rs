//! What `HttpSemantics` adds to a router like the product's.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes, to_bytes};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use futures_util::stream;
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, Request, StatusCode};
use problem::{Deprecation, ETagByContent, HttpSemantics, Precondition, Problem};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

const GOING: &[Deprecation] = &[
    Deprecation { path: "/old", since: 1_688_169_599, sunset: Some(1_735_689_599), link: Some("/docs/upgrade") },
    Deprecation { path: "/list/{id}", since: 1_688_169_599, sunset: None, link: None },
];

/// Orders were posted so many times.
#[derive(Clone, Default)]
struct Posted(Arc<AtomicUsize>);

async fn versioned(headers: HeaderMap) -> Result<Response, Problem> {
    let etag = [(ETAG, "\"3\"")];
    Ok(match Precondition::read(&headers)?.is_not_modified(3)? {
        true => (StatusCode::NOT_MODIFIED, etag).into_response(),
        false => (etag, Json(json!({ "version": 3 }))).into_response(),
    })
}

/// An answer about version 3 to one of several readers.
async fn by_content(body: String) -> Response {
    let mut answer = ([(ETAG, "\"3\"")], Json(json!({ "version": 3, "for": body }))).into_response();
    ETagByContent::replace_version(&mut answer);
    answer
}

fn router(posted: &Posted) -> Router {
    let posted = posted.clone();
    let post_order = move || async move {
        posted.0.fetch_add(1, Ordering::SeqCst);
        (StatusCode::CREATED, Json(json!({})))
    };
    let live = || async { Sse::new(stream::iter([Ok::<_, Infallible>(Event::default().data("1"))])) };
    Router::new()
        .route("/orders", get(|| async { Json(json!({ "items": [1, 2] })) }).post(post_order))
        .route("/orders/7", get(versioned))
        .route("/orders/8", get(|| by_content("one".to_owned())))
        .route("/orders/9", get(|| by_content("another".to_owned())))
        // Without a version it would have no ETag.
        .route("/orders/10", get(|| by_content("x".repeat(5_000_000))))
        .route("/list/{id}", delete(|| async { StatusCode::NO_CONTENT }))
        .route("/old/orders", get(|| async { Json(json!({})) }))
        .route("/older", get(|| async { Json(json!({})) }))
        .route("/nothing-to-read", post(|| async { Json(json!({})) }))
        .route("/missing", get(|| async { Problem::not_found("it is not there") }))
        .route("/page", get(|| async { ([("cache-control", "public, max-age=60")], axum::response::Html("<p>")) }))
        .route("/live", get(live))
        .layer(HttpSemantics::new(GOING))
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask_with(method: &str, path: &str, headers: &[(&str, &str)], posted: &Posted) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let routes = problem::layer().layer(router(posted));
    let answer = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    Answer { status: head.status, headers: head.headers, body: to_bytes(body, usize::MAX).await.unwrap() }
}

async fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_with(method, path, headers, &Posted::default()).await
}

#[tokio::test]
async fn head_is_answered_as_get_is_without_the_body() {
    // The server leaves the bodies of refusals out.
    for path in ["/orders", "/orders/7", "/page"] {
        let (mut get, mut head) = (ask("GET", path, &[]).await, ask("HEAD", path, &[]).await);
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
        assert_eq!(get.status, head.status, "{path}");
        for answer in [&mut get, &mut head] {
            answer.headers.remove("traceresponse");
        }
        assert_eq!(get.headers, head.headers, "{path}");
    }
}

#[tokio::test]
async fn options_and_405_name_the_methods() {
    for (path, allow) in [
        ("/orders", "GET, HEAD, POST, OPTIONS"),
        ("/orders/7", "GET, HEAD, OPTIONS"),
        ("/nothing-to-read", "POST, OPTIONS"),
    ] {
        let sorted = |text: &str| {
            let mut methods: Vec<_> = text.split(", ").map(str::to_owned).collect();
            methods.sort();
            methods
        };
        let options = ask("OPTIONS", path, &[]).await;
        assert_eq!((options.status, options.body.len()), (StatusCode::NO_CONTENT, 0), "{path}");
        assert_eq!(sorted(options.header("allow")), sorted(allow), "{path}");
        let refused = ask("PATCH", path, &[]).await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(sorted(refused.header("allow")), sorted(allow), "{path}");
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
    assert_eq!(ask("OPTIONS", "/nowhere", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    for path in ["/orders", "/orders/7", "/orders/8", "/orders/10"] {
        let first = ask("GET", path, &[]).await;
        let etag = first.header("etag").to_owned();
        assert!(first.status == StatusCode::OK && etag.starts_with('"'), "{path}: {etag}");
        for method in ["GET", "HEAD"] {
            for known in [etag.clone(), format!("W/{etag}"), format!("\"1\", {etag}"), "*".to_owned()] {
                let again = ask(method, path, &[(IF_NONE_MATCH.as_str(), &known)]).await;
                assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}: {known}");
                assert_eq!(again.header("etag"), etag);
                assert_eq!(
                    (again.header("cache-control"), again.header("vary")),
                    ("private, no-cache", "authorization")
                );
                assert!(!again.headers.contains_key("content-type"));
            }
        }
        assert_eq!(ask("GET", path, &[(IF_NONE_MATCH.as_str(), "\"1\"")]).await.status, StatusCode::OK);
    }
    for malformed in ["1", "\"1", "*, \"1\""] {
        let answer = ask("GET", "/orders", &[(IF_NONE_MATCH.as_str(), malformed)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{malformed}");
        // It says nothing about what can't be read.
        for (path, status) in
            [("/missing", StatusCode::NOT_FOUND), ("/nothing-to-read", StatusCode::METHOD_NOT_ALLOWED)]
        {
            let answer = ask("GET", path, &[(IF_NONE_MATCH.as_str(), malformed)]).await;
            assert_eq!(answer.status, status, "{path}, {malformed}");
        }
    }
    let posted = Posted::default();
    let answer = ask_with("POST", "/orders", &[(IF_NONE_MATCH.as_str(), "*")], &posted).await;
    assert_eq!((answer.status, answer.header("etag")), (StatusCode::CREATED, ""));
}

#[tokio::test]
async fn two_answers_about_a_version_have_two_etags_that_name_it() {
    let (one, another) = (ask("GET", "/orders/8", &[]).await, ask("GET", "/orders/9", &[]).await);
    let etags = [one.header("etag"), another.header("etag")];
    assert!(etags.iter().all(|etag| etag.starts_with("\"3.")) && etags[0] != etags[1], "{etags:?}");
    let known = |etag| [(IF_NONE_MATCH.as_str(), etag)];
    assert_eq!(ask("GET", "/orders/9", &known(etags[0])).await.status, StatusCode::OK);
    assert_eq!(ask("GET", "/orders/9", &known("\"3\"")).await.status, StatusCode::OK);
    let packed = format!("{}-gzip\"", etags[1].trim_end_matches('"'));
    let again = ask("GET", "/orders/9", &known(&packed)).await;
    assert_eq!((again.status, again.header("etag")), (StatusCode::NOT_MODIFIED, packed.as_str()));
    // One of a whole answer is not one of theirs.
    assert_eq!(ask("GET", "/orders/7", &known(etags[0])).await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_what_says_so_itself_is_kept_by_others() {
    for (path, caching, vary) in [
        ("/orders", "private, no-cache", "authorization"),
        ("/orders/7", "private, no-cache", "authorization"),
        ("/page", "public, max-age=60", ""),
        ("/missing", "no-store", ""),
        ("/live", "no-store", ""),
    ] {
        let answer = ask("GET", path, &[]).await;
        assert_eq!((answer.header("cache-control"), answer.header("vary")), (caching, vary), "{path}");
    }
    assert_eq!(ask("POST", "/orders", &[]).await.header("cache-control"), "");
}

#[tokio::test]
async fn an_answer_that_is_not_accepted_is_not_sent_and_nothing_is_done() {
    for (method, path, accept, status) in [
        ("GET", "/orders", "text/html", 406),
        ("HEAD", "/orders", "text/html", 406),
        ("GET", "/orders", "text/html, */*;q=0.1", 200),
        ("GET", "/live", "text/event-stream", 200),
        ("GET", "/live", "application/json", 406),
        ("GET", "/page", "application/json", 406),
        // Problems come whatever is accepted.
        ("GET", "/missing", "text/html", 404),
        ("PATCH", "/orders", "text/html", 406),
    ] {
        let answer = ask(method, path, &[("accept", accept)]).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path} {accept}");
        if status == 406 && method != "HEAD" {
            let problem: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(problem["code"], "not-acceptable");
        }
    }
    let posted = Posted::default();
    assert_eq!(ask_with("POST", "/orders", &[("accept", "text/html")], &posted).await.status.as_u16(), 406);
    assert_eq!(posted.0.load(Ordering::SeqCst), 0);
    assert_eq!(ask_with("POST", "/orders", &[("accept", "application/*")], &posted).await.status.as_u16(), 201);
    assert_eq!(posted.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn routes_that_will_go_away_say_so() {
    let old = ask("GET", "/old/orders", &[]).await;
    assert_eq!(old.header("deprecation"), "@1688169599");
    assert_eq!(old.header("sunset"), "Tue, 31 Dec 2024 23:59:59 GMT");
    assert_eq!(old.header("link"), "</docs/upgrade>; rel=\"deprecation\"; type=\"text/html\"");
    let listed = ask("DELETE", "/list/1", &[]).await;
    assert_eq!((listed.header("deprecation"), listed.header("sunset")), ("@1688169599", ""));
    for path in ["/older", "/orders", "/nowhere"] {
        assert_eq!(ask("GET", path, &[]).await.header("deprecation"), "", "{path}");
    }
}

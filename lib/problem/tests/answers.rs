//! What a client sees, through a router like the product's.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, StatusCode};
use problem::{FieldError, Problem, ProblemType, Trace};
use serde_json::{Value, json};
use tower::ServiceExt;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn a_problem_has_every_member_the_interface_names() {
    let (response, body) = ask("GET", "/orders/7/conflict?x=1").await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(
        body,
        json!({
            "type": "/problems/not-allowed",
            "title": "The order does not allow it now",
            "status": 409,
            "detail": "the order was shipped",
            "instance": "/orders/7/conflict",
            "code": "not-allowed",
            "traceId": TRACE_ID,
            "currentVersion": 4,
        })
    );
}

#[tokio::test]
async fn every_violation_is_in_one_answer() {
    let (response, body) = ask("GET", "/invalid").await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(body["detail"], "2 rules are broken; see errors");
    assert_eq!(
        body["errors"],
        json!([
            {"pointer": "/items/0/quantity", "code": "out-of-range", "message": "must be 1 to 1000000"},
            {"pointer": "/currency", "code": "unknown-currency", "message": "XXX is not a currency"},
        ])
    );
}

#[tokio::test]
async fn an_overload_says_when_to_come_again() {
    let (response, body) = ask("GET", "/busy").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "2");
    assert_eq!(body["code"], "overloaded");
}

#[tokio::test]
async fn an_internal_cause_never_leaves() {
    let (response, body) = ask("GET", "/broken").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body["code"], "internal");
    assert_eq!(body["traceId"], TRACE_ID);
    assert!(!body.to_string().contains("password"), "{body}");
}

#[tokio::test]
async fn a_panic_is_an_internal_problem() {
    let (response, body) = ask("GET", "/panics").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body["code"], "internal");
    assert!(!body.to_string().contains("secret"), "{body}");
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    let (response, body) = ask("GET", "/nowhere").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(body["code"], "not-found");
    assert_eq!(body["instance"], "/nowhere");
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_that_names_the_right_one() {
    let (response, body) = ask("DELETE", "/only-post").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[ALLOW], "POST");
    assert_eq!(body["code"], "method-not-allowed");
}

#[tokio::test]
async fn a_rejected_extractor_is_a_problem_that_keeps_its_explanation() {
    let (response, body) = ask("GET", "/numbers/seven").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(body["code"], "malformed");
    assert!(body["detail"].as_str().unwrap().contains("seven"), "{body}");
    if let Some(length) = response.headers().get(CONTENT_LENGTH) {
        assert_eq!(length.to_str().unwrap(), body.to_string().len().to_string());
    }
}

#[tokio::test]
async fn a_handlers_own_json_refusal_is_left_alone() {
    let (response, body) = ask("GET", "/not-ready").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body, json!({"ready": false}));
}

#[tokio::test]
async fn a_handler_sees_the_callers_trace_and_the_answer_names_it() {
    let (response, body) = ask("GET", "/trace").await;
    let traceparent = body.as_str().unwrap();
    assert!(traceparent.starts_with(&format!("00-{TRACE_ID}-")), "{traceparent}");
    assert_eq!(response.headers()["traceresponse"], traceparent);
}

#[tokio::test]
async fn without_the_layer_a_problem_is_still_an_answer() {
    let response = Problem::not_found("no order o-1").into_response();
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), 4096).await.unwrap()).unwrap();
    assert_eq!(body["detail"], "no order o-1");
    assert_eq!(body.get("instance"), None);
}

#[tokio::test]
async fn a_status_without_a_type_of_its_own_keeps_it() {
    let (response, body) = ask("GET", "/unusual").await;
    assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!((&body["code"], &body["status"], &body["detail"]), (&json!("failed"), &json!(402), &json!("pay first")));
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_what_it_means() {
    let (_, problem) = ask("GET", "/orders/7/conflict").await;
    let (response, meaning) = ask("GET", problem["type"].as_str().unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    for member in ["type", "title", "status", "code"] {
        assert_eq!(meaning[member], problem[member], "{member}");
    }
    assert!(meaning["meaning"].is_string() && meaning["remedy"].is_string(), "{meaning}");
    let (response, body) = ask("GET", "/problems/nonsense").await;
    assert_eq!((response.status(), &body["code"]), (StatusCode::NOT_FOUND, &json!("not-found")));
}

#[tokio::test]
async fn all_types_are_listed_and_each_has_its_page() {
    let (_, all) = ask("GET", "/problems").await;
    let items = all["items"].as_array().unwrap();
    assert_eq!(items.len(), ProblemType::ALL.len());
    for item in items {
        let page = browse(item["type"].as_str().unwrap()).await;
        assert!(page.contains(&format!("<title>{}</title>", item["title"].as_str().unwrap())), "{page}");
        assert!(!page.contains('`'), "{page}");
    }
    let page = browse("/problems").await;
    assert!(items.iter().all(|item| page.contains(&format!("href={}", item["type"]))), "{page}");
}

/// What a browser gets.
async fn browse(path: &str) -> String {
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let request = Request::get(path).header("accept", accept).body(Body::empty()).unwrap();
    let answer = router().oneshot(request).await.unwrap();
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(answer.headers()["vary"], "Accept");
    String::from_utf8(to_bytes(answer.into_body(), 64 * 1024).await.unwrap().into()).unwrap()
}

async fn ask(method: &str, path: &str) -> (Response, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("traceparent", format!("00-{TRACE_ID}-b7ad6b7169203331-01"))
        .body(Body::empty())
        .unwrap();
    let (parts, body) = router().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 64 * 1024).await.unwrap();
    let json = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("not JSON: {body:?}"));
    (Response::from_parts(parts, Body::empty()), json)
}

fn router() -> Router {
    Router::new()
        .route(
            "/orders/{id}/conflict",
            get(|| async { Problem::new(ProblemType::NotAllowed, "the order was shipped").with("currentVersion", 4) }),
        )
        .route(
            "/invalid",
            get(|| async {
                Problem::invalid(vec![
                    violation("/items/0/quantity", "out-of-range", "must be 1 to 1000000"),
                    violation("/currency", "unknown-currency", "XXX is not a currency"),
                ])
            }),
        )
        .route(
            "/busy",
            get(|| async {
                Problem::new(ProblemType::Overloaded, "too many at once").retry_after(Duration::from_millis(1200))
            }),
        )
        .route("/broken", get(|| async { Problem::internal("password=hunter2 refused") }))
        .route("/panics", get(panics))
        .route("/only-post", post(|| async {}))
        .route("/numbers/{number}", get(|Path(_): Path<u8>| async {}))
        .route("/not-ready", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({"ready": false}))) }))
        .route("/unusual", get(|| async { (StatusCode::PAYMENT_REQUIRED, "pay first") }))
        .route("/trace", get(|trace: Trace| async move { axum::Json(trace.traceparent().to_owned()) }))
        .merge(problem::documentation())
        .layer(problem::layer())
}

fn violation(pointer: &str, code: &'static str, message: &str) -> FieldError {
    FieldError { pointer: pointer.to_owned(), code: code.into(), message: message.to_owned() }
}

async fn panics() {
    panic!("a secret")
}

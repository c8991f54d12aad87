//! What the log says of requests that were refused, at the level that it has unless somebody sets another.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use problem::{Problem, ProblemType};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing_subscriber::filter::LevelFilter;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

/// Log lines, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged while these paths are asked for.
async fn logged(paths: &[&str]) -> Vec<Value> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).without_time().with_target(false);
    let subscriber = subscriber.with_max_level(LevelFilter::INFO).with_writer(move || writer.clone()).finish();
    let _installed = tracing::subscriber::set_default(subscriber);
    let routes = routes();
    for path in paths {
        let request = Request::get(*path).header("traceparent", format!("00-{TRACE_ID}-b7ad6b7169203331-01"));
        routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    }
    let lines = lines.0.lock().unwrap();
    lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn routes() -> Router {
    let busy = || async {
        Problem::new(ProblemType::Overloaded, "come back").retry_after(Duration::from_secs(1)).caused_by("no room")
    };
    Router::new()
        .route("/fine", get(|| async { "fine" }))
        .route("/wrong/{id}", get(|| async { Problem::new(ProblemType::NotAllowed, "it was shipped") }))
        .route("/busy", get(busy))
        .route("/broken", get(|| async { Problem::internal("the cause") }))
        .layer(problem::layer())
}

#[tokio::test]
async fn each_request_that_is_refused_has_a_line_with_its_trace() {
    let logged = logged(&["/fine", "/wrong/7?token=secret", "/nowhere", "/busy", "/broken"]).await;
    let line = |level: &str, path: &str, status: u16, code: &str| {
        let message = if status == 500 { "request failed" } else { "request refused" };
        json!({ "level": level, "message": message, "trace_id": TRACE_ID, "method": "GET", "path": path, "status": status, "code": code })
    };
    let with_cause = |mut line: Value, cause: &str| {
        line["error"] = cause.into();
        line
    };
    assert_eq!(
        logged,
        [
            line("INFO", "/wrong/7", 409, "not-allowed"),
            line("INFO", "/nowhere", 404, "not-found"),
            with_cause(line("WARN", "/busy", 503, "overloaded"), "no room"),
            with_cause(line("ERROR", "/broken", 500, "internal"), "the cause"),
        ]
    );
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_fill_the_log_nor_hide_what_went_wrong_here() {
    let mut paths = vec!["/nowhere"; 10_000];
    paths.push("/broken");
    let logged = logged(&paths).await;
    // Twenty a second, however long this took, and what is said of the others.
    assert!(logged.len() < 1_000, "{}", logged.len());
    assert_eq!(logged.last().unwrap()["path"], "/broken");
}

#[tokio::test]
async fn a_long_path_is_cut() {
    let path = format!("/{}", "a".repeat(5_000));
    let logged = logged(&[&path]).await;
    assert_eq!(logged[0]["path"], path[..200]);
}

//! Details of HTTP that clients, proxies, browsers and scrapers rely on.

use http::Method;
use serde_json::json;
use testkit::demo_order;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Ordo, PATIENCE, event_count, settled};

/// What a server answers to a request as it stands here; whoever asks wants no more than that.
async fn raw(ordo: &Ordo, request: &str) -> String {
    raw_at(&ordo.api, request).await
}

async fn raw_at(url: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    // A reset is an end as well.
    drop(read);
    String::from_utf8(answer).unwrap()
}

/// The status and, of a problem, its code.
async fn outcome(ordo: &Ordo, request: &str) -> (String, String) {
    let answer = raw(ordo, request).await;
    let code = answer.split_once("\"code\":\"").map_or("", |(_, rest)| rest.split('"').next().unwrap());
    (answer.get(9..12).unwrap_or_default().to_owned(), code.to_owned())
}

#[tokio::test]
async fn a_request_is_for_this_server_and_from_no_other_sites_page() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let address = ordo.api.strip_prefix("http://").unwrap().to_owned();
    assert_eq!(client.order(&demo_order("a")).await.status, 201);
    settled(&client, "a").await;
    let events = event_count(&ordo.database).await;

    let close = "Connection: close\r\n\r\n";
    for (request, status, code) in [
        (format!("GET /stock HTTP/1.1\r\n{close}"), "400", "malformed"),
        (format!("GET /stock HTTP/1.1\r\nHost: a\r\nHost: b\r\n{close}"), "400", "malformed"),
        (format!("GET /stock HTTP/1.1\r\nHost: a/b\r\n{close}"), "400", "malformed"),
        (format!("GET /stock HTTP/1.1\r\nHost: {address}\r\n{close}"), "200", ""),
        (format!("GET /stock HTTP/1.1\r\nHost: localhost\r\n{close}"), "200", ""),
        // Health checks that know nothing but an address.
        (format!("GET /health/live HTTP/1.0\r\n{close}"), "200", ""),
        // A name that leads here all of a sudden.
        (format!("GET /orders/a HTTP/1.1\r\nHost: rebound.example:3000\r\n{close}"), "421", "unknown-host"),
        (format!("GET /metrics HTTP/1.1\r\nHost: rebound.example:3000\r\n{close}"), "421", "unknown-host"),
        (
            format!("POST /orders/a/ship HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: cross-site\r\n{close}"),
            "403",
            "cross-site",
        ),
        (
            format!("POST /stock/sku-123/receive HTTP/1.1\r\nHost: {address}\r\nOrigin: null\r\n{close}"),
            "403",
            "cross-site",
        ),
        (
            format!("GET /stock HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-site\r\n{close}"),
            "403",
            "cross-site",
        ),
        // A link on a page of another site.
        (
            format!(
                "GET /stock HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\
                 Sec-Fetch-Dest: document\r\n{close}"
            ),
            "200",
            "",
        ),
        // What operators have is elsewhere.
        (format!("GET /admin/replays HTTP/1.1\r\nHost: {address}\r\n{close}"), "404", "not-found"),
        (format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n{close}"), "404", "not-found"),
        (format!("GET /orders/a/saga HTTP/1.1\r\nHost: {address}\r\n{close}"), "404", "not-found"),
        (format!("GET /v1/admin/replays HTTP/1.1\r\nHost: {address}\r\n{close}"), "404", "not-found"),
        (format!("GET /v1/metrics HTTP/1.1\r\nHost: {address}\r\n{close}"), "404", "not-found"),
        (format!("GET /v1/health/live HTTP/1.1\r\nHost: {address}\r\n{close}"), "404", "not-found"),
    ] {
        assert_eq!(outcome(&ordo, &request).await, (status.to_owned(), code.to_owned()), "{request}");
    }
    assert_eq!(event_count(&ordo.database).await, events);
}

#[tokio::test]
async fn what_a_head_says_is_kept_to() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    for (path, location) in [("/orders", "/orders/a"), ("/v1/orders", "/v1/orders/a")] {
        let posted = client.try_post(path, &demo_order("a")).await.unwrap();
        assert_eq!((posted.status, posted.header("location")), (201, location));
    }
    let received = client.try_post("/v1/stock/sku-1/receive", &json!({ "quantity": 1 })).await.unwrap();
    assert_eq!(received.header("location"), "/v1/stock/sku-1");

    // Nothing of the body has left, and it is not asked for.
    let json = "Host: localhost\r\nContent-Type: application/json\r\nConnection: close";
    let waits = format!("POST /orders HTTP/1.1\r\n{json}\r\nExpect: 100-continue\r\nContent-Length: 300000\r\n\r\n");
    assert!(raw(&ordo, &waits).await.starts_with("HTTP/1.1 413 "));
    let encoded = format!("POST /orders HTTP/1.1\r\n{json}\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}");
    assert_eq!(outcome(&ordo, &encoded).await, ("415".to_owned(), "unsupported-media-type".to_owned()));
}

#[tokio::test]
async fn figures_come_in_either_format_and_nobody_makes_them_more() {
    let ordo = Ordo::up(&[("ORDO_ROLES", "command-api")]).await;
    let client = ordo.client();
    let metrics = async |accept: &str| {
        raw_at(
            &ordo.ops,
            &format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"),
        )
        .await
    };
    let older = metrics("text/plain;version=0.0.4").await;
    assert!(older.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{older}");
    assert!(older.contains("# TYPE ordo_append_commands_total counter\n"), "{older}");
    assert!(!older.contains("# EOF") && !older.contains("# UNIT"), "{older}");

    for method in ["DELETE", "PUT", "PATCH", "GET", "BREW"] {
        for path in ["/orders", "/orders/a/ship", "/stock/a/receive", "/v1/orders", "/nowhere", "/elsewhere"] {
            let refused =
                raw(&ordo, &format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
            assert!(matches!(&refused[9..12], "404" | "405"), "{method} {path}: {refused}");
        }
    }
    client.ask(Method::GET, "/nowhere").await.problem(404);
    let text = metrics("*/*").await;
    let (nobodys, others): (Vec<_>, Vec<_>) = text
        .lines()
        .filter_map(|line| line.strip_prefix("ordo_http_requests_total"))
        .partition(|line| line.contains(r#"route="none""#));
    assert_eq!(nobodys.len(), 2, "{nobodys:?}");
    assert!(nobodys.contains(&r#"{method="other",route="none",status="404"} 11"#), "{nobodys:?}");
    assert!(nobodys.contains(&r#"{method="other",route="none",status="405"} 20"#), "{nobodys:?}");
    assert!(others.iter().all(|line| line.contains(r#"method="GET""#)), "{others:?}");
    let durations = text.lines().filter(|line| line.contains(r#"duration_seconds_count{method="other",route="none"}"#));
    assert_eq!(durations.count(), 1, "{text}");
}

#[tokio::test]
async fn answers_are_as_http_has_them() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    assert_eq!(client.order(&demo_order("a")).await.status, 201);
    settled(&client, "a").await;
    let ask = async |method: &str, path: &str, head: &str| {
        raw(&ordo, &format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n")).await
    };
    let field = |answer: &str, name: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    };

    for path in ["/orders/a", "/v1/orders", "/customers/customer-42/orders", "/stock", "/sales?day=2026-01-01"] {
        let (get, head) = (ask("GET", path, "").await, ask("HEAD", path, "").await);
        let etag = field(&get, "etag");
        assert!(get.starts_with("HTTP/1.1 200 ") && etag.starts_with('"'), "{path}: {get}");
        assert_eq!(field(&get, "cache-control"), "private, no-cache", "{path}");
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{path}: {head}");
        for name in ["etag", "cache-control", "vary", "content-type", "content-length"] {
            assert_eq!(field(&head, name), field(&get, name), "{path}: {name}");
        }
        let known = ask("GET", path, &format!("If-None-Match: {etag}\r\n")).await;
        assert!(known.starts_with("HTTP/1.1 304 ") && field(&known, "etag") == etag, "{path}: {known}");
        assert!(ask("GET", path, "Accept: text/html\r\n").await.starts_with("HTTP/1.1 406 "), "{path}");
        let options = ask("OPTIONS", path, "").await;
        assert!(options.starts_with("HTTP/1.1 204 "), "{path}: {options}");
        assert!(["GET", "HEAD", "OPTIONS"].iter().all(|method| field(&options, "allow").contains(method)), "{options}");
    }
    let events = event_count(&ordo.database).await;
    let refused = ask("POST", "/orders/a/notes", "Accept: text/html\r\nContent-Length: 0\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 406 "), "{refused}");
    let refused = ask("DELETE", "/orders", "").await;
    assert!(refused.starts_with("HTTP/1.1 405 ") && field(&refused, "allow").contains("POST"), "{refused}");
    assert_eq!(event_count(&ordo.database).await, events);
}

#[tokio::test]
async fn the_etag_of_a_compressed_answer_is_as_good_as_its_own() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let mut order = demo_order("a");
    order["notes"] = json!("Please ring twice. ".repeat(60));
    assert_eq!(client.order(&order).await.status, 201);
    settled(&client, "a").await;

    for path in ["/orders/a", "/orders/a/events", "/openapi.json"] {
        let read = client.get_with(path, "accept-encoding", "gzip").await;
        assert_eq!((read.status, read.header("content-encoding")), (200, "gzip"), "{path}");
        let etag = read.header("etag");
        assert!(etag.starts_with('"') && etag.ends_with("-gzip\""), "{path}: {etag}");
        let known = client.get_with(path, "if-none-match", etag).await;
        assert_eq!((known.status, known.header("etag")), (304, etag), "{path}");
        let plain = client.get(path).await.header("etag").to_owned();
        assert_eq!(etag, plain[..plain.len() - 1].to_owned() + "-gzip\"", "{path}");
        assert_eq!(client.get_with(path, "if-none-match", &plain).await.header("etag"), plain, "{path}");
    }

    let read = client.get_with("/orders/a", "accept-encoding", "gzip").await;
    let headers = [("content-type", "application/json"), ("if-match", read.header("etag"))];
    let note = async || {
        client.send_with(Method::POST, "/orders/a/notes", &headers, json!({ "text": "x" }).to_string()).await.status
    };
    assert!(matches!(note().await, 200..=202));
    assert_eq!(note().await, 412);
}

//! Answers: Ordo's, and those of others.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use ordo_client::{Client, Error, NewOrder, NewOrderItem, OrderView};

use crate::fake_server::{FakeServer, Reply, accepted, answer, json};
use crate::impatient;

async fn asked(reply: Reply) -> Error {
    let server = FakeServer::with([reply]).await;
    let client = impatient(&server.url).retries(0, Duration::ZERO).max_answer_bytes(64 * 1024).build().unwrap();
    client.stock_level("a").await.unwrap_err()
}

#[tokio::test]
async fn a_refusal_has_all_that_the_server_said() {
    let body = r#"{"type":"/problems/invalid","title":"The request breaks a rule","status":422,"detail":"2 rules are broken",
        "instance":"/orders","code":"invalid","traceId":"0af7651916cd43dd8448eb211c80319c","ofLaterServers":{"a":1},
        "errors":[{"pointer":"/currency","code":"invalid","message":"is none"},{"pointer":"/items","code":"x","message":"y"}]}"#;
    let error = asked(answer(422, "application/problem+json", "", body)).await;
    assert_eq!(error.code(), Some("invalid"));
    let problem = error.problem().unwrap();
    assert_eq!((problem.status, problem.errors.len()), (422, 2));
    assert_eq!(problem.errors[0].pointer, "/currency");
    assert_eq!(problem.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(problem.members["ofLaterServers"]["a"], 1);
    assert!(!error.is_outcome_unknown() && !error.is_temporary());
    let said = error.to_string();
    assert_eq!(said, "422 invalid: 2 rules are broken; /currency: is none; /items: y");
}

#[tokio::test]
async fn an_order_of_a_later_server_or_for_another_role_is_understood() {
    let body = r#"{"orderId":"o-1","customerId":"c","status":"teleported","version":3,"createdAt":"2026-11-30T03:07:09.670767Z",
        "total":{"amount":"30.50","currency":"USD","ofLater":1},"lines":[{"lineNumber":1,"sku":"a","quantity":2,
        "unitPrice":{"amount":"15.25","currency":"USD"},"lineTotal":{"amount":"30.50","currency":"USD"}}],"drone":{"id":7}}"#;
    let server = FakeServer::with([json(body)]).await;
    let order: OrderView = impatient(&server.url).build().unwrap().order("o/1 ä?#").min_position(7).await.unwrap();
    assert_eq!(
        (order.status.as_str(), order.total.amount.as_str(), &order.lines[0].shipped),
        ("teleported", "30.50", &0.into())
    );
    let request = server.requests().remove(0);
    assert!(request.starts_with("GET /orders/o%2F1%20%C3%A4%3F%23?minPosition=7 HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_answer() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"sku\":";
    let error = asked(Reply::Bytes(cut.into())).await;
    assert!(matches!(error, Error::NoAnswer { .. }) && error.is_outcome_unknown() && error.is_temporary(), "{error:?}");
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"sku";
    assert!(matches!(asked(Reply::Bytes(cut.into())).await, Error::NoAnswer { .. }));
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let began = Instant::now();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    let error = asked(Reply::Endless(head.into(), chunk.into())).await;
    assert!(error.to_string().ends_with("answers 200 OK: it has more than 65536 bytes"), "{error}");
    let claimed = "HTTP/1.1 503 Busy\r\ncontent-type: application/problem+json\r\ncontent-length: 99999999999\r\n\r\n";
    let error = asked(Reply::Endless(claimed.into(), b" ".repeat(0x1000))).await;
    assert!(error.to_string().contains("it has more than 65536 bytes"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_head_without_end_is_not_read() {
    let header = format!("x-more: {}\r\n", "a".repeat(4096));
    let error = asked(Reply::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), header.into())).await;
    assert!(matches!(error, Error::NoAnswer { .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_no_answer_of_ordo_is_said_to_be_none() {
    for (reply, expected) in [
        (answer(200, "text/html", "", "<html>"), "it is not JSON"),
        (answer(200, "application/json", "", "<html>"), "it can't be understood: "),
        (answer(200, "application/json", "", "[]"), "it can't be understood: "),
        (answer(404, "text/html", "", "<p>\u{1b}[2Jnothing"), "<p> [2Jnothing"),
        (answer(409, "application/problem+json", "", "[1]"), "its problem can't be understood: "),
        (answer(500, "text/plain", "", ""), "without a reason"),
    ] {
        let error = asked(reply).await;
        assert!(matches!(error, Error::UnexpectedAnswer { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().len() < 500 && !error.to_string().contains('\u{1b}'), "{error}");
    }
    let error = asked(Reply::Bytes(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())).await;
    assert!(matches!(error, Error::NoAnswer { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = FakeServer::with([answer(307, "text/plain", "location: /orders\r\n", "")]).await;
    let client = impatient(&server.url).token("secret").build().unwrap();
    let error = client.stock_level("a").await.unwrap_err();
    assert!(error.to_string().contains("it redirects to /orders, and redirects are not followed"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let server = FakeServer::with([Reply::ThenSilence(Vec::new())]).await;
    let client = Client::builder(&server.url).timeout(Duration::from_millis(200)).retries(0, Duration::ZERO);
    let error = client.build().unwrap().stock_level("a").await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn an_order_is_sent_as_the_server_reads_it() {
    let server = FakeServer::with([accepted()]).await;
    let order = NewOrder::new("o-1", "c", "30.50", "USD", [NewOrderItem::new("a", 2, "15.25")]);
    let placed = impatient(&server.url).build().unwrap().place_order(&order).if_version(0).await.unwrap();
    assert_eq!((placed.version, placed.position, placed.order_id.as_deref()), (2, 7, Some("o-1")));
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /orders HTTP/1.1\r\n") && head.contains("if-match: \"0\""), "{head}");
    assert!(head.contains("content-type: application/json") && !head.contains("idempotency-key"), "{head}");
    let expected = r#"{"orderId":"o-1","customerId":"c","totalAmount":"30.50","currency":"USD","items":[{"sku":"a","quantity":2,"unitPrice":"15.25"}]}"#;
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_batch_has_a_result_for_each_order() {
    let refused = r#"{"status":409,"orderId":"o-2","problem":{"status":409,"code":"order-exists"}}"#;
    let answer = format!(
        r#"{{"accepted":1,"refused":1,"results":[{{"status":201,"orderId":"o-1","version":1,"position":7}},{refused}]}}"#
    );
    let server = FakeServer::with([json(&answer)]).await;
    let order = |id: &str| NewOrder::new(id, "c", "15.25", "USD", [NewOrderItem::new("a", 1, "15.25")]);
    let orders = [order("o-1"), order("o-2")];
    let placed = impatient(&server.url).build().unwrap().place_orders(&orders).await.unwrap();
    assert_eq!((placed.accepted, placed.refused), (1, 1));
    assert_eq!((placed.results[0].status, placed.results[0].position), (201, Some(7)));
    assert_eq!(placed.results[1].problem.as_ref().unwrap().code, "order-exists");
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /orders/batch HTTP/1.1\r\n") && !head.contains("idempotency-key"), "{head}");
    assert!(body.starts_with(r#"[{"orderId":"o-1","#) && body.contains(r#"},{"orderId":"o-2","#), "{body}");
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_never_in_circles() {
    let level = |sku: &str| format!(r#"{{"sku":"{sku}","tracked":true}}"#);
    let page = |sku: &str, cursor: &str| json(&format!(r#"{{"items":[{}],"cursor":{cursor}}}"#, level(sku)));
    let empty = json(r#"{"items":[],"cursor":"c 2"}"#);
    let server = FakeServer::with([page("a", "\"c&1\""), empty, page("b", "null")]).await;
    let client = impatient(&server.url).build().unwrap();
    let levels: Vec<_> = client.stock_levels().limit(1).stream().try_collect().await.unwrap();
    assert_eq!(levels.iter().map(|level| level.sku.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let asked: Vec<String> = server.requests().iter().map(|it| it.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(asked, ["/stock?limit=1", "/stock?limit=1&cursor=c%261", "/stock?limit=1&cursor=c+2"]);

    let server = FakeServer::with([page("a", "\"1\""), page("b", "\"1\""), page("c", "null")]).await;
    let client = impatient(&server.url).build().unwrap();
    let error = client.stock_levels().stream().try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains("its cursor leads to the same page"), "{error}");
}

#[tokio::test]
async fn who_is_not_ready_says_so() {
    let checks = r#"{"status":"not-ready","checks":[{"name":"database","ok":false,"error":"does not answer"}]}"#;
    let server = FakeServer::with([answer(503, "application/json", "", checks)]).await;
    let health = impatient(&server.url).build().unwrap().health().await.unwrap();
    assert!(!health.is_ready() && health.checks[0].error.is_some());
    assert_eq!(server.requests().len(), 1);
    let server = FakeServer::with([answer(502, "text/html", "", "bad gateway")]).await;
    assert!(impatient(&server.url).build().unwrap().health().await.is_err());
}

#[test]
fn an_address_or_a_token_that_can_not_be_used_is_refused_before_anything_is_sent() {
    for wrong in
        ["", "shop", "shop:1", "ftp://shop", "http://", "http://u:p@shop", "http://shop/?a=1", "http://shop/#a"]
    {
        let error = Client::new(wrong).unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{wrong}: {error:?}");
    }
    for wrong in ["", "a b", "a\r\nx-role: operator", "ä"] {
        let error = Client::builder("http://localhost").token(wrong).build().unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{wrong:?}: {error:?}");
    }
    let with_token = |base: &str| Client::builder(base).token("secret");
    for near in ["http://localhost:1", "http://127.0.0.9", "http://[::1]:1"] {
        with_token(near).build().unwrap();
    }
    for far in ["http://shop", "http://localhost.shop", "http://192.168.0.1", "http://[2001:db8::1]", "http://0.0.0.0"]
    {
        let error = with_token(far).build().unwrap_err();
        assert!(
            matches!(error, Error::InvalidRequest(_)) && error.to_string().contains("https://"),
            "{far}: {error:?}"
        );
        assert!(Client::builder(far).token_from(async || Ok("secret".to_owned())).build().is_err(), "{far}");
        with_token(far).allow_token_over_http().build().unwrap();
        Client::new(far).unwrap();
    }
    let trusting = |file: &str| {
        let secure = Client::builder("https://shop");
        secure.ca_file(file).build().unwrap_err().to_string()
    };
    assert!(trusting("/nowhere/ca.pem").starts_with("the certificates in /nowhere/ca.pem can't be read: "));
    assert!(trusting(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).ends_with("can't be read: it has none"));
}

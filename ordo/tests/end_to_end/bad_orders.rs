//! Invalid orders, orders that arrive in pieces, and orders that arrive many times at once.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::{Value, json};
use testkit::{demo_order, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, LogSummary, Ordo, PATIENCE, event_count, log_summary, settled, until_mailed};

/// One a line: its body as it is sent, the status it gets and the pointer that its violations name.
const BAD: &str = include_str!("../../../domain/golden/posted/bad-orders.jsonl");
const JSON: &str = "application/json";
const MOST_BYTES: usize = 256 * 1024;

#[tokio::test]
async fn every_bad_order_is_refused_where_it_is_wrong_and_changes_nothing() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    for case in BAD.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let body = case["body"].as_str().unwrap().to_owned();
        let refused = client.post("/orders", case["contentType"].as_str().unwrap(), body).await;
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        assert_eq!(refused.status, status, "{}: {}", case["name"], refused.text());
        refused.problem(status);
        if let Some(pointer) = case["pointer"].as_str() {
            assert!(refused.pointers().iter().any(|it| it == pointer), "{}: {}", case["name"], refused.text());
        }
    }

    let demo = demo_order("good").to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonl", "", "; charset=utf-8"]
    {
        let problem = client.post("/orders", content_type, demo.clone()).await.problem(415);
        assert_eq!(problem["code"], "unsupported-media-type", "{content_type}");
    }
    for body in [&b"\xff\xfe{\0}\0"[..], b"{\"orderId\":\"\xc3\x28\"}", &[b'['; 100_000]] {
        client.post("/orders", JSON, body).await.problem(400);
    }
    assert_eq!(event_count(&ordo.database).await, 0);

    assert_eq!(client.post("/orders", "Application/JSON; charset=utf-8", demo).await.status, 201);
    assert_eq!(settled(&client, "good").await["status"], "confirmed");
}

#[tokio::test]
async fn a_body_may_have_256_kib_and_no_byte_more() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    for (id, bytes, status) in [("full", MOST_BYTES, 201), ("over", MOST_BYTES + 1, 413), ("far-over", 1 << 20, 413)] {
        let in_one = client.post("/orders", JSON, padded(id, bytes)).await;
        let in_chunks = client.post("/orders", JSON, chunked(&padded(id, bytes))).await;
        for answer in [in_one, in_chunks] {
            assert_eq!(answer.status, status, "{id}: {}", answer.text());
            if status == 413 {
                assert_eq!(answer.problem(413)["code"], "payload-too-large");
            }
        }
    }
    until_mailed(&ordo.database, 1).await;
    assert_eq!(event_count(&ordo.database).await, 5);
}

#[tokio::test]
async fn a_body_without_a_length_is_an_order_like_any_other() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let order = demo_order("chunked");
    let accepted = client.post("/orders", JSON, chunked(order.to_string().as_bytes())).await;
    assert_eq!(accepted.status, 201, "{}", accepted.text());
    assert_eq!(client.order(&order).await.body, accepted.body);
    assert_eq!(settled(&client, "chunked").await["status"], "confirmed");
}

#[tokio::test]
async fn half_a_body_is_no_order() {
    let ordo = Ordo::up(&[]).await;
    let body = demo_order("half").to_string();
    let (half, rest) = body.split_at(body.len() / 2);
    let announced = [
        format!("content-length: {}\r\n\r\n{half}", body.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{half}", body.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n", half.len()),
        // All of it, but the end of it is never said.
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{half}{rest}\r\n", body.len()),
        format!("content-length: {}\r\n\r\n{half}{rest}", body.len() + 1),
    ];
    for announced in announced {
        let mut client = TcpStream::connect(ordo.api.strip_prefix("http://").unwrap()).await.unwrap();
        let head = "POST /orders HTTP/1.1\r\nhost: ordo\r\ncontent-type: application/json\r\n";
        client.write_all(format!("{head}{announced}").as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Whether there still is an answer is up to the server; that it lets go of the connection is not.
        let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the connection stays open");
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(event_count(&ordo.database).await, 0);
    assert_eq!(ordo.client().order(&demo_order("half")).await.status, 201);
}

#[tokio::test]
async fn a_body_that_takes_too_long_is_not_waited_for() {
    let ordo = Ordo::up(&[]).await;
    let mut client = TcpStream::connect(ordo.api.strip_prefix("http://").unwrap()).await.unwrap();
    let head = "POST /orders HTTP/1.1\r\nhost: ordo\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, client.read_to_string(&mut answer)).await.expect("it is waited for").unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn one_order_posted_many_times_at_once_is_one_order() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let order = demo_order("popular");
    let answers = join_all((0..200).map(|_| client.order(&order))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (201, &answers[0].body), "{}", answer.text());
    }
    assert_eq!(settled(&client, "popular").await["version"], 5);
    assert_eq!(log_summary(&ordo.database).await, LogSummary { orders: 1, complete: 1, events: 5 });
    assert_eq!(mails(&ordo).await, 1);
}

#[tokio::test]
async fn of_several_orders_under_one_id_exactly_one_is_taken() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let amounts = (0..100).map(|nth| nth % 10 + 1);
    let posts = amounts.map(|amount| {
        let client = &client;
        async move { (amount, client.order(&costing("disputed", amount)).await) }
    });
    let mut statuses: BTreeMap<u16, Vec<i32>> = BTreeMap::new();
    for (amount, answer) in join_all(posts).await {
        statuses.entry(answer.status).or_default().push(amount);
        if answer.status != 201 {
            assert_eq!(answer.problem(409)["code"], "order-exists");
        }
    }
    let taken = &statuses[&201];
    assert_eq!(taken, &[taken[0]; 10], "every post of the content that was taken, and none of another");
    assert_eq!(statuses[&409].len(), 90);

    let order = settled(&client, "disputed").await;
    assert_eq!(order["total"]["amount"], format!("{}.00", taken[0]));
    assert_eq!(log_summary(&ordo.database).await, LogSummary { orders: 1, complete: 1, events: 5 });
    assert_eq!(mails(&ordo).await, 1);
}

fn costing(id: &str, amount: i32) -> Value {
    let mut order = demo_order(id);
    order["totalAmount"] = json!(amount);
    order["items"][0]["unitPrice"] = json!(amount);
    order
}

/// The demo order in so many bytes.
fn padded(id: &str, bytes: usize) -> Vec<u8> {
    let mut body = demo_order(id).to_string().into_bytes();
    body.resize(bytes, b' ');
    body
}

/// The same bytes without a length said beforehand.
fn chunked(body: &[u8]) -> Body {
    let chunks: Vec<_> =
        body.chunks(1000).map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk))).collect();
    Body::from_stream(stream::iter(chunks))
}

async fn mails(ordo: &Ordo) -> usize {
    let inbox = Client::new(&ordo.inbox);
    let count = || async { inbox.get("/messages").await.json().as_array().unwrap().len() };
    eventually(PATIENCE, || async { count().await > 0 }).await;
    count().await
}

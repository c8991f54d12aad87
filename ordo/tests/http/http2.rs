//! HTTP/2, which comes with TLS.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ordo::http::{ConnectionLimits, HttpSettings};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::server::{LARGE, PATIENCE, SHORT, Server};
use crate::tls::{Pair, certificate};

#[tokio::test]
async fn a_connection_serves_many_requests_at_the_same_time() {
    let secured = Secured::start(ConnectionLimits::default()).await;
    let (mut client, _connection) = secured.client().await;
    let mut busy = Vec::new();
    for _ in 0..10 {
        busy.push(tokio::spawn(client.send_request(get("/busy"))));
        secured.server.under_way.notified().await;
    }
    assert_eq!(text(client.send_request(get("/quick")).await.unwrap()).await, "quick");
    for request in busy {
        secured.server.go_on.notify_one();
        assert_eq!(text(request.await.unwrap().unwrap()).await, "done");
    }
    let large = to_bytes(Body::new(client.send_request(get("/large")).await.unwrap().into_body()), usize::MAX);
    assert_eq!(large.await.unwrap().len(), LARGE);
}

#[tokio::test]
async fn an_answer_that_is_never_read_ends_and_the_others_go_on() {
    let mut secured = Secured::start(ConnectionLimits { answers: SHORT, ..ConnectionLimits::default() }).await;
    let (mut client, _connection) = secured.client().await;
    let busy = tokio::spawn(client.send_request(get("/busy")));
    secured.server.under_way.notified().await;
    let flood = client.send_request(get("/flood")).await.unwrap();
    // Others over the same connection are read meanwhile.
    assert_eq!(text(client.send_request(get("/quick")).await.unwrap()).await, "quick");
    tokio::time::timeout(PATIENCE, secured.server.given_up.recv()).await.unwrap().unwrap();
    secured.server.go_on.notify_one();
    assert_eq!(text(busy.await.unwrap().unwrap()).await, "done");
    assert_eq!(text(client.send_request(get("/quick")).await.unwrap()).await, "quick");
    assert!(to_bytes(Body::new(flood.into_body()), usize::MAX).await.is_err());
}

#[tokio::test]
async fn an_answer_whose_end_is_never_taken_is_under_way() {
    let secured = Secured::start(ConnectionLimits { per_address: 3, ..ConnectionLimits::default() }).await;
    let (mut other, _other_connection) = secured.client().await;
    // The server may send a byte of each answer, and then all but a byte.
    for window in [1, 9_999] {
        let (mut client, _connection) = secured.client_with_window(window).await;
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(client.send_request(get("/json/10000")).await.unwrap());
        }
        for _ in 0..20 {
            assert_eq!(other.send_request(get("/quick")).await.unwrap().status(), 503, "{window}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(answers);
        until_served(&mut other).await;
    }
}

#[tokio::test]
async fn the_memory_of_an_answer_is_counted_until_its_end_is_taken() {
    let secured = Secured::start(ConnectionLimits::default()).await;
    let (mut client, _connection) = secured.client_with_window(u32::try_from(LARGE - 1).unwrap()).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(client.send_request(get("/large")).await.unwrap());
    }
    let (mut other, _other_connection) = secured.client().await;
    for _ in 0..50 {
        assert_eq!(other.send_request(get("/large")).await.unwrap().status(), 503);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    answers.pop();
    until_answered(&mut other, "/large").await;
}

#[tokio::test]
async fn an_answer_whose_end_is_never_taken_ends_its_connection() {
    let secured = Secured::start(ConnectionLimits { answers: SHORT, ..ConnectionLimits::default() }).await;
    let (mut client, connection) = secured.client_with_window(1).await;
    let answer = client.send_request(get("/json/10000")).await.unwrap();
    let _ = tokio::time::timeout(PATIENCE, connection).await.unwrap();
    drop(answer);
}

#[tokio::test]
async fn a_connection_may_not_idle_for_ever() {
    let secured = Secured::start(ConnectionLimits { idle: SHORT, ..ConnectionLimits::default() }).await;
    let (mut client, connection) = secured.client().await;
    assert_eq!(text(client.send_request(get("/quick")).await.unwrap()).await, "quick");
    // The client is told before: it is no error.
    tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_may_idle_for_longer_than_its_first_request_may_take() {
    let secured = Secured::start(ConnectionLimits { headers: SHORT, ..ConnectionLimits::default() }).await;
    let (mut client, _connection) = secured.client().await;
    for _ in 0..2 {
        assert_eq!(text(client.send_request(get("/quick")).await.unwrap()).await, "quick");
        tokio::time::sleep(3 * SHORT).await;
    }
}

#[tokio::test]
async fn who_waits_without_a_request_makes_room() {
    let secured = Secured::start(ConnectionLimits { connections: 1, reserve: 0, ..ConnectionLimits::default() }).await;
    let (mut first, connection) = secured.client().await;
    assert_eq!(text(first.send_request(get("/quick")).await.unwrap()).await, "quick");
    let mut second = loop {
        // While the end of the answer is under way the first one does not wait yet.
        if let Some((client, _)) = secured.try_client().await {
            break client;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(text(second.send_request(get("/quick")).await.unwrap()).await, "quick");
    let _ = tokio::time::timeout(PATIENCE, connection).await.unwrap();
}

#[tokio::test]
async fn requests_of_one_address_are_bounded_over_all_its_connections() {
    let secured = Secured::start(ConnectionLimits { per_address: 3, ..ConnectionLimits::default() }).await;
    let (mut one, _connection) = secured.client().await;
    let mut busy = Vec::new();
    for _ in 0..3 {
        busy.push(tokio::spawn(one.send_request(get("/busy"))));
        secured.server.under_way.notified().await;
    }
    let (mut other, _other_connection) = secured.client().await;
    let refused = other.send_request(get("/quick")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(other.send_request(get("/health/live")).await.unwrap().status(), 200);
    for request in busy {
        secured.server.go_on.notify_one();
        assert_eq!(text(request.await.unwrap().unwrap()).await, "done");
    }
    assert_eq!(other.send_request(get("/quick")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_that_takes_back_its_requests_stops_their_work() {
    let secured = Secured::start(ConnectionLimits { per_address: 2, ..ConnectionLimits::default() }).await;
    let (mut client, _connection) = secured.client().await;
    for _ in 0..5 {
        let busy = tokio::spawn(client.send_request(get("/busy")));
        secured.server.under_way.notified().await;
        busy.abort();
    }
    // Their places are free again.
    until_served(&mut client).await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let secured = Secured::start(ConnectionLimits::default()).await;
    let (mut client, _connection) = secured.client().await;
    let mut request = get("/quick");
    request.headers_mut().insert("x-long", "a".repeat(40 * 1024).parse().unwrap());
    let refused = client.send_request(request).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 431));
    assert_eq!(text(client.send_request(get("/quick")).await.unwrap()).await, "quick");
}

#[tokio::test]
async fn a_stop_lets_requests_under_way_end() {
    let mut secured = Secured::start(ConnectionLimits::default()).await;
    let (mut client, _connection) = secured.client().await;
    let busy = tokio::spawn(client.send_request(get("/busy")));
    secured.server.under_way.notified().await;
    secured.server.stop.cancel();
    secured.server.go_on.notify_one();
    assert_eq!(text(busy.await.unwrap().unwrap()).await, "done");
    tokio::time::timeout(PATIENCE, &mut secured.server.running).await.unwrap().unwrap();
}

struct Secured {
    server: Server,
    pair: Pair,
    _folder: TempDir,
}

type Connection = JoinHandle<hyper::Result<()>>;

impl Secured {
    async fn start(limits: ConnectionLimits) -> Self {
        let (pair, folder, tls) = certificate().await;
        let server = Server::start(HttpSettings { limits, tls: Some(tls), ..HttpSettings::default() });
        Self { server, pair, _folder: folder }
    }

    async fn client(&self) -> (SendRequest<Body>, Connection) {
        self.try_client().await.unwrap()
    }

    /// A client that lets the server send that much of each answer before it has read any of it.
    async fn client_with_window(&self, window: u32) -> (SendRequest<Body>, Connection) {
        let stream = self.pair.connect(self.server.address, &[b"h2"]).await.unwrap();
        let mut protocol = Builder::new(TokioExecutor::new());
        protocol.initial_stream_window_size(window).initial_connection_window_size(64 * 1024 * 1024);
        let (client, connection) = protocol.handshake(TokioIo::new(stream)).await.unwrap();
        (client, tokio::spawn(connection))
    }

    /// `None`: there is no room.
    async fn try_client(&self) -> Option<(SendRequest<Body>, Connection)> {
        let address: SocketAddr = self.server.address;
        let stream = self.pair.connect(address, &[b"h2", b"http/1.1"]).await.ok()?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Some((client, tokio::spawn(connection)))
    }
}

async fn until_served(client: &mut SendRequest<Body>) {
    until_answered(client, "/quick").await;
}

/// Asks until there is room.
async fn until_answered(client: &mut SendRequest<Body>, path: &str) {
    let answered = async {
        while client.send_request(get(path)).await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
}

fn get(path: &str) -> Request<Body> {
    Request::get(format!("https://localhost{path}")).body(Body::empty()).unwrap()
}

async fn text(answer: Response<Incoming>) -> String {
    let body = to_bytes(Body::new(answer.into_body()), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

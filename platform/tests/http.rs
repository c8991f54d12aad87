//! The server against clients that are slow, many, or still talking when it stops.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use platform::http::{Limits, bind, serve_within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_client_that_never_ends_its_headers_is_cut_off() {
    let server = Server::start(Limits { headers: SHORT, ..Limits::default() });
    let mut client = server.connect().await;
    client.write_all(b"GET /quick HTTP/1.1\r\nHost: ordo\r\nX-Slow: ").await.unwrap();
    let began = Instant::now();
    let dripping = async {
        while client.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), dripping).await.unwrap();
    assert!(began.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = Server::start(Limits::default());
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.write_all(b"GET /quick HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
        assert!(one_answer(&mut client).await.ends_with("quick"));
    }
}

#[tokio::test]
async fn clients_beyond_the_limit_wait_for_their_turn() {
    let server = Server::start(Limits { connections: 1, ..Limits::default() });
    let mut first = server.connect().await;
    first.write_all(b"GET /quick HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
    one_answer(&mut first).await;

    let mut second = server.connect().await;
    second.write_all(b"GET /quick HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
    let waiting = tokio::time::timeout(SHORT, one_answer(&mut second)).await;
    assert!(waiting.is_err(), "served beyond the limit");

    drop(first);
    assert!(one_answer(&mut second).await.ends_with("quick"));
}

#[tokio::test]
async fn a_stop_lets_requests_under_way_end() {
    let mut server = Server::start(Limits::default());
    let mut client = server.connect().await;
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.cancel();
    assert!(until_closed(&mut client).await.ends_with("slow"));
    (&mut server.running).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "still listening");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let mut server = Server::start(Limits { drain: SHORT, ..Limits::default() });
    let mut client = server.connect().await;
    client.write_all(b"GET /endless HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.cancel();
    tokio::time::timeout(Duration::from_secs(2), &mut server.running).await.unwrap().unwrap();
    assert_eq!(until_closed(&mut client).await, "");
}

#[tokio::test]
async fn a_taken_address_says_which_flag_to_change() {
    let taken = bind("127.0.0.1:0".parse().unwrap(), "--listen").unwrap();
    let address = taken.local_addr().unwrap();
    let error = format!("{:#}", bind(address, "--listen").unwrap_err());
    let expected = format!(
        "cannot listen on {address}: another process has that port; choose another address with --listen (port 0: any free one)"
    );
    assert_eq!(error, expected);
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Server {
    fn start(limits: Limits) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap(), "--listen").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new()
            .route("/quick", get(|| async { "quick" }))
            .route("/endless", get(std::future::pending::<()>))
            .route("/slow", get(slow));
        let token = stop.clone();
        let running = tokio::spawn(async move { serve_within(listener, router, token, &limits).await });
        Self { address, stop, running }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(300)).await;
    "slow"
}

async fn until_closed(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), client.read_to_end(&mut answer)).await.unwrap();
    // A reset is an end as well.
    drop(read);
    String::from_utf8(answer).unwrap()
}

/// One answer without its connection being closed; those of this router come in one piece.
async fn one_answer(client: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let length = client.read(&mut answer).await.unwrap();
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

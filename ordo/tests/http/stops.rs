//! A stop resets nobody who was let in.

use axum::Router;
use axum::routing::get;
use ordo::http::{ConnectionLimits, bind, serve};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::server::{PATIENCE, QUICK, SHORT, Server, one_answer, until_closed};

#[tokio::test]
async fn who_waited_to_be_accepted_is_answered_after_the_stop() {
    // Given clients that the kernel has let in, and nobody has accepted.
    let listener = bind("127.0.0.1:0".parse().unwrap(), "--listen").unwrap();
    let address = listener.local_addr().unwrap();
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(QUICK).await.unwrap();
        clients.push(client);
    }

    // When
    let stopped = CancellationToken::new();
    stopped.cancel();
    let router = Router::new().route("/quick", get(|| async { "quick" }));
    tokio::time::timeout(PATIENCE, serve(listener, router, ConnectionLimits::default(), stopped)).await.unwrap();

    // Then
    for mut client in clients {
        let answer = until_closed(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("quick"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_that_idles_may_send_a_last_request() {
    let mut server =
        Server::start(ConnectionLimits { last_request: PATIENCE, drain: PATIENCE, ..ConnectionLimits::default() });
    let (mut used, mut fresh) = (server.connect().await, server.connect().await);
    used.write_all(QUICK).await.unwrap();
    assert!(!one_answer(&mut used).await.contains("connection: close"));
    server.stop.cancel();
    for client in [&mut used, &mut fresh] {
        client.write_all(QUICK).await.unwrap();
        let answer = until_closed(client).await;
        assert!(answer.contains("connection: close") && answer.ends_with("quick"), "{answer}");
    }
    // Nobody else is connected, so nothing is waited for.
    (&mut server.running).await.unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_long_for_the_silent() {
    let mut server =
        Server::start(ConnectionLimits { last_request: SHORT, drain: PATIENCE, ..ConnectionLimits::default() });
    let mut silent = server.connect().await;
    server.stop.cancel();
    assert_eq!(until_closed(&mut silent).await, "");
    tokio::time::timeout(PATIENCE, &mut server.running).await.unwrap().unwrap();
}

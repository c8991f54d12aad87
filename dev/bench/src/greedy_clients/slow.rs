//! Clients that take their time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::PATIENCE;

/// Between two bytes.
const DRIP: Duration = Duration::from_millis(500);
/// Before a connection that was closed is made again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many answers are asked for over a connection of which none is read.
const ASKED: usize = 50;

/// What a slow client begins with, before it goes on byte by byte.
const HEAD: &str = "POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";
const BODY: &str =
    "POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n";

/// Sends so many heads, and as many bodies, a byte at a time.
pub(super) async fn drip(address: SocketAddr, clients: usize, stop: CancellationToken) {
    let mut all = JoinSet::new();
    for nth in 0..2 * clients {
        let begins = if nth % 2 == 0 { HEAD } else { BODY };
        all.spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                if let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(address)).await
                    && stream.write_all(begins.as_bytes()).await.is_ok()
                {
                    while stream.write_all(b" ").await.is_ok() {
                        sleep(DRIP).await;
                    }
                }
                sleep(AGAIN).await;
            }
        }));
    }
    all.join_all().await;
}

/// Asks for many lists of orders over each of so many connections, and reads nothing.
pub(super) async fn never_read(address: SocketAddr, clients: usize, stop: CancellationToken) {
    let requests = format!("GET /orders?limit=200 HTTP/1.1\r\nHost: {address}\r\n\r\n").repeat(ASKED);
    let mut all = JoinSet::new();
    for _ in 0..clients {
        let requests = requests.clone();
        all.spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                if let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(address)).await {
                    let _ = stream.write_all(requests.as_bytes()).await;
                    // The server gives up after a while. Until then one byte more is all that is taken.
                    sleep(PATIENCE).await;
                    let _ = stream.read(&mut [0; 1]).await;
                }
                sleep(AGAIN).await;
            }
        }));
    }
    all.join_all().await;
}

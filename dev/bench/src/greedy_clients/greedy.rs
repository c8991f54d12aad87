//! Clients that take all they can get.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::PATIENCE;
use crate::connection::Connection;
use crate::load::{Requests, connect};
use crate::orders::{OrderBody, Orders};

/// How many post large orders, and how many write notes.
const WRITERS: u64 = 8;
/// Before something that was closed or refused is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// What came of the large orders.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Posted {
    /// Orders that were stored: all of them.
    pub(super) taken: u64,
    /// How often one was answered 503, and posted again.
    pub(super) busy: u64,
}

/// What came of the notes.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notes {
    pub(super) taken: u64,
    /// The order has as many as it may have, or is changed by others all the time.
    pub(super) refused: u64,
}

/// Opens so many connections, sends half a request on every other one and nothing on the rest, and opens another some time after one is
/// closed. Says how many it opened.
pub(super) async fn silent(
    address: SocketAddr,
    (connections, reconnect): (usize, Duration),
    stop: CancellationToken,
) -> u64 {
    let opened = Arc::new(AtomicU64::new(0));
    let mut all = JoinSet::new();
    for nth in 0..connections {
        let (opened, stop) = (Arc::clone(&opened), stop.clone());
        let said: &[u8] = if nth % 2 == 0 { b"POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-" } else { b"" };
        all.spawn(stop.run_until_cancelled_owned(async move {
            loop {
                if let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(address)).await {
                    opened.fetch_add(1, Ordering::Relaxed);
                    let _ = stream.write_all(said).await;
                    // Until the server has enough of it.
                    while matches!(stream.read(&mut [0; 512]).await, Ok(1..)) {}
                }
                tokio::time::sleep(reconnect).await;
            }
        }));
    }
    all.join_all().await;
    opened.load(Ordering::Relaxed)
}

/// Follows the live stream from its beginning over so many connections, and reads nothing.
pub(super) async fn never_read(address: SocketAddr, streams: usize, stop: CancellationToken) {
    let request = format!("GET /events/stream?after=0 HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut open = Vec::with_capacity(streams);
    let opening = async {
        while open.len() < streams {
            match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(mut stream)) => {
                    let _ = stream.write_all(request.as_bytes()).await;
                    open.push(stream);
                }
                Ok(Err(_)) | Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    };
    let _ = stop.run_until_cancelled(opening).await;
    stop.cancelled().await;
}

/// Posts orders of that size until all of them are taken.
pub(super) async fn post_large_orders(address: SocketAddr, orders: u64, bytes: usize) -> anyhow::Result<Posted> {
    let requests = Orders::new(&address.to_string(), OrderBody::OfBytes(bytes), false);
    let busy = Arc::new(AtomicU64::new(0));
    let mut all = JoinSet::new();
    for first in 0..WRITERS {
        let (mut requests, busy) = (requests.clone(), Arc::clone(&busy));
        all.spawn(async move {
            let mut connection = Writer::new(address);
            for nth in (first..orders).step_by(usize::try_from(WRITERS).unwrap_or(1)) {
                loop {
                    match connection.exchange(requests.request(nth)).await? {
                        201 => break,
                        503 | 429 => busy.fetch_add(1, Ordering::Relaxed),
                        other => bail!("an order of {bytes} bytes was answered {other}"),
                    };
                    tokio::time::sleep(AGAIN).await;
                }
            }
            anyhow::Ok(())
        });
    }
    all.join_all().await.into_iter().collect::<anyhow::Result<()>>()?;
    Ok(Posted { taken: orders, busy: busy.load(Ordering::Relaxed) })
}

/// Posts an order and so many notes on it.
pub(super) async fn write_notes(address: SocketAddr, notes: u64) -> anyhow::Result<Notes> {
    let mut orders = Orders::new(&address.to_string(), OrderBody::Demo, false);
    let posted = Writer::new(address).exchange(orders.request(0)).await?;
    ensure!(posted == 201, "the order to write notes on was answered {posted}");
    let path = format!("/orders/{}/notes", orders.order_id(0));
    let (taken, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut all = JoinSet::new();
    for first in 0..WRITERS {
        let (path, taken, refused) = (path.clone(), Arc::clone(&taken), Arc::clone(&refused));
        all.spawn(async move {
            let mut connection = Writer::new(address);
            for nth in (first..notes).step_by(usize::try_from(WRITERS).unwrap_or(1)) {
                let body = json!({ "noteId": format!("n-{nth}"), "text": "x".repeat(4_000) }).to_string();
                let request = format!(
                    "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                match connection.exchange(request.as_bytes()).await? {
                    201 => taken.fetch_add(1, Ordering::Relaxed),
                    409 | 422 | 429 | 503 => refused.fetch_add(1, Ordering::Relaxed),
                    other => bail!("a note was answered {other}"),
                };
            }
            anyhow::Ok(())
        });
    }
    all.join_all().await.into_iter().collect::<anyhow::Result<()>>()?;
    Ok(Notes { taken: taken.load(Ordering::Relaxed), refused: refused.load(Ordering::Relaxed) })
}

/// A connection that is made again when it was closed: its address has many, and the server may have enough of them.
struct Writer {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Writer {
    /// How often a request is sent again.
    const TRIES: usize = 200;

    fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Sends a request until it is answered, and says how.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        let mut last = None;
        for _ in 0..Self::TRIES {
            match self.try_exchange(request).await {
                Ok(status) => return Ok(status),
                Err(error) => last = Some(error),
            }
            self.connection = None;
            tokio::time::sleep(AGAIN).await;
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("not tried"))).context("a request was not answered")
    }

    async fn try_exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => timeout(PATIENCE, connect(self.address)).await??,
        };
        let answer = timeout(PATIENCE, connection.exchange(request)).await??;
        self.connection = (!answer.closes).then_some(connection);
        Ok(answer.status)
    }
}

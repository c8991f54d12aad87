//! Posts a fixed number of orders over several connections, on a thread of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use hdrhistogram::Histogram;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::load::{Requests, connect, histogram, micros};
use crate::orders::Orders;

/// How long an order that was refused because the platform was busy waits before it is posted again.
const AGAIN: Duration = Duration::from_millis(10);

/// What came of the posts: every order was accepted.
#[derive(Debug)]
pub(super) struct Posted {
    /// When the first was sent.
    pub(super) began: DateTime<Utc>,
    /// From then to the last answer.
    pub(super) took: Duration,
    /// Of orders that were accepted, in microseconds from when they were sent, the last time if they were sent again.
    pub(super) latencies: Histogram<u64>,
    /// Answers 503.
    pub(super) refused: u64,
}

/// Opens all connections, then posts.
pub(super) fn start(
    address: SocketAddr,
    orders: Orders,
    number: u64,
    connections: usize,
) -> anyhow::Result<oneshot::Receiver<anyhow::Result<Posted>>> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("load".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let posts = post_all(address, orders, number, connections);
        // The receiver is gone if the benchmark was interrupted.
        let _ = tell.send(runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(posts)));
    })?;
    Ok(told)
}

async fn post_all(address: SocketAddr, orders: Orders, number: u64, connections: usize) -> anyhow::Result<Posted> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(connect(address).await.with_context(|| format!("cannot connect to {address}"))?);
    }
    let next = Arc::new(AtomicU64::new(0));
    let mut posting = JoinSet::new();
    let (began, since) = (Utc::now(), Instant::now());
    for connection in open {
        posting.spawn(post(connection, orders.clone(), Arc::clone(&next), number));
    }
    let mut posted = Posted { began, took: Duration::ZERO, latencies: histogram(), refused: 0 };
    while let Some(ended) = posting.join_next().await {
        let (latencies, refused) = ended??;
        posted.latencies.add(latencies)?;
        posted.refused += refused;
    }
    posted.took = since.elapsed();
    Ok(posted)
}

/// Posts orders until there are none left, each until it is accepted.
async fn post(
    mut connection: Connection,
    mut orders: Orders,
    next: Arc<AtomicU64>,
    number: u64,
) -> anyhow::Result<(Histogram<u64>, u64)> {
    let (mut latencies, mut refused) = (histogram(), 0);
    loop {
        let nth = next.fetch_add(1, Ordering::Relaxed);
        if nth >= number {
            return Ok((latencies, refused));
        }
        loop {
            let sent = Instant::now();
            match connection.exchange(orders.request(nth)).await?.status {
                201 => break latencies.saturating_record(micros(sent.elapsed())),
                503 => refused += 1,
                status => bail!("POST /orders answers {status}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

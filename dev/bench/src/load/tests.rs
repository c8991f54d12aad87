//! What is counted, against servers that misbehave.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::orders::{OrderBody, Orders};

/// A server that answers each request as `answer` says; it sees how many came before.
async fn server<F>(answer: impl Fn(u64) -> F + Clone + Send + 'static) -> SocketAddr
where
    F: Future<Output = u16> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let nth = Arc::new(AtomicU64::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, nth) = (answer.clone(), Arc::clone(&nth));
            tokio::spawn(async move {
                let mut request = [0; 4096];
                // The client sends a request only after the answer to the one before, and in one piece.
                while stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                    let status = answer(nth.fetch_add(1, Ordering::Relaxed)).await;
                    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}");
                    if status == 0 || stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn load(address: SocketAddr, connections: usize, per_second: Option<f64>) -> Load<Orders> {
    let requests = Orders::new(&address.to_string(), OrderBody::Demo, false);
    let duration = Duration::from_millis(400);
    Load { address, requests, connections, per_second, warm_up: Duration::ZERO, duration }
}

#[tokio::test]
async fn a_stall_shows_in_the_latency_of_all_that_was_due_during_it() {
    // Given a server that stalls once, for half of the time
    const STALL: Duration = Duration::from_millis(200);
    let address = server(|nth| async move {
        if nth == 20 {
            tokio::time::sleep(STALL).await;
        }
        201
    })
    .await;

    // When
    let tally = load(address, 1, Some(500.0)).start().await.unwrap().tally().await.unwrap();

    // Then of the hundred requests due meanwhile, half waited for half of it or longer
    assert_eq!(tally.offered, 200);
    assert_eq!(tally.latencies.len(), 200);
    let waited = tally.latencies.count_between(micros(STALL / 2), u64::MAX);
    assert!(waited >= 45, "{waited}");
    assert!(tally.latencies.max() >= 195_000);
}

#[tokio::test]
async fn requests_that_were_never_sent_count_with_the_time_they_waited() {
    let address = server(|_| async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        201
    })
    .await;
    let tally = load(address, 2, Some(100.0)).start().await.unwrap().tally().await.unwrap();
    assert_eq!((tally.offered, tally.missed), (40, 38));
    // Both were answered, but only after the time was up.
    assert_eq!((tally.accepted, tally.accepted_in_all), (0, 2));
    assert_eq!(tally.latencies.len(), 40);
    assert!(tally.latencies.value_at_quantile(0.5) >= 190_000);
}

#[tokio::test]
async fn answers_are_counted_as_accepted_refused_or_failed() {
    let address = server(|nth| async move {
        match nth % 4 {
            0 => 201,
            1 => 503,
            2 => 422,
            _ => 0,
        }
    })
    .await;
    let tally = load(address, 4, Some(100.0)).start().await.unwrap().tally().await.unwrap();
    assert_eq!(tally.offered, 40);
    assert_eq!((tally.accepted_in_all, tally.refusals.len(), tally.failed), (10, 10, 10));
    assert_eq!(tally.other, [(422, 10)].into());
    assert_eq!(tally.errors(), 20);
    assert!(tally.first_failure.unwrap().contains("closed the connection"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = load(gone, 4, None).start().await.err().unwrap();
    assert!(error.to_string().starts_with("cannot connect to"), "{error}");
}

//! Clients that ask for what they need, from an address of their own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::PATIENCE;
use crate::connection::Connection;
use crate::load::{Requests, histogram, micros};
use crate::orders::{OrderBody, Orders};

/// Loopback has more than one address on Linux; elsewhere all share one.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const HEALTH_EVERY: Duration = Duration::from_millis(50);
const ORDER_EVERY: Duration = Duration::from_millis(20);

/// How somebody was served.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) answers: u64,
    pub(super) failures: u64,
    pub(super) first_failure: Option<String>,
    /// Of the answers, in microseconds, the time to connect included.
    pub(super) latencies: Histogram<u64>,
}

impl Served {
    pub(super) fn asked(&self) -> u64 {
        self.answers + self.failures
    }

    async fn ask(&mut self, address: SocketAddr, request: &[u8], wanted: u16) {
        let began = Instant::now();
        let failure = match timeout(PATIENCE, exchange(address, request)).await {
            Ok(Ok(status)) if status == wanted => None,
            Ok(Ok(status)) => Some(format!("answer {status}")),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        if let Some(failure) = failure {
            self.failures += 1;
            self.first_failure.get_or_insert(failure);
        } else {
            self.answers += 1;
            self.latencies.saturating_record(micros(began.elapsed()));
        }
    }
}

/// Asks again and again whether the process is alive, until told to stop.
pub(super) async fn ask_for_health(address: SocketAddr, stop: CancellationToken) -> Served {
    let request = format!("GET /health/live HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    every(HEALTH_EVERY, stop, address, 200, |_| request.clone().into_bytes()).await
}

/// Posts an order again and again, until told to stop.
pub(super) async fn order(address: SocketAddr, stop: CancellationToken) -> Served {
    let mut orders = Orders::new(&address.to_string(), OrderBody::Demo, false);
    every(ORDER_EVERY, stop, address, 201, move |nth| orders.request(nth).to_vec()).await
}

async fn every(
    pause: Duration,
    stop: CancellationToken,
    address: SocketAddr,
    wanted: u16,
    mut request: impl FnMut(u64) -> Vec<u8>,
) -> Served {
    let mut served = Served { answers: 0, failures: 0, first_failure: None, latencies: histogram() };
    let mut due = interval(pause);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        served.ask(address, &request(served.asked()), wanted).await;
    }
    served
}

async fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<u16> {
    Ok(Connection::new(connect(address).await?).exchange(request).await?.status)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if socket.bind((ELSEWHERE, 0).into()).is_err() {
        return TcpStream::connect(address).await;
    }
    socket.connect(address).await
}

//! Two pages of one customer's orders: the first, and one far behind it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;

use super::fill::CUSTOMER;
use crate::figures::Latencies;
use crate::http_client::ApiClient;
use crate::load::{connect, histogram, micros};

/// How often each is asked for in a run.
const TIMES: usize = 200;
/// How many orders a page has.
const ORDERS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests for the two pages.
#[derive(Debug)]
pub(super) struct Pages {
    address: SocketAddr,
    first: Vec<u8>,
    far: Vec<u8>,
    /// Which page the far one is, from 1.
    pub(super) nth: usize,
}

/// What they took, each its median.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Times {
    pub(super) first_ms: f64,
    pub(super) far_ms: f64,
}

impl Pages {
    /// Goes to the page, or to the last full one if there are not so many.
    pub(super) async fn find(address: SocketAddr, wanted: usize) -> anyhow::Result<Self> {
        let path = format!("/customers/{CUSTOMER}/orders?limit={ORDERS}");
        let client = ApiClient::new(PATIENCE);
        let (mut far, mut nth, mut next) = (path.clone(), 1, path.clone());
        loop {
            let (status, page) = client.get(&format!("http://{address}{next}")).await?;
            ensure!(status.is_success(), "GET {next} answers {status}");
            if page["items"].as_array().map_or(0, Vec::len) == ORDERS {
                far.clone_from(&next);
            } else {
                nth -= 1;
                break;
            }
            let cursor = page["cursor"].as_str().filter(|_| nth < wanted);
            let Some(cursor) = cursor else { break };
            next = format!("{path}&cursor={cursor}");
            nth += 1;
        }
        ensure!(nth > 0, "there is no page of {ORDERS} orders: make more with --orders");
        let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
        Ok(Self { address, first: request(&path), far: request(&far), nth })
    }

    /// Asks for both by turns.
    pub(super) async fn measure(&mut self) -> anyhow::Result<Times> {
        let mut connection = connect(self.address).await?;
        let (mut first, mut far) = (histogram(), histogram());
        for _ in 0..TIMES {
            for (request, times) in [(&self.first, &mut first), (&self.far, &mut far)] {
                let asked = Instant::now();
                let answer = connection.exchange(request).await?;
                times.saturating_record(micros(asked.elapsed()));
                ensure!(answer.status == 200, "a page is answered {}", answer.status);
            }
        }
        Ok(Times { first_ms: Latencies::of(&first).p50_ms, far_ms: Latencies::of(&far).p50_ms })
    }
}

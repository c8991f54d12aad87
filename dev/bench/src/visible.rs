//! `bench visible`: from the answer to a POST until the order can be read.
//!
//! Orders are posted at a steady rate. Whoever has read an answer asks at once, over another connection, for the order as of the
//! position that the answer named, and waits for it. Then it asks for an order that has long been there: what that takes is
//! HTTP and a look-up, and the rest of the first figure is the wait for the projection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use ordo::output::{self, rate};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::address_of;
use crate::args::Visible;
use crate::connection::{Answer, Connection};
use crate::figures::{Latencies, Spread};
use crate::load::{Requests, connect, histogram, micros};
use crate::orders::Orders;
use crate::pace::Turns;
use crate::program::Ordo;
use crate::progress::Progress;
use crate::table::{Table, millis};

/// How long to wait for the first order to be seen, on a platform that has just started.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    bench: &'static str,
    per_second: f64,
    connections: usize,
    seconds: f64,
    /// Of each percentile the median over the runs.
    visible: Latencies,
    floor: Latencies,
    visible_p50_ms: Option<Spread>,
    visible_p99_ms: Option<Spread>,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    /// From the answer to the POST to that of the GET.
    visible: Latencies,
    /// A GET of an order that has long been there.
    floor: Latencies,
    orders: u64,
    /// Orders or reads that came to nothing.
    errors: u64,
    /// Orders that no connection was free for.
    missed: usize,
}

/// Measures, and prints the figures.
pub(crate) async fn run(args: &Visible, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    let (address, server) = match &args.api {
        Some(api) => (address_of(api)?, None),
        None => {
            progress.say("starting a platform");
            let server = ordo.up(&args.roles).await?;
            (server.address, Some(server))
        }
    };
    let mut runs = Vec::new();
    for nth in 1..=args.measuring.runs {
        progress.say(&format!("run {nth} of {}", args.measuring.runs));
        runs.push(measure(args.clone(), address).await?);
    }
    progress.end();
    drop(server);
    let of = |of: fn(&Run) -> Latencies| Latencies::median(&runs.iter().map(of).collect::<Vec<_>>());
    let figures = Figures {
        bench: "visible",
        per_second: args.rate,
        connections: args.connections,
        seconds: args.duration.as_secs_f64(),
        visible: of(|run| run.visible),
        floor: of(|run| run.floor),
        visible_p50_ms: Spread::of(runs.iter().map(|run| run.visible.p50_ms)),
        visible_p99_ms: Spread::of(runs.iter().map(|run| run.visible.p99_ms)),
        runs,
    };
    if args.measuring.json {
        return Ok(output::line(&serde_json::to_string(&figures)?)?);
    }
    for line in lines(&figures) {
        output::line(&line)?;
    }
    Ok(())
}

fn lines(figures: &Figures) -> Vec<String> {
    let Figures { per_second, connections, seconds, runs, .. } = figures;
    let mut lines = vec![format!(
        "{} orders/s over {connections} pairs of connections: medians of {} runs of {seconds} s",
        rate(*per_second),
        runs.len()
    )];
    let mut table = Table::new(&["", "milliseconds", "p50", "p90", "p99", "p99.9", "max"]);
    for (what, of) in
        [("from the answer until it can be read", figures.visible), ("reading what has long been there", figures.floor)]
    {
        let mut row = vec![String::new(), what.to_owned()];
        row.extend([of.p50_ms, of.p90_ms, of.p99_ms, of.p999_ms, of.max_ms].map(millis));
        table.row(row);
    }
    lines.extend(table.lines());
    let errors: u64 = runs.iter().map(|run| run.errors).sum();
    let missed: usize = runs.iter().map(|run| run.missed).sum();
    lines.push(format!(
        "{} orders, {errors} errors, {missed} for which no connection was free",
        runs.iter().map(|run| run.orders).sum::<u64>()
    ));
    lines
}

/// On a thread of its own, as every load.
async fn measure(args: Visible, address: SocketAddr) -> anyhow::Result<Run> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("load".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let run = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(pairs(&args, address)));
        // The receiver is gone if the benchmark was interrupted.
        let _ = tell.send(run);
    })?;
    told.await.context("the load generator died")?
}

async fn pairs(args: &Visible, address: SocketAddr) -> anyhow::Result<Run> {
    let mut orders = Orders::new(&address.to_string(), args.measuring.payload, false);
    // Numbered far from all others.
    let old = u64::MAX % 1_000_000_000_000;
    let mut first = connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    let placed = first.exchange(orders.request(old)).await?;
    ensure!(placed.status == 201, "POST /orders answers {}", placed.status);
    let read_old = read(address, &orders.order_id(old), None);
    let since = Instant::now();
    while first.exchange(&read_old).await?.status != 200 {
        ensure!(
            since.elapsed() < PATIENCE,
            "an order that was accepted could not be read after {PATIENCE:?}; does the platform run projections?"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let begin = Instant::now();
    let from = begin + args.measuring.warm_up;
    let until = from + args.duration;
    let mut working = JoinSet::new();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut all = Vec::new();
    for _ in 0..args.connections {
        all.push((connect(address).await?, connect(address).await?));
    }
    let turns = Turns::start(Some(args.rate), begin, until);
    for (posting, reading) in all {
        let pair = Pair { posting, reading, address, orders: orders.clone(), read_old: read_old.clone(), from };
        working.spawn(pair.run(turns.clone(), Arc::clone(&seen)));
    }
    working.join_all().await;
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Run {
        visible: Latencies::of(&seen.visible),
        floor: Latencies::of(&seen.floor),
        orders: seen.visible.len(),
        errors: seen.errors,
        missed: turns.missed().filter(|due| *due >= from).count(),
    })
}

/// One connection that posts and one that reads.
struct Pair {
    posting: Connection,
    reading: Connection,
    address: SocketAddr,
    orders: Orders,
    read_old: Vec<u8>,
    from: Instant,
}

struct Seen {
    visible: Histogram<u64>,
    floor: Histogram<u64>,
    errors: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { visible: histogram(), floor: histogram(), errors: 0 }
    }
}

impl Pair {
    async fn run(mut self, turns: Turns, seen: Arc<Mutex<Seen>>) {
        while let Some(turn) = turns.next().await {
            let times = self.order(turn.nth).await;
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            match times {
                Ok((visible, floor)) if turn.due >= self.from => {
                    seen.visible.saturating_record(micros(visible));
                    seen.floor.saturating_record(micros(floor));
                }
                Ok(_) => {}
                Err(_) => seen.errors += 1,
            }
        }
    }

    /// How long until it could be read, and how long reading the old one took.
    async fn order(&mut self, nth: u64) -> anyhow::Result<(Duration, Duration)> {
        let posted = self.posting.exchange(self.orders.request(nth)).await?;
        let accepted = Instant::now();
        let Answer { status: 201, position: Some(position), .. } = posted else {
            anyhow::bail!("POST /orders answers {}", posted.status)
        };
        let request = read(self.address, &self.orders.order_id(nth), Some(position));
        let found = self.reading.exchange(&request).await?;
        let visible = accepted.elapsed();
        ensure!(found.status == 200, "GET /orders/{{id}} answers {}", found.status);
        let asked = Instant::now();
        self.reading.exchange(&self.read_old).await?;
        Ok((visible, asked.elapsed()))
    }
}

fn read(address: SocketAddr, order_id: &str, position: Option<u64>) -> Vec<u8> {
    let query = position.map_or_else(String::new, |position| format!("?minPosition={position}"));
    format!("GET /orders/{order_id}{query} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes()
}

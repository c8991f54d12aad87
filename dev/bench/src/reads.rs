//! `bench reads`: how many orders a second can be read, and what a page of a customer's orders costs near the first and far
//! behind.
//!
//! The log is filled with orders of one customer, each paid for, confirmed and told of, and the platform's own projections make
//! the read model of it. Then any of the orders is asked for, over many connections at once; and over one connection, by turns,
//! the first page of the customer's orders and a page far behind it.

pub(crate) mod fill;
mod pages;

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use ordo::output;
use serde::Serialize;

use self::pages::{Pages, Times};
use crate::args::Reads;
use crate::contender::taken;
use crate::databases::Database;
use crate::figures::{Latencies, Spread, count, micros_per_order};
use crate::load::{Load, Requests};
use crate::orders::write_digits;
use crate::processes;
use crate::program::Ordo;
use crate::progress::Progress;
use crate::server::Server;
use crate::table::{Table, known, millis, ratio, spread, thousands};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    bench: &'static str,
    orders: u64,
    connections: usize,
    seconds: f64,
    reads_per_second: Option<Spread>,
    /// Of each percentile the median over the runs.
    latencies: Latencies,
    /// Which page is compared with the first.
    page: usize,
    /// How many times as long it takes as the first page, the medians of both.
    page_ratio: Option<Spread>,
    runs: Vec<Run>,
}

/// One run. Processor times are microseconds for each read.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    reads_per_second: f64,
    latencies: Latencies,
    errors: u64,
    server_micros: Option<f64>,
    database_micros: Option<f64>,
    load_micros: Option<f64>,
    pages: Times,
}

/// Measures, and prints the figures.
pub(crate) async fn run(args: &Reads, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    progress.say("starting a platform");
    let server = ordo.up("projections").await?;
    let database = Database::at(&server.url("database")).await?;
    progress.say(&format!("making {} orders", args.orders));
    fill::orders(&database.pool, args.orders).await?;
    let mut pages = Pages::find(server.address, args.page).await?;
    let mut runs = Vec::new();
    for nth in 1..=args.runs {
        progress.say(&format!("run {nth} of {}", args.runs));
        let reads = measure(args, &server).await?;
        runs.push(Run { pages: pages.measure().await?, ..reads });
    }
    progress.end();
    drop(server);
    let of = |of: fn(&Run) -> f64| Spread::of(runs.iter().map(of));
    let figures = Figures {
        bench: "reads",
        orders: args.orders,
        connections: args.connections,
        seconds: args.duration.as_secs_f64(),
        reads_per_second: of(|run| run.reads_per_second),
        latencies: Latencies::median(&runs.iter().map(|run| run.latencies).collect::<Vec<_>>()),
        page: pages.nth,
        page_ratio: of(|run| run.pages.far_ms / run.pages.first_ms),
        runs,
    };
    if args.json {
        return Ok(output::line(&serde_json::to_string(&figures)?)?);
    }
    for line in lines(&figures) {
        output::line(&line)?;
    }
    Ok(())
}

async fn measure(args: &Reads, server: &Server) -> anyhow::Result<Run> {
    let load = Load {
        address: server.address,
        requests: OrderReads::new(server.address, args.orders),
        connections: args.connections,
        per_second: args.rate,
        warm_up: args.warm_up,
        duration: args.duration,
    };
    let processor = || (processes::processor(server.pid()), processes::processor_of_descendants(server.pid()));
    let running = load.start().await?;
    tokio::time::sleep_until(running.from.into()).await;
    let before = processor();
    tokio::time::sleep_until(running.until.into()).await;
    let after = processor();
    let tally = running.tally().await?;
    let first = tally.first_failure.clone().or_else(|| Some(format!("answer {}", tally.other.keys().next()?)));
    ensure!(tally.accepted > 0, "no order could be read: {}", first.context("there was no time")?);
    let each = |time| micros_per_order(time, tally.accepted);
    Ok(Run {
        reads_per_second: count(tally.accepted) / args.duration.as_secs_f64(),
        latencies: Latencies::of(&tally.latencies),
        errors: tally.errors() + tally.refusals.len(),
        server_micros: taken(before.0, after.0).and_then(each),
        database_micros: taken(before.1, after.1).and_then(each),
        load_micros: each(tally.processor),
        pages: Times::default(),
    })
}

/// `GET /orders/{id}` of any of the orders.
#[derive(Debug, Clone)]
struct OrderReads {
    request: Vec<u8>,
    digits: usize,
    orders: u64,
}

impl OrderReads {
    fn new(address: SocketAddr, orders: u64) -> Self {
        let before = format!("GET /orders/{}", fill::ORDER_ID);
        let request = format!("{before}{} HTTP/1.1\r\nHost: {address}\r\n\r\n", "0".repeat(fill::DIGITS));
        Self { request: request.into_bytes(), digits: before.len(), orders }
    }
}

impl Requests for OrderReads {
    const SUCCESS: u16 = 200;

    /// Those of neighbouring numbers are far from each other (splitmix64).
    fn request(&mut self, nth: u64) -> &[u8] {
        let mut mixed = nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        write_digits(&mut self.request, self.digits, fill::DIGITS, (mixed ^ (mixed >> 31)) % self.orders);
        &self.request
    }
}

fn lines(figures: &Figures) -> Vec<String> {
    let Figures { orders, connections, seconds, latencies, page, runs, .. } = figures;
    let mut lines = vec![format!(
        "{} orders, {connections} connections: medians of {} runs of {seconds} s",
        thousands(count(*orders)),
        runs.len()
    )];
    let median = |of: fn(&Run) -> Option<f64>| Spread::of(runs.iter().filter_map(of)).map(|spread| spread.median);
    let head = ["", "", "reads/s", "p50 ms", "p99 ms", "p99.9 ms", "server µs", "postgres µs", "load µs"];
    let mut table = Table::new(&head);
    table.row(vec![
        String::new(),
        "GET /orders/{id}".to_owned(),
        spread(figures.reads_per_second),
        millis(latencies.p50_ms),
        millis(latencies.p99_ms),
        millis(latencies.p999_ms),
        known(median(|run| run.server_micros)),
        known(median(|run| run.database_micros)),
        known(median(|run| run.load_micros)),
    ]);
    lines.extend(table.lines());
    let page_ms = |of: fn(&Run) -> f64| Spread::of(runs.iter().map(of)).map_or(0.0, |spread| spread.median);
    lines.push(format!(
        "page 1 of 50 of one customer's orders: {} ms; page {page}: {} ms, {}",
        millis(page_ms(|run| run.pages.first_ms)),
        millis(page_ms(|run| run.pages.far_ms)),
        figures.page_ratio.map_or_else(|| "-".to_owned(), ratio)
    ));
    lines.push(format!("{} errors", runs.iter().map(|run| run.errors).sum::<u64>()));
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_order_can_be_chosen_for_a_read() {
        let mut reads = OrderReads::new(SocketAddr::from(([127, 0, 0, 1], 80)), 100);
        let asked: HashSet<String> =
            (0..10_000).map(|nth| String::from_utf8(reads.request(nth).to_vec()).unwrap()).collect();
        assert_eq!(asked.len(), 100);
        assert!(asked.iter().all(|request| request.starts_with("GET /orders/read-0000000000")));
    }
}

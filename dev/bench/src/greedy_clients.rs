//! `bench greedy-clients`: what others notice while some clients take all they can get.
//!
//! At the same time, from one address, clients open connections and send nothing or half a request, send heads and bodies a byte at a
//! time, ask for answers and for the live stream from its beginning and never read, post orders as large as they may be, and write notes on
//! one order for as long as they are let. From another address a customer posts orders, before and meanwhile, and somebody asks whether the
//! process is alive, there and at its operate listener. How long these two wait, and how much memory the process takes, are the figures.
//! It fails if the customer or a large order is not served, or the process does
//! not say that it is alive.

mod greedy;
mod others;
mod slow;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ordo::output;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::greedy::{Notes, Posted};
use self::others::Served;
use crate::args::GreedyClients;
use crate::figures::{Latencies, Spread, count};
use crate::processes;
use crate::program::Ordo;
use crate::progress::Progress;
use crate::table::{Table, millis, thousands};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    bench: &'static str,
    silent: usize,
    slow: usize,
    unread: usize,
    streams: usize,
    large_orders: u64,
    order_bytes: usize,
    notes: u64,
    /// The most memory the process had, in bytes; nothing where there is no `/proc`.
    memory: Option<Spread>,
    runs: Vec<Run>,
}

/// One run, on a platform of its own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    seconds: f64,
    memory_bytes: Option<u64>,
    /// Of the answers of `GET /health/live`, each over a connection of its own.
    health: Latencies,
    health_answers: u64,
    /// The same at the operate listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    operate_health: Option<Latencies>,
    /// Of the answers to the customer's orders, while there was nobody else.
    calm_customer: Latencies,
    /// Of the answers to the customer's orders.
    customer: Latencies,
    customer_orders: u64,
    large: Posted,
    notes: Notes,
    /// Connections that were opened to be silent on, those that replaced what the server closed among them.
    silent_opened: u64,
}

/// Measures, and prints the figures.
pub(crate) async fn run(args: &GreedyClients, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    let mut runs = Vec::new();
    for nth in 1..=args.runs {
        progress.say(&format!("run {nth} of {}", args.runs));
        runs.push(measure(args, ordo).await.with_context(|| format!("run {nth} failed"))?);
    }
    progress.end();
    let figures = Figures {
        bench: "greedy-clients",
        silent: args.silent,
        slow: args.slow,
        unread: args.unread,
        streams: args.streams,
        large_orders: args.large_orders,
        order_bytes: args.order_bytes,
        notes: args.notes,
        memory: Spread::of(runs.iter().filter_map(|run| run.memory_bytes).map(count)),
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

async fn measure(args: &GreedyClients, ordo: &Ordo) -> anyhow::Result<Run> {
    let server = ordo.up("all").await?;
    let (address, stop) = (server.address, CancellationToken::new());
    let calm = alone(address, args.calm).await?;
    processes::forget_peak(server.pid());
    let began = Instant::now();
    let operate = match server.url("ops") {
        url if url.is_empty() => None,
        url => Some(tokio::spawn(others::ask_for_health(crate::address_of(&url)?, stop.clone()))),
    };
    let health = tokio::spawn(others::ask_for_health(address, stop.clone()));
    let customer = tokio::spawn(others::order(address, stop.clone()));
    let silent = tokio::spawn(greedy::silent(address, (args.silent, args.reconnect), stop.clone()));
    let streams = tokio::spawn(greedy::never_read(address, args.streams, stop.clone()));
    let dripping = tokio::spawn(slow::drip(address, args.slow, stop.clone()));
    let unread = tokio::spawn(slow::never_read(address, args.unread, stop.clone()));
    let (large, notes) = tokio::join!(
        greedy::post_large_orders(address, args.large_orders, args.order_bytes),
        greedy::write_notes(address, args.notes),
    );
    tokio::time::sleep_until((began + args.duration).into()).await;
    stop.cancel();
    let seconds = began.elapsed();
    let memory_bytes = processes::peak_memory(server.pid());
    let (health, customer, silent_opened) = (health.await?, customer.await?, silent.await?);
    streams.await?;
    dripping.await?;
    unread.await?;
    let operate_health = match operate {
        Some(asking) => {
            let served = asking.await?;
            whole("GET /health/live at the operate listener", &served)?;
            Some(Latencies::of(&served.latencies))
        }
        None => None,
    };
    let (large, notes) = (large.context("large orders")?, notes.context("notes")?);
    whole("GET /health/live", &health)?;
    whole("the customer's POST /orders", &customer)?;
    Ok(Run {
        seconds: seconds.as_secs_f64(),
        memory_bytes,
        health: Latencies::of(&health.latencies),
        health_answers: health.answers,
        operate_health,
        calm_customer: Latencies::of(&calm.latencies),
        customer: Latencies::of(&customer.latencies),
        customer_orders: customer.answers,
        large,
        notes,
        silent_opened,
    })
}

/// How the customer is served while there is nobody else.
async fn alone(address: SocketAddr, duration: Duration) -> anyhow::Result<Served> {
    let stop = CancellationToken::new();
    let customer = tokio::spawn(others::order(address, stop.clone()));
    tokio::time::sleep(duration).await;
    stop.cancel();
    let served = customer.await?;
    whole("the customer's POST /orders, alone,", &served)?;
    Ok(served)
}

/// Whoever is not greedy is served.
fn whole(what: &str, served: &Served) -> anyhow::Result<()> {
    let first = served.first_failure.as_deref().unwrap_or_default();
    ensure!(served.failures == 0, "{} of {} times {what} failed; the first: {first}", served.failures, served.asked());
    ensure!(served.answers > 0, "there was no time for {what}");
    Ok(())
}

fn lines(figures: &Figures) -> Vec<String> {
    let Figures { silent, slow, unread, streams, large_orders, order_bytes, notes, runs, .. } = figures;
    let mut lines = vec![format!(
        "{silent} silent connections, {slow} heads and {slow} bodies a byte at a time, {unread} clients that read no answer, {streams} live streams that are not read, {large_orders} orders of {} bytes, {notes} notes on one \
         order, all at once",
        thousands(count(u64::try_from(*order_bytes).unwrap_or(u64::MAX)))
    )];
    let head = [
        "run",
        "",
        "s",
        "RSS MiB",
        "health p99 ms",
        "health max ms",
        "ops p99 ms",
        "alone p99 ms",
        "order p50 ms",
        "order p99 ms",
        "orders",
    ];
    let mut table = Table::new(&head);
    for (nth, run) in runs.iter().enumerate() {
        let mebibytes = run.memory_bytes.map(|bytes| bytes / (1024 * 1024));
        table.row(vec![
            (nth + 1).to_string(),
            String::new(),
            format!("{:.1}", run.seconds),
            mebibytes.map_or_else(|| "-".to_owned(), |mebibytes| mebibytes.to_string()),
            millis(run.health.p99_ms),
            millis(run.health.max_ms),
            run.operate_health.map_or_else(|| "-".to_owned(), |health| millis(health.p99_ms)),
            millis(run.calm_customer.p99_ms),
            millis(run.customer.p50_ms),
            millis(run.customer.p99_ms),
            run.customer_orders.to_string(),
        ]);
    }
    lines.extend(table.lines());
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
    lines.push(format!(
        "in all {} large orders taken after {} answers 503; {} notes taken, {} refused; {} silent connections opened",
        sum(|run| run.large.taken),
        sum(|run| run.large.busy),
        sum(|run| run.notes.taken),
        sum(|run| run.notes.refused),
        sum(|run| run.silent_opened)
    ));
    lines
}

/// How long a connection may take to be made, and an answer to come.
const PATIENCE: Duration = Duration::from_secs(30);

//! `bench console`: how long the console's pages take on a large platform, and what open consoles cost those who order.
//!
//! The log has many orders; the sagas of some are stuck, and the queue of dead letters is long. Then orders are posted at a steady rate,
//! first alone, then while consoles follow what happens and somebody goes from page to page. How long each page takes to its first byte,
//! and how much longer an order waits for its answer, are the figures. It fails if a page is not shown.

mod readers;
mod trouble;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use ordo::output;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::args::Console;
use crate::databases::Database;
use crate::figures::{Latencies, Spread, count};
use crate::load::Load;
use crate::orders::{OrderBody, Orders};
use crate::program::Ordo;
use crate::progress::Progress;
use crate::reads::fill;
use crate::server::Server;
use crate::table::{Table, millis, ratio, thousands};

/// More orders than have no answer at any moment, unless the platform stalls.
const CONNECTIONS: usize = 64;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    bench: &'static str,
    orders: u64,
    stuck_sagas: u64,
    dead_letters: u64,
    consoles: usize,
    rate: f64,
    /// How many times as long an order waits at p99 as without consoles.
    order_p99_ratio: Option<Spread>,
    runs: Vec<Run>,
}

/// One run. Latencies are milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    alone: Latencies,
    with_consoles: Latencies,
    /// How often an open console was told of changes and asked for its page again.
    refreshed: u64,
    /// From the request to the first byte, by page.
    pages: BTreeMap<String, PageTimes>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageTimes {
    visits: u64,
    p50_ms: f64,
    p95_ms: f64,
    max_ms: f64,
}

impl PageTimes {
    fn of(micros: &Histogram<u64>) -> Self {
        let at = |quantile: f64| count(micros.value_at_quantile(quantile)) / 1_000.0;
        Self { visits: micros.len(), p50_ms: at(0.5), p95_ms: at(0.95), max_ms: count(micros.max()) / 1_000.0 }
    }
}

/// Measures, and prints the figures.
pub(crate) async fn run(args: &Console, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    progress.say("starting a platform");
    let server = ordo.up("all").await?;
    let database = Database::at(&server.url("database")).await?;
    progress.say(&format!("making {} orders", args.orders));
    fill::orders(&database.pool, args.orders).await?;
    progress.say("waiting for the other subscriptions");
    trouble::until_all_followed(&database.pool).await?;
    progress.say("making stuck sagas and dead letters");
    trouble::stick_sagas(&database.pool, args.stuck).await?;
    trouble::send_dead_letters(&server.url("sqs"), args.dead_letters).await?;
    let tokens = tokens(args, ordo, &server.url("database")).await?;
    let mut runs = Vec::new();
    for nth in 1..=args.runs {
        progress.say(&format!("run {nth} of {}", args.runs));
        runs.push(measure(args, &server, &tokens).await.with_context(|| format!("run {nth} failed"))?);
    }
    progress.end();
    drop(server);
    let of = |of: fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<_>>();
    let figures = Figures {
        bench: "console",
        orders: args.orders,
        stuck_sagas: args.stuck,
        dead_letters: args.dead_letters,
        consoles: args.consoles,
        rate: args.rate,
        order_p99_ratio: Spread::of_ratios(&of(|run| run.with_consoles.p99_ms), &of(|run| run.alone.p99_ms)),
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

/// A token of somebody else for each open console.
async fn tokens(args: &Console, ordo: &Ordo, database: &str) -> anyhow::Result<Vec<String>> {
    let mut tokens = Vec::new();
    for nth in 0..args.consoles {
        let subject = format!("reader-{nth}");
        tokens.push(ordo.printed(&["token", "--role", "operator", "--subject", &subject], database).await?);
    }
    Ok(tokens)
}

async fn measure(args: &Console, server: &Server, tokens: &[String]) -> anyhow::Result<Run> {
    let alone = post(args, server, async |_| Ok(())).await?.0;
    let console = server.url("console");
    let (with_consoles, (pages, refreshed)) = post(args, server, async |until| {
        let stop = CancellationToken::new();
        let follow = |token: &String| tokio::spawn(readers::follow(console.clone(), token.clone(), stop.clone()));
        let open: Vec<_> = tokens.iter().map(follow).collect();
        let visited = readers::visit_all(&console, until).await;
        stop.cancel();
        let mut refreshed = 0;
        for console in open {
            refreshed += console.await??;
        }
        Ok((visited?, refreshed))
    })
    .await?;
    let pages = pages.into_iter().map(|(path, times)| (path.to_owned(), PageTimes::of(&times))).collect();
    Ok(Run { alone, with_consoles, refreshed, pages })
}

/// Posts orders for the time of a run, while something else is done until its end.
async fn post<T>(
    args: &Console,
    server: &Server,
    meanwhile: impl AsyncFnOnce(Instant) -> anyhow::Result<T>,
) -> anyhow::Result<(Latencies, T)> {
    let load = Load {
        address: server.address,
        requests: Orders::new(&server.address.to_string(), OrderBody::Demo, false),
        connections: CONNECTIONS,
        per_second: Some(args.rate),
        warm_up: args.warm_up,
        duration: args.duration,
    };
    let running = load.start().await?;
    tokio::time::sleep_until(running.from.into()).await;
    let done = meanwhile(running.until).await?;
    let tally = running.tally().await?;
    ensure!(tally.errors() == 0 && tally.accepted > 0, "not every order was taken: {:?}", tally.first_failure);
    Ok((Latencies::of(&tally.latencies), done))
}

fn lines(figures: &Figures) -> Vec<String> {
    let Figures { orders, stuck_sagas, dead_letters, consoles, rate, runs, .. } = figures;
    let mut lines = vec![format!(
        "{} orders, {} stuck sagas, {} dead letters, {} orders/s, {consoles} consoles that follow",
        thousands(count(*orders)),
        thousands(count(*stuck_sagas)),
        thousands(count(*dead_letters)),
        output::rate(*rate)
    )];
    let mut table = Table::new(&["run", "page", "visits", "p50 ms", "p95 ms", "max ms"]);
    for (nth, run) in runs.iter().enumerate() {
        for (path, times) in &run.pages {
            table.row(vec![
                (nth + 1).to_string(),
                path.clone(),
                times.visits.to_string(),
                millis(times.p50_ms),
                millis(times.p95_ms),
                millis(times.max_ms),
            ]);
        }
    }
    lines.extend(table.lines());
    for (nth, run) in runs.iter().enumerate() {
        lines.push(format!(
            "run {}: POST /orders p99 {} ms alone, {} ms with consoles, which asked {} times again",
            nth + 1,
            millis(run.alone.p99_ms),
            millis(run.with_consoles.p99_ms),
            run.refreshed
        ));
    }
    lines.push(format!("p99 with consoles: {}", figures.order_p99_ratio.map_or_else(|| "-".to_owned(), ratio)));
    lines
}

//! `bench flash-sale`: everybody wants one SKU at once.
//!
//! A run receives units of a SKU of its own, posts orders of one unit each as fast as they are taken, and waits until every one
//! of them is confirmed or rejected; with notification on, also until each has been told of, so that the next run begins with
//! nothing left over. Then it looks whether exactly so many were sold as there were, and at the end whether everything in the
//! database agrees: what `ordo verify` checks.

mod crowd;
mod outcome;

use std::time::Duration;

use anyhow::{Context, ensure};
use ordo::output;
use ordo::settings::PlatformRole;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use self::outcome::{Outcome, Watch};
use crate::args::FlashSale;
use crate::databases::Database;
use crate::figures::{Latencies, Spread, count};
use crate::http_client::ApiClient;
use crate::orders::{OrderBody, Orders};
use crate::program::Ordo;
use crate::progress::Progress;
use crate::server::Server;
use crate::table::{Table, millis, spread};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    bench: &'static str,
    orders: u64,
    units: u64,
    low_stock: Option<u64>,
    connections: usize,
    roles: String,
    /// From the first POST to the last answer.
    accepted_per_second: Option<Spread>,
    /// From the first POST to the last confirmation.
    confirmed_per_second: Option<Spread>,
    /// From the first POST until the last order was confirmed or rejected.
    decided_per_second: Option<Spread>,
    /// From the first POST to the last mail's note on its order; nothing without notification.
    told_per_second: Option<Spread>,
    /// Of `POST /orders`, of each percentile its median.
    post: Latencies,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    accepted_per_second: f64,
    confirmed_per_second: f64,
    decided_per_second: f64,
    told_per_second: Option<f64>,
    confirmed: u64,
    rejected: u64,
    /// Answers 503; each such order was posted again.
    refused: u64,
    post: Latencies,
}

/// Measures, and prints the figures. Fails if more or less was sold than it should be.
pub(crate) async fn run(args: &FlashSale, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    progress.say("starting a platform");
    let server = ordo.up(&args.roles).await?;
    let database = Database::at(&server.url("database")).await?;
    let mut runs = Vec::new();
    for nth in 1..=args.runs {
        progress.say(&format!("run {nth} of {}", args.runs));
        runs.push(sell(args, &server, &database).await.with_context(|| format!("run {nth} failed"))?);
    }
    progress.say("checking that everything agrees");
    ordo.verify(&database.url).await?;
    progress.end();
    drop(server);
    let of = |of: fn(&Run) -> f64| Spread::of(runs.iter().map(of));
    let figures = Figures {
        bench: "flash-sale",
        orders: args.orders,
        units: args.units,
        low_stock: args.low_stock,
        connections: args.connections,
        roles: args.roles.clone(),
        accepted_per_second: of(|run| run.accepted_per_second),
        confirmed_per_second: of(|run| run.confirmed_per_second),
        decided_per_second: of(|run| run.decided_per_second),
        told_per_second: Spread::of(runs.iter().filter_map(|run| run.told_per_second)),
        post: Latencies::median(&runs.iter().map(|run| run.post).collect::<Vec<_>>()),
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

async fn sell(args: &FlashSale, server: &Server, database: &Database) -> anyhow::Result<Run> {
    let sku = format!("flash-{}", Uuid::now_v7().simple());
    let shelf = format!("{}/stock/{sku}", server.url("api"));
    let receipt = ("receive", json!({ "quantity": args.units }));
    let threshold = args.low_stock.map(|threshold| ("low-stock", json!({ "threshold": threshold })));
    for (command, body) in [receipt].into_iter().chain(threshold) {
        let (status, answer) = ApiClient::new(PATIENCE).post(&format!("{shelf}/{command}"), &body).await?;
        ensure!(status.is_success(), "{shelf}/{command} answered {status}: {answer}");
    }

    let mut watch = Watch::start(database).await?;
    let orders = Orders::of_sku(&sku, &server.address.to_string(), OrderBody::Demo, false);
    let prefix = orders.prefix().to_owned();
    let crowd = crowd::start(server.address, orders, args.orders, args.connections)?;
    let posted = crowd.await.context("the load generator died")??;
    watch.until(args.timeout, |seen| seen.confirmed + seen.rejected >= args.orders).await?;
    let is_told = args.roles == "all" || args.roles.split(',').any(|role| role == PlatformRole::Notification.as_str());
    if is_told {
        watch.until(args.timeout, |seen| seen.told >= args.orders).await?;
    }
    let seen = watch.seen;
    outcome::check(database, &prefix, &sku, Outcome::due(args)).await?;
    let per_second = |number: u64, took: Duration| count(number) / took.as_secs_f64();
    let since = |at: Option<chrono::DateTime<chrono::Utc>>| {
        let took = at.and_then(|at| (at - posted.began).to_std().ok());
        took.unwrap_or(Duration::MAX)
    };
    Ok(Run {
        accepted_per_second: per_second(args.orders, posted.took),
        confirmed_per_second: per_second(seen.confirmed, since(seen.last_confirmed)),
        decided_per_second: per_second(args.orders, since(seen.last_decided)),
        told_per_second: is_told.then(|| per_second(args.orders, since(seen.last_told))),
        confirmed: seen.confirmed,
        rejected: seen.rejected,
        refused: posted.refused,
        post: Latencies::of(&posted.latencies),
    })
}

fn lines(figures: &Figures) -> Vec<String> {
    let Figures { orders, units, connections, runs, roles, post, .. } = figures;
    let mut lines = vec![format!(
        "{orders} orders for one SKU with {units} units over {connections} connections, roles {roles}: medians of {} runs",
        runs.len()
    )];
    let mut table = Table::new(&["", "orders/s, from the first POST", "median [least..most]"]);
    for (what, of) in [
        ("accepted", figures.accepted_per_second),
        ("confirmed", figures.confirmed_per_second),
        ("confirmed or rejected", figures.decided_per_second),
        ("told by mail", figures.told_per_second),
    ] {
        if of.is_some() {
            table.row(vec![String::new(), what.to_owned(), spread(of)]);
        }
    }
    lines.extend(table.lines());
    lines.push(format!("POST /orders: p50 {} ms, p99 {} ms", millis(post.p50_ms), millis(post.p99_ms)));
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
    lines.push(format!(
        "in all {} confirmed, {} rejected, {} posted again after a 503; no unit was sold twice, and everything agrees",
        sum(|run| run.confirmed),
        sum(|run| run.rejected),
        sum(|run| run.refused)
    ));
    lines
}

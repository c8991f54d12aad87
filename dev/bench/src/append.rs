//! `bench append`: the event store alone, without HTTP.
//!
//! So many tasks append the demo order's event, each to a stream of its own and the next one after the answer. Beside it as many
//! tasks do the same with stock postgres-es, each reading the stream first as its framework does; and pgbench.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use cqrs_es::Aggregate;
use domain::order::event::OrderCreated;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderEvent};
use embedded::postgres::{Options, Postgres};
use event_store::{AppendQueueSettings, EventStore, Metadata, NewEvent, StreamAppend};
use hdrhistogram::Histogram;
use ordo::output;
use serde::Serialize;
use sqlx::PgPool;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::args::Append;
use crate::baseline::{self, Stock, stock_pool};
use crate::databases::Database;
use crate::figures::{Latencies, Spread, count, micros_per_order};
use crate::load::{histogram, micros};
use crate::orders::Orders;
use crate::pgbench::{Best, Pgbench};
use crate::processes;
use crate::program::Ordo;
use crate::progress::Progress;
use crate::table::{Table, known, millis, ratio, spread};

const OURS: &str = "event store";
const STOCK: &str = "stock postgres-es";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    bench: &'static str,
    seconds: f64,
    runs: usize,
    rows: Vec<Row>,
    pgbench: Option<Best>,
    ratios: Vec<Ratio>,
}

/// One of the two stores with one number of tasks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    tasks: usize,
    what: &'static str,
    events_per_second: Option<Spread>,
    latencies: Latencies,
    runs: Vec<Run>,
}

/// Processor times are microseconds for each event.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub(crate) events_per_second: f64,
    pub(crate) latencies: Latencies,
    pub(crate) errors: u64,
    pub(crate) client_micros: Option<f64>,
    pub(crate) database_micros: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ratio {
    tasks: usize,
    to: &'static str,
    times: Spread,
}

#[derive(Clone)]
pub(crate) enum Appender {
    Ours(Box<EventStore>),
    Stock(Arc<Stock>),
}

/// Measures, and prints the figures.
pub(crate) async fn run(args: &Append, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    progress.say("starting a database");
    let folder = tempfile::tempdir()?;
    let postgres = Postgres::start(Options { data_dir: folder.path().to_owned(), ephemeral: true }).await?;
    let ours = Database::at(&postgres.url()).await?;
    ordo.migrate(&ours.url).await?;
    event_store::database_checks::check_durability(&ours.pool).await?;
    // It keeps one connection to write and one to listen.
    let store = EventStore::start(PgPool::connect(&ours.url).await?, AppendQueueSettings::default());
    let stock = Arc::new(baseline::stock(stock_pool(&ours.stock("stock").await?.url).await?));
    let appenders = [(OURS, Appender::Ours(Box::new(store.clone()))), (STOCK, Appender::Stock(stock))];
    let mut pgbench = Pgbench::find(&ours).await?;
    let order =
        PostedOrder::parse(Orders::new("", args.measuring.payload, false).order(0)).context("the order is invalid")?;

    let mut rows: Vec<Row> = Vec::new();
    for tasks in &args.tasks {
        rows.extend(appenders.iter().map(|(what, _)| Row::new(*tasks, what)));
    }
    let mut inserts = Vec::new();
    for round in 1..=args.measuring.runs {
        for tasks in &args.tasks {
            for (what, appender) in &appenders {
                progress.say(&format!("round {round} of {}: {what}, {tasks} tasks", args.measuring.runs));
                let run = measure(args, appender, *tasks, &order.content).await?;
                let row = rows.iter_mut().find(|row| row.tasks == *tasks && row.what == *what);
                row.into_iter().for_each(|row| row.runs.push(run.clone()));
            }
        }
        if let Some(pgbench) = &mut pgbench {
            progress.say(&format!("round {round} of {}: pgbench", args.measuring.runs));
            inserts.push(pgbench.round(ours.row_bytes().await?, args.duration).await?);
        }
    }
    for row in &mut rows {
        row.events_per_second = Spread::of(row.per_second());
        row.latencies = Latencies::median(&row.runs.iter().map(|run| run.latencies).collect::<Vec<_>>());
    }
    store.close().await;
    postgres.stop().await;
    progress.end();
    let pgbench = Best::of(&inserts);
    let ratios = ratios(&rows, pgbench.as_ref());
    let (seconds, runs) = (args.duration.as_secs_f64(), args.measuring.runs);
    say(args, &Figures { bench: "append", seconds, runs, rows, pgbench, ratios })
}

fn say(args: &Append, figures: &Figures) -> anyhow::Result<()> {
    if args.measuring.json {
        return Ok(output::line(&serde_json::to_string(figures)?)?);
    }
    let Figures { seconds, runs, .. } = figures;
    output::line(&format!("appending one event at a time: medians of {runs} runs of {seconds} s, [least..most]"))?;
    let head =
        ["tasks", "what", "events/s", "p50 ms", "p90", "p99", "p99.9", "max", "errors", "client µs", "postgres µs"];
    let mut table = Table::new(&head);
    for row in &figures.rows {
        let median =
            |of: fn(&Run) -> Option<f64>| Spread::of(row.runs.iter().filter_map(of)).map(|spread| spread.median);
        let Latencies { p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = row.latencies;
        let mut cells = vec![row.tasks.to_string(), row.what.to_owned(), spread(row.events_per_second)];
        cells.extend([p50_ms, p90_ms, p99_ms, p999_ms, max_ms].map(millis));
        cells.push(row.runs.iter().map(|run| run.errors).sum::<u64>().to_string());
        cells.extend([median(|run| run.client_micros), median(|run| run.database_micros)].map(known));
        table.row(cells);
    }
    for line in table.lines() {
        output::line(&line)?;
    }
    match &figures.pgbench {
        Some(best) => {
            let inserts = spread(Spread::of(best.per_second.iter().copied()));
            output::line(&format!(
                "pgbench, one insert a transaction, at best with {} clients: {inserts} rows/s",
                best.clients
            ))?;
        }
        None => output::line("left out: pgbench")?,
    }
    for one in &figures.ratios {
        output::line(&format!("{} those of {}, {} tasks", ratio(one.times), one.to, one.tasks))?;
    }
    Ok(())
}

/// A closed loop: each task appends its next event after the answer.
pub(crate) async fn measure(
    args: &Append,
    appender: &Appender,
    tasks: usize,
    order: &OrderCreated,
) -> anyhow::Result<Run> {
    let us = std::process::id();
    let from = Instant::now() + args.measuring.warm_up;
    let until = from + args.duration;
    let prefix = format!("append-{}-", Uuid::now_v7().simple());
    let next = Arc::new(AtomicU64::new(0));
    let mut working = JoinSet::new();
    for _ in 0..tasks {
        let (appender, order, prefix, next) = (appender.clone(), order.clone(), prefix.clone(), Arc::clone(&next));
        working.spawn(async move {
            let mut done = Done::default();
            while Instant::now() < until {
                let stream = format!("{prefix}{:012}", next.fetch_add(1, Ordering::Relaxed));
                let began = Instant::now();
                let appended = appender.append(stream, &order).await;
                let ended = Instant::now();
                match appended {
                    Ok(()) if ended >= from && ended < until => done.times.push(micros(ended - began)),
                    Ok(()) => {}
                    Err(_) => done.errors += 1,
                }
            }
            done
        });
    }
    tokio::time::sleep_until(from.into()).await;
    let before = (processes::processor(us), processes::processor_of_descendants(us));
    tokio::time::sleep_until(until.into()).await;
    let after = (processes::processor(us), processes::processor_of_descendants(us));
    let mut latencies: Histogram<u64> = histogram();
    let mut errors = 0;
    for done in working.join_all().await {
        errors += done.errors;
        done.times.into_iter().for_each(|time| latencies.saturating_record(time));
    }
    let events = latencies.len();
    let each =
        |before: Option<Duration>, after: Option<Duration>| micros_per_order(after?.saturating_sub(before?), events);
    Ok(Run {
        events_per_second: count(events) / args.duration.as_secs_f64(),
        latencies: Latencies::of(&latencies),
        errors,
        client_micros: each(before.0, after.0),
        database_micros: each(before.1, after.1),
    })
}

#[derive(Debug, Default)]
struct Done {
    /// Microseconds.
    times: Vec<u64>,
    errors: u64,
}

impl Appender {
    async fn append(&self, stream_id: String, order: &OrderCreated) -> anyhow::Result<()> {
        let (trace_id, traceparent) = (&stream_id, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        match self {
            Self::Ours(store) => {
                let metadata = Metadata {
                    actor: Some("shop".to_owned()),
                    correlation_id: Some(trace_id.clone()),
                    causation_id: None,
                    traceparent: Some(traceparent.to_owned()),
                };
                let event = NewEvent::new(&OrderEvent::OrderCreated(order.clone()), &metadata)?;
                let append =
                    StreamAppend { stream_type: Order::TYPE, stream_id, expected_version: 0, events: vec![event] };
                store.append(vec![append]).await?;
            }
            Self::Stock(stock) => {
                let metadata = baseline::metadata(trace_id, traceparent);
                let command = OrderCommand::CreateOrder(order.clone());
                stock.execute_with_metadata(&stream_id, command, metadata).await?;
            }
        }
        Ok(())
    }
}

impl Row {
    fn new(tasks: usize, what: &'static str) -> Self {
        Self { tasks, what, events_per_second: None, latencies: Latencies::default(), runs: Vec::new() }
    }

    fn per_second(&self) -> Vec<f64> {
        self.runs.iter().map(|run| run.events_per_second).collect()
    }
}

/// The event store against the others, with as many tasks.
fn ratios(rows: &[Row], pgbench: Option<&Best>) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for ours in rows.iter().filter(|row| row.what == OURS) {
        let tasks = ours.tasks;
        let stock =
            rows.iter().find(|row| row.what == STOCK && row.tasks == tasks).map(|row| (STOCK, row.per_second()));
        let others = stock.into_iter().chain(pgbench.map(|best| ("pgbench", best.per_second.clone())));
        for (to, those) in others {
            let times = Spread::of_ratios(&ours.per_second(), &those);
            ratios.extend(times.map(|times| Ratio { tasks, to, times }));
        }
    }
    ratios
}

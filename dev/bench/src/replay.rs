//! `bench replay`: how fast read models are rebuilt, and what it costs those who post orders meanwhile.
//!
//! A log of orders is generated, then `ordo replay` is run on it as a process of its own, as operators run it: from its start
//! until the read model has changed places and the process has ended. Beside it the log is read and decoded, and nothing is done
//! with it: no rebuild could be faster. With `--rate`, orders are posted while one replay follows the other; at the end
//! one looks for differences.

pub(crate) mod process;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use domain::order::Order;
use embedded::postgres::{Options, Postgres};
use event_store::EventFilter;
use event_store::bulk::{CopyOutOrder, copy_out};
use ordo::output;
use serde::Serialize;
use sqlx::{Connection, Executor, PgConnection};

use self::process::Replayed;
use crate::args::Replay;
use crate::databases::Database;
use crate::figures::{Latencies, Spread, count};
use crate::generated_log::GeneratedLog;
use crate::load::Load;
use crate::orders::{OrderBody, Orders};
use crate::processes;
use crate::program::Ordo;
use crate::progress::Progress;
use crate::table::{Table, known, millis, ratio, spread, thousands};

/// How many connections post orders meanwhile.
const CONNECTIONS: usize = 64;

const READ: &str = "read and decoded only";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    bench: &'static str,
    events: u64,
    event_bytes: f64,
    rows: Vec<Row>,
    ratios: Vec<(String, Spread)>,
    meanwhile: Option<Meanwhile>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    what: String,
    events_per_second: Option<Spread>,
    peak_mib: Option<f64>,
    runs: Vec<Run>,
}

/// Processor times are microseconds for each event.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    events_per_second: f64,
    peak_bytes: Option<u64>,
    replay_micros: Option<f64>,
    database_micros: Option<f64>,
}

/// Orders that were posted, first while nothing was rebuilt, then while one replay followed the other.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Meanwhile {
    orders_per_second: f64,
    before: Latencies,
    during: Latencies,
    accepted: u64,
    errors: u64,
    replays: usize,
    events_per_second: Option<Spread>,
    peak_mib: Option<f64>,
}

/// Measures, and prints the figures. Fails if a replay fails, or ends with anything but the live read model.
pub(crate) async fn run(args: &Replay, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    progress.say("starting a database");
    let folder = tempfile::tempdir()?;
    let postgres = Postgres::start(Options { data_dir: folder.path().to_owned(), ephemeral: true }).await?;
    let database = Database::at(&postgres.url()).await?;
    ordo.migrate(&database.url).await?;
    progress.say(&format!("making {} events", args.events));
    let mut generated_log = GeneratedLog::new(args.events, OrderBody::OfBytes(args.order_bytes), args.scattered)?;
    database.import(&mut generated_log).await?;
    // What writing them left to be done is not to be done while others are measured.
    database.pool.execute("vacuum analyze events").await?;
    database.pool.execute("checkpoint").await?;
    let event_bytes = "select avg(octet_length(payload::text) + octet_length(metadata::text))::float8 from events";
    let event_bytes = sqlx::query_scalar(event_bytes).fetch_one(&database.pool).await?;

    let kinds: Vec<Option<&str>> = args.projections.iter().map(|name| Some(name.as_str())).chain([None]).collect();
    let mut rows: Vec<Row> = vec![Row::new(READ.to_owned())];
    rows.extend(kinds.iter().map(|kind| Row::new(kind.unwrap_or("all").to_owned())));
    for round in 1..=args.runs {
        progress.say(&format!("round {round} of {}: {READ}", args.runs));
        let read = read(&database, args.events).await?;
        rows[0].runs.push(read);
        for (kind, row) in kinds.iter().zip(rows.iter_mut().skip(1)) {
            progress.say(&format!("round {round} of {}: {}", args.runs, row.what));
            row.runs.push(replayed(ordo, &database, *kind, false).await?);
        }
    }
    let meanwhile = match args.rate {
        Some(rate) => Some(meanwhile(args, rate, ordo, &database, &progress).await?),
        None => None,
    };
    postgres.stop().await;
    progress.end();
    for row in &mut rows {
        row.events_per_second = Spread::of(row.runs.iter().map(|run| run.events_per_second));
        row.peak_mib = peak_mib(&row.runs);
    }
    let of = |row: &Row| row.runs.iter().map(|run| run.events_per_second).collect::<Vec<_>>();
    let ratios = rows.iter().skip(1);
    let ratios = ratios.filter_map(|row| Some((row.what.clone(), Spread::of_ratios(&of(row), &of(&rows[0]))?)));
    let ratios = ratios.collect();
    say(args, &Figures { bench: "replay", events: args.events, event_bytes, rows, ratios, meanwhile })
}

/// Reads the log in the order it was written in, and decodes it.
async fn read(database: &Database, events: u64) -> anyhow::Result<Run> {
    let us = std::process::id();
    let before = (processes::processor(us), processes::processor_of_descendants(us));
    let began = Instant::now();
    let mut connection = PgConnection::connect(&database.url).await?;
    let mut transaction = connection.begin().await?;
    let mut out = copy_out(&mut transaction, &EventFilter::default(), CopyOutOrder::ByPosition).await?;
    let mut seen = 0;
    while let Some(event) = out.next().await? {
        event.read()?.decode::<Order>()?;
        seen += 1;
    }
    ensure!(seen == events, "{seen} events were read, not {events}");
    Ok(Run::of(events, began.elapsed(), before, None))
}

async fn replayed(ordo: &Ordo, database: &Database, projection: Option<&str>, compare: bool) -> anyhow::Result<Run> {
    let us = std::process::id();
    let before = (processes::processor_of_descendants(us), None);
    let began = Instant::now();
    let Replayed { events, peak_bytes, processor } = process::replay(ordo, &database.url, projection, compare).await?;
    let mut run = Run::of(events, began.elapsed(), before, peak_bytes);
    let all = processes::processor_of_descendants(us).zip(before.0).map(|(after, before)| after.saturating_sub(before));
    run.replay_micros = processor.map(|time| time.as_secs_f64() * 1e6 / count(events));
    run.database_micros =
        all.zip(processor).map(|(all, ours)| all.saturating_sub(ours).as_secs_f64() * 1e6 / count(events));
    Ok(run)
}

async fn meanwhile(
    args: &Replay,
    rate: f64,
    ordo: &Ordo,
    database: &Database,
    progress: &Progress,
) -> anyhow::Result<Meanwhile> {
    progress.say("posting orders while nothing is rebuilt");
    let server = ordo.serve(&args.roles, &database.url).await?;
    let load = |duration| Load {
        address: server.address,
        requests: Orders::new(&server.address.to_string(), OrderBody::Demo, false),
        connections: CONNECTIONS,
        per_second: Some(rate),
        warm_up: Duration::from_secs(2),
        duration,
    };
    // What the replays before have left to be written is not to be written now.
    database.pool.execute("checkpoint").await?;
    let before = load(args.duration).start().await?.tally().await?;
    progress.say("posting orders while one replay follows the other");
    database.pool.execute("checkpoint").await?;
    let running = load(args.duration).start().await?;
    tokio::time::sleep_until(running.from.into()).await;
    let mut runs = Vec::new();
    while runs.is_empty() || Instant::now() < running.until {
        runs.push(replayed(ordo, database, Some("orders"), false).await?);
    }
    let during = running.tally().await?;
    progress.say("looking for differences");
    replayed(ordo, database, Some("orders"), true).await.context("the rebuilt read model is not the live one")?;
    Ok(Meanwhile {
        orders_per_second: rate,
        before: Latencies::of(&before.latencies),
        during: Latencies::of(&during.latencies),
        accepted: during.accepted,
        errors: during.errors() + during.missed + before.errors(),
        replays: runs.len(),
        events_per_second: Spread::of(runs.iter().map(|run| run.events_per_second)),
        peak_mib: peak_mib(&runs),
    })
}

impl Row {
    fn new(what: String) -> Self {
        Self { what, events_per_second: None, peak_mib: None, runs: Vec::new() }
    }
}

impl Run {
    fn of(events: u64, took: Duration, before: (Option<Duration>, Option<Duration>), peak_bytes: Option<u64>) -> Self {
        let us = std::process::id();
        let since = |after: Option<Duration>, before: Option<Duration>| {
            Some(after?.saturating_sub(before?).as_secs_f64() * 1e6 / count(events))
        };
        Self {
            events_per_second: count(events) / took.as_secs_f64(),
            peak_bytes,
            replay_micros: since(processes::processor(us), before.0),
            database_micros: since(processes::processor_of_descendants(us), before.1),
        }
    }
}

fn peak_mib(runs: &[Run]) -> Option<f64> {
    runs.iter().filter_map(|run| run.peak_bytes).max().map(|bytes| count(bytes) / f64::from(1 << 20))
}

fn say(args: &Replay, figures: &Figures) -> anyhow::Result<()> {
    if args.json {
        return Ok(output::line(&serde_json::to_string(figures)?)?);
    }
    output::line(&format!(
        "{} events of {:.0} bytes: medians of {} runs, [least..most]",
        thousands(count(figures.events)),
        figures.event_bytes,
        args.runs
    ))?;
    let mut table = Table::new(&["", "rebuilt", "events/s", "most MiB", "replay µs", "postgres µs"]);
    for row in &figures.rows {
        let median =
            |of: fn(&Run) -> Option<f64>| Spread::of(row.runs.iter().filter_map(of)).map(|spread| spread.median);
        let mut cells = vec![String::new(), row.what.clone(), spread(row.events_per_second), known(row.peak_mib)];
        cells.extend([median(|run| run.replay_micros), median(|run| run.database_micros)].map(known));
        table.row(cells);
    }
    for line in table.lines() {
        output::line(&line)?;
    }
    for (what, times) in &figures.ratios {
        output::line(&format!("{what}: {} of {READ}", ratio(*times)))?;
    }
    if let Some(it) = &figures.meanwhile {
        output::line(&format!(
            "orders posted at {}/s: p50 {} ms, p99 {} ms, most {} ms while nothing was rebuilt",
            it.orders_per_second,
            millis(it.before.p50_ms),
            millis(it.before.p99_ms),
            millis(it.before.max_ms)
        ))?;
        output::line(&format!(
            "p50 {} ms, p99 {} ms, most {} ms while {} replays followed each other at {} events/s, at most {} MiB; {} accepted, {} not; no differences at the end",
            millis(it.during.p50_ms),
            millis(it.during.p99_ms),
            millis(it.during.max_ms),
            it.replays,
            spread(it.events_per_second),
            known(it.peak_mib),
            it.accepted,
            it.errors
        ))?;
    }
    Ok(())
}

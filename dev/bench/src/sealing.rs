//! `bench sealing`: what sealing the log costs those who append.
//!
//! The same loop as in `append`, with and without a task that seals beside it, in turns. What a run without it has left is sealed
//! before the next one with it begins.

use anyhow::Context;
use domain::order::parse::PostedOrder;
use embedded::postgres::{Options, Postgres};
use event_store::hash_chain::{SealingThrottle, seal_all, seal_regularly};
use event_store::{AppendQueueSettings, EventStore};
use ordo::output;
use serde::Serialize;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::append::{Appender, Run, measure};
use crate::args::{Append, Sealing};
use crate::databases::Database;
use crate::figures::{Latencies, Spread, count};
use crate::orders::Orders;
use crate::program::Ordo;
use crate::progress::Progress;
use crate::table::{Table, known, millis, ratio, spread};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    bench: &'static str,
    seconds: f64,
    runs: usize,
    percent: u32,
    rows: Vec<Row>,
    costs: Vec<Cost>,
}

/// The runs with one number of tasks, with or without sealing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    tasks: usize,
    sealed: bool,
    events_per_second: Option<Spread>,
    sealed_per_second: Option<Spread>,
    latencies: Latencies,
    runs: Vec<Run>,
}

/// What is left of the events a second with sealing: the ratio of the medians, and round by round.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    tasks: usize,
    of_medians: f64,
    by_round: Spread,
}

/// Measures, and prints the figures.
pub(crate) async fn run(args: &Sealing, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    progress.say("starting a database");
    let folder = tempfile::tempdir()?;
    let postgres = Postgres::start(Options { data_dir: folder.path().to_owned(), ephemeral: true }).await?;
    let ours = Database::at(&postgres.url()).await?;
    ordo.migrate(&ours.url).await?;
    event_store::database_checks::check_durability(&ours.pool).await?;
    let store = EventStore::start(PgPool::connect(&ours.url).await?, AppendQueueSettings::default());
    let order =
        PostedOrder::parse(Orders::new("", args.measuring.payload, false).order(0)).context("the order is invalid")?;
    let appender = Appender::Ours(Box::new(store.clone()));
    let shape = Append { measuring: args.measuring.clone(), duration: args.duration, tasks: args.tasks.clone() };

    let row = |tasks, sealed| Row {
        tasks,
        sealed,
        events_per_second: None,
        sealed_per_second: None,
        latencies: Latencies::default(),
        runs: Vec::new(),
    };
    let mut rows: Vec<Row> = args.tasks.iter().flat_map(|tasks| [row(*tasks, false), row(*tasks, true)]).collect();
    let mut sealed_per_second: Vec<Vec<f64>> = rows.iter().map(|_| Vec::new()).collect();
    for round in 0..args.measuring.runs {
        for pair in 0..args.tasks.len() {
            // In turns, so that neither always comes after the other.
            for nth in [2 * pair + round % 2, 2 * pair + 1 - round % 2] {
                let (tasks, sealed) = (rows[nth].tasks, rows[nth].sealed);
                let what = if sealed { "sealed" } else { "not sealed" };
                progress.say(&format!("round {} of {}: {what}, {tasks} tasks", round + 1, args.measuring.runs));
                seal_all(&mut *ours.pool.acquire().await?).await?;
                let before = events_sealed(&ours).await?;
                let stop = CancellationToken::new();
                let sealing = sealed.then(|| {
                    tokio::spawn(seal_regularly(
                        ours.pool.clone(),
                        SealingThrottle { percent: args.percent },
                        stop.clone(),
                    ))
                });
                let run = measure(&shape, &appender, tasks, &order.content).await?;
                let after = events_sealed(&ours).await?;
                stop.cancel();
                if let Some(sealing) = sealing {
                    sealing.await.context("sealing panicked")?;
                }
                let seconds = (args.measuring.warm_up + args.duration).as_secs_f64();
                sealed_per_second[nth].push(count(after.saturating_sub(before)) / seconds);
                rows[nth].runs.push(run);
            }
        }
    }
    for (row, sealed) in rows.iter_mut().zip(sealed_per_second) {
        row.events_per_second = Spread::of(row.per_second());
        row.sealed_per_second = Spread::of(sealed);
        row.latencies = Latencies::median(&row.runs.iter().map(|run| run.latencies).collect::<Vec<_>>());
    }
    store.close().await;
    postgres.stop().await;
    progress.end();
    let costs = rows.chunks(2).filter_map(Cost::of).collect();
    let (seconds, runs, percent) = (args.duration.as_secs_f64(), args.measuring.runs, args.percent);
    say(args, &Figures { bench: "sealing", seconds, runs, percent, rows, costs })
}

async fn events_sealed(database: &Database) -> anyhow::Result<u64> {
    let sum = "select coalesce(sum(events), 0)::bigint from event_seals";
    let sum: i64 = sqlx::query_scalar(sum).fetch_one(&database.pool).await?;
    Ok(u64::try_from(sum)?)
}

fn say(args: &Sealing, figures: &Figures) -> anyhow::Result<()> {
    if args.measuring.json {
        return Ok(output::line(&serde_json::to_string(figures)?)?);
    }
    let Figures { seconds, runs, percent, .. } = figures;
    output::line(&format!(
        "appending one event at a time, sealed in {percent} % of the time or not: medians of {runs} runs of {seconds} s, [least..most]"
    ))?;
    let head = ["tasks", "what", "events/s", "p50 ms", "p99", "max", "errors", "client µs", "postgres µs", "sealed/s"];
    let mut table = Table::new(&head);
    for row in &figures.rows {
        let median =
            |of: fn(&Run) -> Option<f64>| Spread::of(row.runs.iter().filter_map(of)).map(|spread| spread.median);
        let what = if row.sealed { "sealed" } else { "not sealed" };
        let mut cells = vec![row.tasks.to_string(), what.to_owned(), spread(row.events_per_second)];
        cells.extend([row.latencies.p50_ms, row.latencies.p99_ms, row.latencies.max_ms].map(millis));
        cells.push(row.runs.iter().map(|run| run.errors).sum::<u64>().to_string());
        cells.extend([median(|run| run.client_micros), median(|run| run.database_micros)].map(known));
        cells.push(spread(row.sealed_per_second));
        table.row(cells);
    }
    for line in table.lines() {
        output::line(&line)?;
    }
    for cost in &figures.costs {
        let (percent, by_round) = ((1.0 - cost.of_medians) * 100.0, ratio(cost.by_round));
        output::line(&format!(
            "{} tasks: sealing costs {percent:.1} % of the median; by round {by_round}",
            cost.tasks
        ))?;
    }
    Ok(())
}

impl Row {
    fn per_second(&self) -> Vec<f64> {
        self.runs.iter().map(|run| run.events_per_second).collect()
    }
}

impl Cost {
    /// Of a row without and a row with sealing.
    fn of(pair: &[Row]) -> Option<Self> {
        let [without, with] = pair else { return None };
        Some(Self {
            tasks: with.tasks,
            of_medians: with.events_per_second?.median / without.events_per_second?.median,
            by_round: Spread::of_ratios(&with.per_second(), &without.per_second())?,
        })
    }
}

//! `bench intake`: orders over HTTP, side by side with what the platform is compared with.
//!
//! A round is one run of each contender with each number of connections, and pgbench; there are as many rounds as runs were asked
//! for. What slows the machine down for a while so slows all of them down, and ratios are taken within a round.

mod contenders;
mod overload;
mod report;
mod svg;
mod sweep;

use std::time::Duration;

use contenders::{Contenders, PLATFORM};
use ordo::output;
use serde::Serialize;

use crate::args::Intake;
use crate::contender::{Run, Shape};
use crate::figures::{Latencies, Spread};
use crate::pgbench::Best;
use crate::program::Ordo;
use crate::progress::Progress;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    bench: &'static str,
    loop_kind: &'static str,
    warm_up_seconds: f64,
    seconds: f64,
    runs: usize,
    order_bytes: usize,
    rows: Vec<Row>,
    pgbench: Option<Best>,
    left_out: Vec<&'static str>,
    ratios: Vec<Ratio>,
    overload: Option<overload::Overload>,
    sweep: Vec<sweep::Step>,
}

/// One contender with one number of connections.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    connections: usize,
    contender: &'static str,
    orders_per_second: Option<Spread>,
    /// Of each percentile its median.
    latencies: Latencies,
    runs: Vec<Run>,
}

/// How many times the other's orders a second the platform's are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ratio {
    connections: usize,
    to: &'static str,
    times: Spread,
}

/// Measures, and prints the figures.
pub(crate) async fn run(args: &Intake, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    let mut contenders = Contenders::start(args, ordo, &progress).await?;
    let (mut rows, pgbench) = rounds(args, &mut contenders, &progress).await?;
    for row in &mut rows {
        row.sum_up();
    }
    let peak = rows
        .iter()
        .filter(|row| row.contender == PLATFORM)
        .max_by(|one, other| one.median().total_cmp(&other.median()));
    let (peak, peak_connections) = peak.map_or((0.0, 1), |row| (row.median(), row.connections));

    let mut sweep = Vec::new();
    if let Some(file) = &args.svg {
        sweep = sweep::measure(args, &contenders, &rows, &progress).await?;
        std::fs::write(file, svg::draw(&sweep))?;
    }
    let overload = match args.overload {
        Some(factor) => Some(overload::measure(args, &contenders, factor, peak, peak_connections, &progress).await?),
        None => None,
    };
    progress.end();
    let figures = Figures {
        bench: "intake",
        loop_kind: if args.rate.is_some() { "open" } else { "closed" },
        warm_up_seconds: args.measuring.warm_up.as_secs_f64(),
        seconds: args.duration.as_secs_f64(),
        runs: args.measuring.runs,
        order_bytes: contenders.order_bytes(args.measuring.payload),
        ratios: ratios(&rows, pgbench.as_ref()),
        left_out: contenders.left_out(),
        rows,
        pgbench,
        overload,
        sweep,
    };
    // The servers stop before the report is printed: whoever reads the report may take it for the end.
    drop(contenders);
    if args.measuring.json {
        return Ok(output::line(&serde_json::to_string(&figures)?)?);
    }
    for line in report::lines(&figures) {
        output::line(&line)?;
    }
    if let Some(file) = &args.svg {
        output::line(&format!("latency against load is drawn in {}", file.display()))?;
    }
    Ok(())
}

async fn rounds(
    args: &Intake,
    contenders: &mut Contenders,
    progress: &Progress,
) -> anyhow::Result<(Vec<Row>, Option<Best>)> {
    let mut rows: Vec<Row> = Vec::new();
    for connections in &args.connections {
        rows.extend(contenders.all.iter().map(|contender| Row::new(*connections, contender.name)));
    }
    let mut inserts = Vec::new();
    for round in 1..=args.measuring.runs {
        for connections in &args.connections {
            for contender in &contenders.all {
                progress.say(&format!(
                    "round {round} of {}: {}, {connections} connections",
                    args.measuring.runs, contender.name
                ));
                let run = contender.measure(&shape(args, *connections, args.rate, args.duration)).await?;
                let row =
                    rows.iter_mut().find(|row| row.connections == *connections && row.contender == contender.name);
                row.into_iter().for_each(|row| row.runs.push(run.clone()));
            }
        }
        let row = contenders.row_bytes().await?;
        if let (Some(pgbench), Some(row)) = (&mut contenders.pgbench, row) {
            progress.say(&format!("round {round} of {}: pgbench", args.measuring.runs));
            inserts.push(pgbench.round(row, args.duration).await?);
        }
    }
    Ok((rows, Best::of(&inserts)))
}

/// How the runs of this command are made.
fn shape(args: &Intake, connections: usize, per_second: Option<f64>, duration: Duration) -> Shape {
    Shape {
        payload: args.measuring.payload,
        idempotency_keys: args.idempotency_keys,
        connections,
        per_second,
        warm_up: args.measuring.warm_up,
        duration,
    }
}

impl Row {
    fn new(connections: usize, contender: &'static str) -> Self {
        Self { connections, contender, orders_per_second: None, latencies: Latencies::default(), runs: Vec::new() }
    }

    fn sum_up(&mut self) {
        self.orders_per_second = Spread::of(self.per_second());
        self.latencies = Latencies::median(&self.runs.iter().map(|run| run.latencies).collect::<Vec<_>>());
    }

    fn per_second(&self) -> Vec<f64> {
        self.runs.iter().map(|run| run.orders_per_second).collect()
    }

    fn median(&self) -> f64 {
        self.orders_per_second.map_or(0.0, |spread| spread.median)
    }
}

/// The platform against each of the others, with the same number of connections.
fn ratios(rows: &[Row], pgbench: Option<&Best>) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for platform in rows.iter().filter(|row| row.contender == PLATFORM) {
        let connections = platform.connections;
        let mut add = |to: &'static str, those: &[f64]| {
            let times = Spread::of_ratios(&platform.per_second(), those);
            ratios.extend(times.map(|times| Ratio { connections, to, times }));
        };
        for other in rows.iter().filter(|row| row.connections == connections && row.contender != PLATFORM) {
            add(other.contender, &other.per_second());
        }
        if let Some(best) = pgbench {
            add("pgbench", &best.per_second);
        }
    }
    ratios
}

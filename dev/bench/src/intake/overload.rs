//! More than the platform can take, and how it gets over it.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::contenders::Contenders;
use super::shape;
use crate::args::Intake;
use crate::contender::{Contender, Run, Shape};
use crate::figures::{Latencies, count};
use crate::progress::Progress;

/// After the overload, the load that should be nothing to it is watched in slices of this length.
const SLICE: Duration = Duration::from_millis(500);
/// It is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Overload {
    pub(super) factor: f64,
    pub(super) connections: usize,
    pub(super) offered_per_second: f64,
    pub(super) accepted_per_second: f64,
    /// Of the peak.
    pub(super) accepted_percent: f64,
    pub(super) refused: u64,
    /// How fast refusals were answered, from when the orders were sent.
    pub(super) refusals: Latencies,
    pub(super) latencies: Latencies,
    /// Orders that no connection was free for.
    pub(super) missed: u64,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    pub(super) peak_memory_bytes: Option<u64>,
    /// At half the peak, before.
    pub(super) usual: Latencies,
    /// How long after the end half the peak was taken as before; `None`: not within a minute.
    pub(super) recovered_after_seconds: Option<f64>,
}

/// An open loop at so many times the peak.
pub(super) async fn measure(
    args: &Intake,
    contenders: &Contenders,
    factor: f64,
    peak: f64,
    connections: usize,
    progress: &Progress,
) -> anyhow::Result<Overload> {
    let platform = contenders.platform()?;
    let half = shape(args, connections, Some((peak / 2.0).max(1.0)), args.duration);
    progress.say("half the peak, to know what is usual");
    let usual = platform.measure(&half).await?;

    progress.say(&format!("{factor} times the peak"));
    let too_much = Shape {
        warm_up: Duration::ZERO,
        ..shape(args, args.overload_connections, Some((peak * factor).max(1.0)), args.duration)
    };
    let run = platform.measure(&too_much).await?;
    progress.say("half the peak again");
    let recovered = recover(platform, &half, &usual).await?;
    Ok(Overload {
        factor,
        connections: args.overload_connections,
        offered_per_second: count(run.offered) / args.duration.as_secs_f64(),
        accepted_per_second: run.orders_per_second,
        accepted_percent: if peak > 0.0 { 100.0 * run.orders_per_second / peak } else { 0.0 },
        refused: run.refused,
        refusals: run.refusals,
        latencies: run.latencies,
        missed: run.missed,
        errors: run.errors,
        first_error: run.first_error,
        peak_memory_bytes: run.peak_memory_bytes,
        usual: usual.latencies,
        recovered_after_seconds: recovered.map(|after| after.as_secs_f64()),
    })
}

/// How long until a slice of the usual load is as it was before.
async fn recover(platform: &Contender, half: &Shape, usual: &Run) -> anyhow::Result<Option<Duration>> {
    let since = Instant::now();
    let slice = Shape { warm_up: Duration::ZERO, duration: SLICE, ..half.clone() };
    while since.elapsed() < PATIENCE {
        let began = since.elapsed();
        if is_usual(&platform.measure(&slice).await?, usual) {
            return Ok(Some(began));
        }
    }
    Ok(None)
}

/// A slice is short: its p99 may be twice the usual, and a few milliseconds are no sign of anything.
fn is_usual(slice: &Run, usual: &Run) -> bool {
    slice.orders_per_second >= 0.95 * usual.orders_per_second
        && slice.latencies.p99_ms <= 2.0 * usual.latencies.p99_ms + 5.0
}

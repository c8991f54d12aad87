//! Latency at loads from little to more than can be taken: an open loop each.

use serde::Serialize;

use super::contenders::{Contenders, PLATFORM, STOCK};
use super::{Row, shape};
use crate::args::Intake;
use crate::figures::count;
use crate::progress::Progress;

/// In percent of what each can take.
const LOADS: [f64; 7] = [10.0, 25.0, 50.0, 75.0, 90.0, 100.0, 110.0];
/// Enough for one to be free when an order is due.
const CONNECTIONS: usize = 256;

/// One contender under one load.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    pub(super) contender: &'static str,
    /// Of the peak that was measured in a closed loop.
    pub(super) percent: f64,
    pub(super) offered_per_second: f64,
    pub(super) accepted_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) refused: u64,
    pub(super) errors: u64,
}

/// The platform and stock postgres-es, each up to a little more than its own peak in `rows`.
pub(super) async fn measure(
    args: &Intake,
    contenders: &Contenders,
    rows: &[Row],
    progress: &Progress,
) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    for contender in contenders.all.iter().filter(|contender| [PLATFORM, STOCK].contains(&contender.name)) {
        let peaks = rows.iter().filter(|row| row.contender == contender.name).map(Row::median);
        let peak = peaks.fold(0.0, f64::max);
        // Nothing was accepted: there is no load to take a share of.
        for percent in LOADS.into_iter().filter(|_| peak > 0.0) {
            progress.say(&format!("{} at {percent} % of its peak", contender.name));
            let rate = peak * percent / 100.0;
            let run = contender.measure(&shape(args, CONNECTIONS, Some(rate), args.duration)).await?;
            steps.push(Step {
                contender: contender.name,
                percent,
                offered_per_second: count(run.offered) / args.duration.as_secs_f64(),
                accepted_per_second: run.orders_per_second,
                p50_ms: run.latencies.p50_ms,
                p99_ms: run.latencies.p99_ms,
                refused: run.refused,
                errors: run.errors,
            });
        }
    }
    Ok(steps)
}

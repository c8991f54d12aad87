//! Replays as text and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use projections::{ReplayDryRun, ReplayPhase, ReplayProgress, ReplayRow, ReplaySummary};
use serde_json::{Value, json};

use super::is_counted;
use crate::output;

pub(super) fn phase(phase: ReplayPhase) -> &'static str {
    match phase {
        ReplayPhase::Folding => "folding",
        ReplayPhase::Indexing => "indexing",
        ReplayPhase::CatchingUp => "catching up",
        ReplayPhase::Different => "different",
        ReplayPhase::Done => "done",
    }
}

/// Events a second.
pub(super) fn rate(events: u64, during: Duration) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "nobody counts as far")]
    let events = events as f64;
    (during > Duration::from_millis(100)).then(|| events / during.as_secs_f64())
}

pub(super) fn progress(progress: ReplayProgress, rate: Option<f64>) -> String {
    let ReplayProgress { events, total, .. } = progress;
    let mut line = format!("{}: {events} of {total} events", phase(progress.phase));
    if let (Some(rate), true) = (rate, is_counted(progress.phase)) {
        line = format!("{line}, {} a second", output::rate(rate));
        if let Some(left) = left(progress, rate) {
            line = format!("{line}, {} left", time(left));
        }
    }
    line
}

pub(super) fn progress_json(progress: ReplayProgress, rate: Option<f64>) -> Value {
    json!({
        "phase": progress.phase.name(),
        "events": progress.events,
        "total": progress.total,
        "eventsPerSecond": rate.map(one_decimal),
        "secondsLeft": rate.and_then(|rate| left(progress, rate)).map(|left| left.as_secs_f64().round()),
    })
}

fn one_decimal(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

/// The time for the rest at this rate.
fn left(progress: ReplayProgress, rate: f64) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "nobody counts as far")]
    let events = progress.total.saturating_sub(progress.events) as f64;
    Duration::try_from_secs_f64(events / rate).ok()
}

pub(super) fn replayed(
    projections: &[String],
    state: &ReplayRow,
    replayed: &ReplaySummary,
    took: Duration,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (projection, found) in &replayed.comparisons {
        if found.is_empty() {
            lines.push(format!(
                "{projection}: no differences in {} items ({} on the move)",
                found.alike, found.on_the_move
            ));
            continue;
        }
        lines.push(format!(
            "{projection}: {} only in the live one, {} only in the new one, {} different, {} alike ({} on the move)",
            found.only_in_old, found.only_in_new, found.different, found.alike, found.on_the_move
        ));
        for example in &found.examples {
            let side = |body: &Option<String>| body.clone().unwrap_or_else(|| "nothing".to_owned());
            lines.push(format!("  {} {}", example.key.pk, example.key.sk));
            lines.push(format!("    live: {}", side(&example.old)));
            lines.push(format!("    new:  {}", side(&example.new)));
        }
    }
    let names = projections.join(", ");
    lines.push(if replayed.promoted {
        let (are, events) = (if projections.len() > 1 { "are" } else { "is" }, replayed.events);
        let rate = rate(events.saturating_sub(state.events), took);
        let rate = rate.map_or_else(String::new, |rate| format!(" ({} events a second)", output::rate(rate)));
        format!(
            "{names} {are} rebuilt from {events} events, up to position {}, in {:.1} s{rate}",
            replayed.position,
            took.as_secs_f64()
        )
    } else {
        format!("{names}: the live one has kept its place; `ordo replay` without --compare goes on, --cancel ends it")
    });
    lines
}

pub(super) fn replayed_json(state: &ReplayRow, replayed: &ReplaySummary, took: Duration) -> Value {
    let comparison: BTreeMap<_, _> = replayed.comparisons.iter().map(|(name, found)| (name, found)).collect();
    json!({
        "phase": if replayed.promoted { ReplayPhase::Done } else { ReplayPhase::Different }.name(),
        "replay": state.id,
        "projections": state.projections,
        "events": replayed.events,
        "position": replayed.position,
        "seconds": took.as_secs_f64(),
        "eventsPerSecond": rate(replayed.events.saturating_sub(state.events), took).map(one_decimal),
        "comparison": comparison,
    })
}

pub(super) fn estimate(estimate: &ReplayDryRun) -> Vec<String> {
    let names = estimate.projections.join(", ");
    let mut lines = vec![match estimate.begun {
        None => format!("{names}: {} events to fold", estimate.events),
        Some(events) => format!("{names}: {} events to fold, of which {events} are folded already", estimate.events),
    }];
    lines.push(match estimate.expected {
        Some(expected) => {
            format!("about {}, as the first {} of them go; nothing was changed", time(expected), estimate.sample)
        }
        None if estimate.events == 0 => "nothing to do; nothing was changed".to_owned(),
        None => "how long that takes can't be said of this store of read models; nothing was changed".to_owned(),
    });
    lines
}

pub(super) fn estimate_json(estimate: &ReplayDryRun) -> Value {
    json!({
        "projections": estimate.projections,
        "events": estimate.events,
        "begun": estimate.begun,
        "sample": estimate.sample,
        "expectedSeconds": estimate.expected.map(|expected| expected.as_secs_f64()),
    })
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 90.0 { format!("{seconds:.1} s") } else { format!("{:.0} min", seconds / 60.0) }
}

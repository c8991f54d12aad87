//! `ordo replay`: rebuilds read models from the events, compares them, and rolls them back.

mod args;
mod render;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use projections::{REGISTRY, ReplayError, ReplayOperations, ReplayOptions, ReplayPhase, ReplayProgress};
use serde_json::json;

pub(crate) use self::args::ReplayArgs;
use crate::settings::Settings;
use crate::{connections, migrate, output, shutdown};

/// How often a line shows the progress if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the progress as a bar on a terminal, and as a line every few seconds elsewhere.
pub(crate) async fn run(settings: &Settings, args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    let replays = ReplayOperations::new(pool.clone(), connections::read_models(settings, &pool).await?);
    let projections = match args.all {
        true => REGISTRY.iter().map(|projection| projection.name.to_owned()).collect(),
        false => args.projections.clone(),
    };
    if args.dry_run {
        return dry_run(&replays, &projections, args.json).await;
    }
    if args.cancel {
        return cancel(&replays, &projections, args.all, args.json).await;
    }
    if args.rollback {
        return roll_back(&replays, &projections, args.json).await;
    }
    rebuild(&replays, ReplayOptions { projections, compare: args.compare }, args.json).await
}

async fn rebuild(replays: &ReplayOperations, wanted: ReplayOptions, as_json: bool) -> anyhow::Result<ExitCode> {
    let replay = replays.open(&wanted).await?;
    let state = replay.state().clone();
    if !as_json && state.events > 0 {
        output::line(&format!("going on after {} of {} events", state.events, state.total))?;
    }
    // The bar is for people; programs read lines.
    let bar = if as_json { ProgressBar::hidden() } else { ProgressBar::no_length() };
    let template = "{msg:11} {bar:40} {human_pos} of {human_len} events  {rate}  {eta} left";
    let bar = bar.with_style(output::bar_style(template)?);
    bar.set_position(state.events);
    bar.reset_eta();
    let began = Instant::now();
    let mut next_line = began + LINE_EVERY;
    let mut lately = (began, state.events);
    let report = |progress: ReplayProgress| {
        bar.set_message(render::phase(progress.phase));
        bar.set_length(progress.total.max(progress.events));
        bar.set_position(progress.events);
        if bar.is_hidden() && Instant::now() >= next_line {
            next_line = Instant::now() + LINE_EVERY;
            let rate = render::rate(progress.events.saturating_sub(lately.1), lately.0.elapsed());
            lately = (Instant::now(), progress.events);
            let line = if as_json {
                render::progress_json(progress, rate).to_string()
            } else {
                render::progress(progress, rate)
            };
            // A closed pipe does not end the replay.
            let _ = output::line(&line);
        }
    };
    let stop = shutdown::on_signal()?;
    let ended = replay.run(&stop, report).await;
    bar.finish_and_clear();
    let replayed = ended?;
    if as_json {
        output::line(&render::replayed_json(&state, &replayed, began.elapsed()).to_string())?;
    } else {
        for line in render::replayed(&wanted.projections, &state, &replayed, began.elapsed()) {
            output::line(&line)?;
        }
    }
    Ok(if replayed.promoted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn dry_run(replays: &ReplayOperations, projections: &[String], as_json: bool) -> anyhow::Result<ExitCode> {
    let estimate = replays.estimate(projections).await?;
    if as_json {
        output::line(&render::estimate_json(&estimate).to_string())?;
    } else {
        for line in render::estimate(&estimate) {
            output::line(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn cancel(
    replays: &ReplayOperations,
    projections: &[String],
    all: bool,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let (mut cancelled, mut swapped) = (Vec::new(), Vec::new());
    for projection in projections {
        match replays.cancel(projection).await {
            Ok(stayed) => {
                cancelled.push(projection);
                swapped.extend(stayed);
            }
            // One replay may rebuild several projections.
            Err(ReplayError::NothingToCancel(_)) if all || !cancelled.is_empty() => {}
            Err(error) => return Err(error.into()),
        }
    }
    if cancelled.is_empty() {
        return Err(ReplayError::NothingToCancel("any projection".to_owned()).into());
    }
    let text = match swapped.as_slice() {
        [] => "the replay is cancelled; nothing is left of it, and the live read models are as they were".to_owned(),
        swapped => format!(
            "the replay is cancelled; {} had changed places already (--rollback takes that back), nothing else is left of it",
            swapped.join(", ")
        ),
    };
    output::line(&if as_json { json!({ "cancelled": cancelled, "swapped": swapped }).to_string() } else { text })?;
    Ok(ExitCode::SUCCESS)
}

async fn roll_back(replays: &ReplayOperations, projections: &[String], as_json: bool) -> anyhow::Result<ExitCode> {
    for projection in projections {
        let position = replays.roll_back(projection).await?;
        output::line(&if as_json {
            json!({ "rolledBack": projection, "position": position }).to_string()
        } else {
            format!("{projection} is the one before again, up to position {position}; the other one is kept instead")
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the length of a phase is known.
fn is_counted(phase: ReplayPhase) -> bool {
    matches!(phase, ReplayPhase::Folding | ReplayPhase::CatchingUp)
}

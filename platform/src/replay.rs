//! `ordo replay`: a read model rebuilt from the events.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use projections::Progress;

use crate::settings::Settings;
use crate::{cli, connections, migrate, output};

/// Rebuilds one projection, with a bar on a terminal and a line every few seconds elsewhere.
pub async fn run(settings: &Settings, args: &cli::Replay) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    let started = Instant::now();
    let bar = ProgressBar::no_length()
        .with_style(ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} events  {per_sec}  {eta} left")?);
    let mut next_line = started + LINE_EVERY;
    let report = |progress: Progress| {
        bar.set_length(progress.total.max(progress.events));
        bar.set_position(progress.events);
        if bar.is_hidden() && Instant::now() >= next_line {
            next_line = Instant::now() + LINE_EVERY;
            let _ = output::line(&format!("{} of {} events", progress.events, progress.total));
        }
    };
    let replayed = projections::replay(&pool, &*connections::read_models(&pool), &args.projection, report).await?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    output::line(&format!(
        "{} is rebuilt from {} events, up to position {}, in {seconds:.1} s",
        args.projection, replayed.events, replayed.position
    ))?;
    Ok(())
}

const LINE_EVERY: Duration = Duration::from_secs(5);

//! `ordo replay`: read models rebuilt from the events.

use anyhow::bail;

use crate::cli;
use crate::settings::Settings;

/// Rebuilds one projection.
pub async fn run(_settings: &Settings, args: &cli::Replay) -> anyhow::Result<()> {
    bail!("there is no projection named {}", args.projection)
}

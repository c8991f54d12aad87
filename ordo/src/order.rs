//! `ordo order`: an order at any version, and the difference between two versions, from the log.

mod changes;
mod diff;
mod page;
mod show;

use clap::Subcommand;
use projections::PointInTime;

use crate::settings::Settings;
use crate::{connections, migrate};

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum OrderCliCommand {
    /// An order as it is now, or was at a version or an instant
    Show {
        /// The order's id
        id: String,
        /// Its version, from 1 on, or an instant such as 2026-11-21T18:00:00Z [default: now]
        #[arg(long, value_name = "VERSION|INSTANT")]
        as_of: Option<PointInTime>,
        /// Say it as one line of JSON: the answer of GET /orders/{id}
        #[arg(long)]
        json: bool,
    },
    /// What changed in an order between two of its versions, or two instants
    Diff {
        /// The order's id
        id: String,
        /// A version, or an instant
        #[arg(value_name = "V1")]
        from: PointInTime,
        /// Another one
        #[arg(value_name = "V2")]
        to: PointInTime,
        /// Say it as one line of JSON: a list of {path, old, new}
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(settings: &Settings, command: &OrderCliCommand) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    match command {
        OrderCliCommand::Show { id, as_of, json } => show::run(&pool, id, *as_of, *json).await,
        OrderCliCommand::Diff { id, from, to, json } => diff::run(&pool, id, (*from, *to), *json).await,
    }
}

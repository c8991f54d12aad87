//! `ordo order`: an order at any version, and the difference between two versions, from the log; all orders of a filter; orders of
//! another system.

mod diff;
mod export;
mod import;
mod page;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
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
    /// Write the orders of a filter to a file, one JSON object a line, or as CSV
    Export(OrderExportArgs),
    /// Import orders that another system has handled, one JSON object a line, as POST /orders/import takes them
    ///
    /// Nothing is done for them: no mail, no payment, no stock. It can be repeated: what is there is passed over.
    Import(OrderImportArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct OrderExportArgs {
    /// Which orders, and in which order, as GET /orders asks for them: 'status=confirmed&sort=-total&currency=EUR' [default: all, the
    /// newest first]
    #[arg(long, value_name = "QUERY", default_value = "", hide_default_value = true)]
    pub(crate) query: String,
    #[arg(long, value_enum, default_value = "ndjson")]
    pub(crate) format: OrderExportFormat,
    /// Where to [default: standard output]; there is no such file before it is complete
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct OrderImportArgs {
    /// The file; `-`: standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Say what became of it as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrderExportFormat {
    Ndjson,
    Csv,
}

pub(crate) async fn run(settings: &Settings, command: &OrderCliCommand) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    match command {
        OrderCliCommand::Show { id, as_of, json } => show::run(&pool, id, *as_of, *json).await,
        OrderCliCommand::Export(args) => export::run(settings, &pool, args).await,
        OrderCliCommand::Import(args) => import::run(&pool, args).await,
        OrderCliCommand::Diff { id, from, to, json } => diff::run(&pool, id, (*from, *to), *json).await,
    }
}

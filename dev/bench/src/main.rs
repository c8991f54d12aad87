//! `bench`: how fast Ordo is, side by side with others in the same run.
//!
//! - `intake`: orders posted over HTTP, beside stock postgres-es, a server that stores nothing, and pgbench.
//! - `visible`: from the answer to a POST until the order can be read.
//! - `end-to-end`: from the POST to the mail.
//! - `flash_sale`: from the POST to the confirmation, all for one SKU; and that no more is sold than there is.
//! - `replay`: read models rebuilt from the events.
//! - `reads`: orders and pages of them read over HTTP.
//! - `append`: the event store alone, beside stock postgres-es and pgbench.
//! - `sealing`: the event store alone, with and without the log's seals.
//! - `console`: the console's pages on a large platform, and what they cost those who order.
//! - `greedy_clients`: what others notice while some clients take all they can get.
//!
//! Unless told of a platform that runs already, each starts one with the program `ordo`, keeps nothing of it, and takes it down
//! however it ends. How figures come about and how to read them is in BENCHMARKS.md.

mod append;
mod args;
mod baseline;
mod connection;
mod console;
mod contender;
mod databases;
mod end_to_end;
mod figures;
mod flash_sale;
mod generated_log;
mod greedy_clients;
mod http_client;
mod intake;
mod load;
mod orders;
mod pace;
mod pgbench;
mod processes;
mod program;
mod progress;
mod reads;
mod replay;
mod sealing;
mod server;
mod table;
mod visible;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use ordo::shutdown;
use url::Url;

use crate::args::Bench;
use crate::program::Ordo;

/// The allocator of `ordo`: the baseline server is compared with it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure how fast Ordo is, side by side with others.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    /// The program that is measured [default: `ordo` in the folder of this program]
    #[arg(long, global = true, value_name = "PATH")]
    ordo: Option<PathBuf>,
    #[command(subcommand)]
    bench: Bench,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere left to report a standard error that cannot be written to.
            let _ = writeln!(io::stderr().lock(), "bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A signal ends the benchmark and all processes that it started.
async fn run(cli: Cli) -> anyhow::Result<()> {
    // The baseline is a server and drains by itself.
    if let Bench::Baseline(args) = &cli.bench {
        return baseline::run(args).await;
    }
    let ordo = Ordo::at(cli.ordo)?;
    let stop = shutdown::on_signal()?;
    match stop.run_until_cancelled(measure(&cli.bench, &ordo)).await {
        Some(measured) => measured,
        None => bail!("interrupted: nothing was measured"),
    }
}

async fn measure(bench: &Bench, ordo: &Ordo) -> anyhow::Result<()> {
    match bench {
        Bench::Intake(args) => intake::run(args, ordo).await,
        Bench::Visible(args) => visible::run(args, ordo).await,
        Bench::EndToEnd(args) => end_to_end::run(args, ordo).await,
        Bench::FlashSale(args) => flash_sale::run(args, ordo).await,
        Bench::Append(args) => append::run(args, ordo).await,
        Bench::Replay(args) => replay::run(args, ordo).await,
        Bench::Sealing(args) => sealing::run(args, ordo).await,
        Bench::Reads(args) => reads::run(args, ordo).await,
        Bench::Console(args) => console::run(args, ordo).await,
        Bench::GreedyClients(args) => greedy_clients::run(args, ordo).await,
        Bench::Baseline(args) => baseline::run(args).await,
    }
}

/// The address of an API. Ordo speaks plain HTTP.
fn address_of(url: &str) -> anyhow::Result<SocketAddr> {
    let parsed = Url::parse(url).ok().filter(|parsed| parsed.scheme() == "http" && parsed.path() == "/");
    let parsed = parsed.with_context(|| format!("{url} must look like http://127.0.0.1:3000"))?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let addresses = (host.as_str(), parsed.port().unwrap_or(80)).to_socket_addrs();
    addresses.with_context(|| format!("there is no {host}"))?.next().with_context(|| format!("{host} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_is_known_by_its_address() {
        for (url, address) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://127.0.0.1/", "127.0.0.1:80"),
            ("http://[::1]:5", "[::1]:5"),
        ] {
            assert_eq!(address_of(url).unwrap(), address.parse().unwrap());
        }
        for url in ["127.0.0.1:3000", "https://127.0.0.1", "http://127.0.0.1/v1", "nonsense"] {
            assert!(address_of(url).unwrap_err().to_string().contains("must look like"), "{url}");
        }
    }
}

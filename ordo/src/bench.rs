//! `ordo bench`: how fast the platform is, side by side with others in the same run.
//!
//! - `intake`: orders posted over HTTP, beside stock postgres-es, a server that stores nothing, and pgbench.
//! - `visible`: from the answer to a POST until the order can be read.
//! - `end-to-end`: from the POST to the mail.
//! - `flash_sale`: from the POST to the confirmation, all for one SKU; and that no more is sold than there is.
//! - `replay`: read models rebuilt from the events.
//! - `reads`: orders and pages of them read over HTTP.
//! - `append`: the event store alone, beside stock postgres-es and pgbench.
//! - `sealing`: the event store alone, with and without the log's seals.
//! - `greedy_clients`: what others notice while some clients take all they can get.
//!
//! Unless told of a platform that runs already, each starts one of its own, keeps nothing of it, and takes it down however it
//! ends. How figures come about and how to read them is in BENCHMARKS.md.

mod append;
mod args;
mod baseline;
mod connection;
mod contender;
mod databases;
mod end_to_end;
mod figures;
mod flash_sale;
mod greedy_clients;
mod intake;
mod load;
mod orders;
mod pace;
mod pgbench;
mod processes;
mod progress;
mod reads;
mod replay;
mod sealing;
mod server;
mod table;
mod visible;

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};
use url::Url;

pub use args::Bench;

use crate::shutdown;

/// Does what was asked; a signal ends it, and with it all that it started.
pub async fn run(bench: Bench) -> anyhow::Result<()> {
    // It stops by itself, as servers do.
    if let Bench::Baseline(args) = &bench {
        return baseline::run(args).await;
    }
    let stop = shutdown::on_signal()?;
    match stop.run_until_cancelled(measure(&bench)).await {
        Some(measured) => measured,
        None => bail!("interrupted: nothing was measured"),
    }
}

async fn measure(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Intake(args) => intake::run(args).await,
        Bench::Visible(args) => visible::run(args).await,
        Bench::EndToEnd(args) => end_to_end::run(args).await,
        Bench::FlashSale(args) => flash_sale::run(args).await,
        Bench::Append(args) => append::run(args).await,
        Bench::Replay(args) => replay::run(args).await,
        Bench::Sealing(args) => sealing::run(args).await,
        Bench::Reads(args) => reads::run(args).await,
        Bench::GreedyClients(args) => greedy_clients::run(args).await,
        Bench::Baseline(args) => baseline::run(args).await,
    }
}

/// Where an API answers; plain HTTP only, as the platform speaks.
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

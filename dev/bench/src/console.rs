//! `bench console`: how long the console's pages take on a large platform, what open consoles cost those who order, and how a bulk action
//! goes through everything that is stuck.
//!
//! The log has many orders; the sagas of some are stuck, and the queue of dead letters is long. Orders are posted at a steady rate: alone,
//! while consoles follow what happens, and while somebody goes from page to page. How long each page takes to its first byte, and how much
//! longer an order waits for its answer, are the figures. Then all stuck sagas are retried at once. It fails if a page is not shown, an
//! order is not taken, or the bulk action does anything but what it should.

mod bulk_action;
mod dead_letters;
mod large_shop;
mod readers;
mod report;

use std::time::Instant;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use tokio_util::sync::CancellationToken;

use self::large_shop::LargeShop;
use self::report::{Figures, Run};
use crate::args::Console;
use crate::figures::Latencies;
use crate::load::Load;
use crate::orders::{OrderBody, Orders};
use crate::program::Ordo;
use crate::progress::Progress;
use crate::server::Server;

/// More orders than have no answer at any moment, unless the platform stalls.
const CONNECTIONS: usize = 64;

/// The platform that is looked at.
struct Platform<'a> {
    args: &'a Console,
    server: &'a Server,
    /// One of somebody else for each open console.
    tokens: Vec<String>,
    pages: Vec<String>,
}

/// The times to the first byte, in microseconds, by page.
type PageHistograms = Vec<(String, Histogram<u64>)>;

/// Measures, and prints the figures.
pub(crate) async fn run(args: &Console, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    let shop = LargeShop::make(args, ordo, &progress).await?;
    progress.say("starting a platform on them");
    let server = ordo.up_on(&shop.database.url, "all").await?;
    progress.say("making dead letters");
    dead_letters::send(&server.url("sqs"), args.dead_letters).await?;
    progress.say("waiting until the sagas are stuck");
    shop.until_stuck(args.stuck).await?;
    let tokens = tokens(args, ordo, &shop.database.url).await?;
    let pages = readers::pages(&shop.an_order().await?);
    let platform = Platform { args, server: &server, tokens, pages };
    let (mut runs, mut pages) = (Vec::new(), PageHistograms::new());
    for nth in 1..=args.runs {
        progress.say(&format!("run {nth} of {}", args.runs));
        let (run, visited) = platform.measure(nth).await.with_context(|| format!("run {nth} failed"))?;
        runs.push(run);
        if pages.is_empty() {
            pages = visited;
        } else {
            for ((_, all), (_, times)) in pages.iter_mut().zip(&visited) {
                all.add(times)?;
            }
        }
    }
    progress.say("retrying all stuck sagas at once");
    shop.until_stuck(args.stuck).await?;
    let bulk_action = match args.stuck {
        0 => None,
        _ => Some(bulk_action::measure(args, ordo, &shop, server).await.context("the bulk action failed")?),
    };
    shop.stop().await;
    progress.end();
    Figures::of(args, runs, &pages, bulk_action).say(args.json)
}

async fn tokens(args: &Console, ordo: &Ordo, database: &str) -> anyhow::Result<Vec<String>> {
    let mut tokens = Vec::new();
    for nth in 0..args.consoles {
        let subject = format!("reader-{nth}");
        tokens.push(ordo.printed(&["token", "--role", "operator", "--subject", &subject], database).await?);
    }
    Ok(tokens)
}

impl Platform<'_> {
    async fn measure(&self, nth: usize) -> anyhow::Result<(Run, PageHistograms)> {
        // By turns either is the first, so that what grows meanwhile counts for neither.
        let (alone, with_consoles) = if nth % 2 == 1 {
            let alone = self.alone().await?;
            (alone, self.with_consoles().await?)
        } else {
            let with_consoles = self.with_consoles().await?;
            (self.alone().await?, with_consoles)
        };
        let console = self.server.url("console");
        let (while_visited, pages) =
            self.post(async |until| readers::visit_all(&console, &self.pages, until).await).await?;
        let (with_consoles, refreshed) = with_consoles;
        ensure!(refreshed > 0 || self.args.consoles == 0, "no console asked for its page again");
        Ok((Run { alone, with_consoles, refreshed, while_visited }, pages))
    }

    async fn alone(&self) -> anyhow::Result<Latencies> {
        Ok(self.post(async |_| Ok(())).await?.0)
    }

    /// Also says how often the consoles asked for their page again.
    async fn with_consoles(&self) -> anyhow::Result<(Latencies, u64)> {
        let console = self.server.url("console");
        self.post(async |until| {
            let stop = CancellationToken::new();
            let follow = |token: &String| tokio::spawn(readers::follow(console.clone(), token.clone(), stop.clone()));
            let open: Vec<_> = self.tokens.iter().map(follow).collect();
            tokio::time::sleep_until(until.into()).await;
            stop.cancel();
            let mut refreshed = 0;
            for console in open {
                refreshed += console.await??;
            }
            Ok(refreshed)
        })
        .await
    }

    /// Posts orders for the time of a run, while something else is done until its end.
    async fn post<T>(
        &self,
        meanwhile: impl AsyncFnOnce(Instant) -> anyhow::Result<T>,
    ) -> anyhow::Result<(Latencies, T)> {
        let address = self.server.address;
        let load = Load {
            address,
            requests: Orders::new(&address.to_string(), OrderBody::Demo, false),
            connections: CONNECTIONS,
            per_second: Some(self.args.rate),
            warm_up: self.args.warm_up,
            duration: self.args.duration,
        };
        let running = load.start().await?;
        tokio::time::sleep_until(running.from.into()).await;
        let done = meanwhile(running.until).await?;
        let tally = running.tally().await?;
        ensure!(tally.errors() == 0 && tally.accepted > 0, "not every order was taken: {:?}", tally.first_failure);
        Ok((Latencies::of(&tally.latencies), done))
    }
}

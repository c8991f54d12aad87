//! `bench end-to-end`: posts orders at a steady rate and times each until its mail is in the inbox.
//!
//! Mails are counted as they come, so a run may have more orders than the inbox keeps mails. The inbox's clock is compared with this
//! process's: both must be on one machine.

mod arrivals;
mod parts;

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use ordo::output;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::address_of;
use crate::args::EndToEnd;
use crate::figures::{Latencies, Spread, micros_per_order};
use crate::http_client::ApiClient;
use crate::load::{Load, Running, Tally};
use crate::orders::Orders;
use crate::processes;
use crate::program::Ordo;
use crate::progress::Progress;
use crate::server::Server;
use crate::table::{known, millis};
use arrivals::Arrivals;
use parts::{CostOfAnOrder, Parts, Taken};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many orders are posted if neither their number nor a time is given.
const ORDERS: usize = 100;
/// More orders than have no answer at any moment, unless the platform stalls.
const CONNECTIONS: usize = 256;
/// How often the inbox is looked into: it keeps far more mails than come in this time.
const LOOK: Duration = Duration::from_millis(200);
/// A platform that is this far behind when the posting ends, or less, has kept up with it.
const KEPT_UP: Duration = Duration::from_secs(2);

/// What was measured. Latencies are milliseconds from the moment an order is due to the moment the inbox has its mail. With several
/// runs, of each figure its median.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    bench: &'static str,
    orders: u64,
    per_second: f64,
    min_ms: f64,
    #[serde(flatten)]
    latencies: Latencies,
    last_mail_after_ms: f64,
    kept_up: bool,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    /// Orders that were posted and accepted while it was measured.
    orders: u64,
    /// The same, with those of the warm-up.
    accepted: u64,
    /// Orders that no connection was free for.
    missed: u64,
    /// Orders that were refused, or had no answer.
    not_accepted: u64,
    /// Orders that were told of.
    mails: u64,
    /// Orders accepted that had no mail yet when the last one was due.
    backlog: u64,
    /// From when the last order was due until the last mail.
    last_mail_after_ms: f64,
    kept_up: bool,
    min_ms: f64,
    #[serde(flatten)]
    latencies: Latencies,
    /// Processor time for each order, until the last mail had come.
    process_micros: Option<f64>,
    postgres_micros: Option<f64>,
    /// With `--apart`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_of_an_order: Option<CostOfAnOrder>,
}

/// Where orders are posted and mails arrive.
struct Platform {
    client: ApiClient,
    api: String,
    inbox: String,
    /// The platform, if this benchmark started it as one process.
    pid: Option<u32>,
    /// The platform, if its roles run apart.
    parts: Option<Parts>,
}

/// Measures, and prints the figures.
pub(crate) async fn run(args: &EndToEnd, ordo: &Ordo) -> anyhow::Result<()> {
    let progress = Progress::start();
    progress.say("starting");
    let (mut server, mut parts) = (None, None);
    let (api, inbox) = match (&args.api, &args.database) {
        (Some(api), _) => (api.clone(), args.inbox.clone().unwrap_or_default()),
        (None, database) if args.apart => parts.insert(Parts::start(ordo, database.as_deref()).await?).addresses(),
        (None, database) => {
            let all = match database {
                Some(database) => ordo.up_on(database, "all").await?,
                None => ordo.up("all").await?,
            };
            let all = server.insert(all);
            (all.url("api"), all.url("inbox"))
        }
    };
    let platform = Platform {
        client: ApiClient::new(PATIENCE),
        api: api.trim_end_matches('/').to_owned(),
        inbox: inbox.trim_end_matches('/').to_owned(),
        pid: server.as_ref().map(Server::pid),
        parts,
    };
    let mut runs = Vec::new();
    for nth in 1..=args.measuring.runs {
        progress.say(&format!("run {nth} of {}", args.measuring.runs));
        runs.push(platform.measure(args).await?);
    }
    progress.end();
    drop(platform);
    drop(server);
    let figures = Figures::of(args.rate, runs);
    if args.measuring.json {
        return Ok(output::line(&serde_json::to_string(&figures)?)?);
    }
    for line in lines(&figures) {
        output::line(&line)?;
    }
    Ok(())
}

fn lines(figures: &Figures) -> Vec<String> {
    let Figures { orders, per_second, min_ms, latencies: of, runs, .. } = figures;
    let mut lines = vec![
        format!(
            "{orders} orders at {} a second, from POST to mail; medians of {} runs:",
            output::rate(*per_second),
            runs.len()
        ),
        format!(
            "min {min_ms:.1} ms  p50 {:.1} ms  p90 {:.1} ms  p99 {:.1} ms  p99.9 {:.1} ms  max {:.1} ms",
            of.p50_ms, of.p90_ms, of.p99_ms, of.p999_ms, of.max_ms
        ),
    ];
    for Run { accepted, missed, not_accepted, mails, backlog, last_mail_after_ms, kept_up, .. } in runs {
        let kept_up = if *kept_up { "kept up" } else { "fell behind" };
        lines.push(format!(
            "{accepted} accepted, {not_accepted} not, {missed} missed; {mails} told of once each; {kept_up}: {backlog} to go when the \
             last was due, the last mail {} ms later",
            millis(*last_mail_after_ms)
        ));
    }
    let median = |of: fn(&Run) -> Option<f64>| Spread::of(runs.iter().filter_map(of)).map(|spread| spread.median);
    let (process, postgres) = (median(|run| run.process_micros), median(|run| run.postgres_micros));
    if process.is_some() || postgres.is_some() {
        lines.push(format!(
            "processor µs an order: {} in the process, {} in Postgres",
            known(process),
            known(postgres)
        ));
    }
    lines.extend(runs.iter().filter_map(|run| run.cost_of_an_order.as_ref()).flat_map(CostOfAnOrder::lines));
    lines
}

impl Platform {
    async fn measure(&self, args: &EndToEnd) -> anyhow::Result<Run> {
        let address = address_of(&self.api)?;
        let orders = Orders::new(&address.to_string(), args.measuring.payload, false);
        let prefix = orders.prefix().to_owned();
        let mut seen = self.accepted_so_far().await?;
        let before = self.processor_time();
        let parts_before = self.parts_taken().await?;
        let load = Load {
            address,
            requests: orders,
            connections: CONNECTIONS,
            per_second: Some(args.rate),
            // At least one order opens connections and fills caches.
            warm_up: args.measuring.warm_up.max(Duration::from_secs_f64(1.0 / args.rate)),
            duration: duration(args),
        };
        let warm_up = load.warm_up;
        let running = load.start().await?;
        let times = wall_clock(&running, warm_up);
        let mut arrivals = Arrivals::new(&prefix, args.rate, times);

        let ended = running.tally();
        tokio::pin!(ended);
        let tally = loop {
            tokio::select! {
                tally = &mut ended => break tally?,
                () = tokio::time::sleep(LOOK) => seen = self.look(seen, &mut arrivals).await?,
            }
        };
        let give_up = Instant::now() + args.timeout;
        while arrivals.mails < tally.accepted_in_all && Instant::now() < give_up {
            tokio::time::sleep(LOOK).await;
            seen = self.look(seen, &mut arrivals).await?;
        }
        let taken = self.processor_time();
        let parts_taken = self.parts_taken().await?;
        // Mails that are sent twice arrive in this time.
        tokio::time::sleep(LOOK).await;
        self.look(seen, &mut arrivals).await?;

        let missing = tally.accepted_in_all.saturating_sub(arrivals.mails);
        ensure!(
            missing == 0,
            "{missing} of {} mails did not come within {} s",
            tally.accepted_in_all,
            args.timeout.as_secs_f64()
        );
        ensure!(arrivals.doubled == 0, "{} mails came twice", arrivals.doubled);
        ensure!(tally.accepted_in_all > 0, "no order was accepted: {}", reason(&tally));
        let cost = parts_taken.zip(parts_before).map(|(after, before)| after.each(&before, tally.accepted_in_all));
        Ok(Run { cost_of_an_order: cost, ..Run::of(&tally, &arrivals, before, taken) })
    }

    async fn parts_taken(&self) -> anyhow::Result<Option<Taken>> {
        match &self.parts {
            Some(parts) => Ok(Some(parts.taken(&self.client).await?)),
            None => Ok(None),
        }
    }

    /// How many mails the inbox has taken since it was started.
    async fn accepted_so_far(&self) -> anyhow::Result<u64> {
        let url = format!("{}/health", self.inbox);
        let (status, health) = self.client.get(&url).await?;
        ensure!(status.is_success(), "{url} answered {status}");
        health["accepted"].as_u64().with_context(|| format!("{url} does not say how many mails it has taken"))
    }

    /// Notes what came after the first `seen` mails, and says how many there are now.
    async fn look(&self, seen: u64, arrivals: &mut Arrivals) -> anyhow::Result<u64> {
        let url = format!("{}/messages?brief=true&after={seen}", self.inbox);
        let (status, mails) = self.client.get(&url).await?;
        ensure!(status.is_success(), "{url} answered {status}");
        let mut next = seen;
        for mail in mails.as_array().context("the inbox does not answer with a list of mails")? {
            let (number, subject, at) = brief(mail).context("the inbox does not say what mails it has")?;
            if number != next + 1 {
                bail!("{} mails were gone before they were looked at", number.saturating_sub(next + 1));
            }
            next = number;
            arrivals.note(subject, at);
        }
        Ok(next)
    }

    /// Of the process and of its Postgres.
    fn processor_time(&self) -> (Option<Duration>, Option<Duration>) {
        let of = |of: fn(u32) -> Option<Duration>| self.pid.and_then(of);
        (of(processes::processor), of(processes::processor_of_descendants))
    }
}

fn brief(mail: &Value) -> Option<(u64, &str, DateTime<Utc>)> {
    Some((mail["number"].as_u64()?, mail["subject"].as_str()?, mail["receivedAt"].as_str()?.parse().ok()?))
}

/// How long each run is measured.
fn duration(args: &EndToEnd) -> Duration {
    args.duration.unwrap_or_else(|| {
        #[expect(clippy::cast_precision_loss, reason = "2^53 orders are more than anyone waits for")]
        let orders = args.orders.unwrap_or(ORDERS) as f64;
        // Half an order more, so that no rounding takes one away.
        Duration::from_secs_f64((orders + 0.5) / args.rate)
    })
}

/// When the first order was due, the first one measured, and the last, by the clock that mails are stamped with.
fn wall_clock(running: &Running, warm_up: Duration) -> (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>) {
    let (wall, now) = (Utc::now(), std::time::Instant::now());
    let at = |then: std::time::Instant| match then.checked_duration_since(now) {
        Some(ahead) => wall + TimeDelta::from_std(ahead).unwrap_or_default(),
        None => wall - TimeDelta::from_std(now.duration_since(then)).unwrap_or_default(),
    };
    let from = at(running.from);
    (from - TimeDelta::from_std(warm_up).unwrap_or_default(), from, at(running.until))
}

fn reason(tally: &Tally) -> String {
    tally.first_failure.clone().unwrap_or_else(|| format!("{} refused, {:?}", tally.refusals.len(), tally.other))
}

impl Run {
    fn of(
        tally: &Tally,
        arrivals: &Arrivals,
        (process, postgres): (Option<Duration>, Option<Duration>),
        (process_then, postgres_then): (Option<Duration>, Option<Duration>),
    ) -> Self {
        let accepted = tally.accepted_in_all;
        let each = |before: Option<Duration>, after: Option<Duration>| {
            micros_per_order(after?.saturating_sub(before?), accepted)
        };
        let last = arrivals.last_after();
        Self {
            orders: arrivals.latencies.len(),
            accepted,
            missed: tally.missed,
            not_accepted: tally.errors() + tally.refusals.len(),
            mails: arrivals.mails,
            backlog: accepted.saturating_sub(arrivals.in_time),
            last_mail_after_ms: last.as_secs_f64() * 1_000.0,
            kept_up: last <= KEPT_UP && tally.missed == 0,
            min_ms: millis_of(arrivals.latencies.min()),
            latencies: Latencies::of(&arrivals.latencies),
            process_micros: each(process, process_then),
            postgres_micros: each(postgres, postgres_then),
            cost_of_an_order: None,
        }
    }
}

fn millis_of(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1_000.0
}

impl Figures {
    fn of(per_second: f64, runs: Vec<Run>) -> Self {
        let median = |of: fn(&Run) -> f64| Spread::of(runs.iter().map(of)).map_or(0.0, |spread| spread.median);
        Self {
            bench: "end-to-end",
            orders: runs.iter().map(|run| run.orders).min().unwrap_or_default(),
            per_second,
            min_ms: median(|run| run.min_ms),
            latencies: Latencies::median(&runs.iter().map(|run| run.latencies).collect::<Vec<_>>()),
            last_mail_after_ms: median(|run| run.last_mail_after_ms),
            kept_up: runs.iter().all(|run| run.kept_up),
            runs,
        }
    }
}

//! `ordo bench end-to-end`: posts orders at a steady rate and times each until its mail is in the inbox.
//!
//! The inbox's clock is compared with this process's: both must be on one machine.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::args::EndToEnd;
use super::figures::Spread;
use super::orders::Orders;
use super::progress::Progress;
use super::server::Server;
use crate::client::Client;
use crate::output;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Without a number of orders or a time.
const ORDERS: usize = 100;

/// What was measured: milliseconds from the moment an order is posted to the moment the inbox has its mail. With several runs, of
/// each figure its median.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    orders: usize,
    per_second: f64,
    min_ms: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    orders: usize,
    min_ms: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// Where orders are posted and mails arrive.
struct Platform {
    client: Client,
    api: String,
    inbox: String,
}

/// Measures, and says what was measured.
pub(super) async fn run(args: &EndToEnd) -> anyhow::Result<()> {
    let orders = orders(args)?;
    let progress = Progress::start();
    progress.say("starting");
    let server = match &args.api {
        Some(_) => None,
        None => Some(Server::platform("all").await?),
    };
    let url = |given: &Option<String>, what: &str| {
        let url = given.clone().or_else(|| server.as_ref().map(|server| server.url(what))).unwrap_or_default();
        url.trim_end_matches('/').to_owned()
    };
    let platform =
        Platform { client: Client::new(PATIENCE), api: url(&args.api, "api"), inbox: url(&args.inbox, "inbox") };
    let mut runs = Vec::new();
    for nth in 1..=args.measuring.runs {
        progress.say(&format!("run {nth} of {}", args.measuring.runs));
        // At least one order opens connections and fills caches.
        let warm_up = whole(args.measuring.warm_up.as_secs_f64() * args.rate).max(1);
        platform.measure(args, warm_up).await?;
        runs.push(platform.measure(args, orders).await?);
    }
    progress.end();
    drop(server);
    say(args, Figures::of(orders, args.rate, runs))
}

fn say(args: &EndToEnd, figures: Figures) -> anyhow::Result<()> {
    if args.measuring.json {
        return Ok(output::line(&serde_json::to_string(&figures)?)?);
    }
    let Figures { orders, per_second, min_ms, p50_ms, p90_ms, p99_ms, max_ms, runs } = figures;
    let runs = runs.len();
    output::line(&format!("{orders} orders at {per_second} a second, from POST to mail; medians of {runs} runs:"))?;
    Ok(output::line(&format!(
        "min {min_ms:.1} ms  p50 {p50_ms:.1} ms  p90 {p90_ms:.1} ms  p99 {p99_ms:.1} ms  max {max_ms:.1} ms"
    ))?)
}

/// In each run. The inbox keeps a bounded number of mails, and all of them must be seen.
fn orders(args: &EndToEnd) -> anyhow::Result<usize> {
    let orders = match args.duration {
        Some(duration) => whole(duration.as_secs_f64() * args.rate).max(1),
        None => args.orders.unwrap_or(ORDERS),
    };
    let most = embedded::inbox::MESSAGES_KEPT;
    ensure!(
        orders <= most,
        "that would be {orders} orders, and the inbox keeps {most} mails: lower --rate or --duration"
    );
    Ok(orders)
}

fn whole(number: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of orders")]
    let whole = number.round() as usize;
    whole
}

impl Platform {
    async fn measure(&self, args: &EndToEnd, orders: usize) -> anyhow::Result<Run> {
        let posted = self.post_all(args, orders).await?;
        let arrived = self.wait_for_mails(args.timeout, &posted).await?;
        Ok(Run::of(&posted, &arrived))
    }

    /// Posts so many orders, each at its own time whether or not the one before has been answered, and says when each was.
    async fn post_all(&self, args: &EndToEnd, number: usize) -> anyhow::Result<HashMap<String, DateTime<Utc>>> {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / args.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut posts = JoinSet::new();
        let mut orders = Orders::new("", args.measuring.payload, false);
        for nth in (0..).take(number) {
            ticks.tick().await;
            let (client, url) = (self.client.clone(), format!("{}/orders", self.api));
            let order: Value = serde_json::from_slice(orders.order(nth))?;
            let order_id = orders.order_id(nth);
            posts.spawn(async move {
                let at = Utc::now();
                let (status, answer) = client.post(&url, &order).await?;
                ensure!(status == StatusCode::CREATED, "{url} answered {status}: {answer}");
                Ok((order_id, at))
            });
        }
        posts.join_all().await.into_iter().collect()
    }

    /// When the mail of each order came.
    async fn wait_for_mails(
        &self,
        timeout: Duration,
        posted: &HashMap<String, DateTime<Utc>>,
    ) -> anyhow::Result<HashMap<String, DateTime<Utc>>> {
        let url = format!("{}/messages?brief=true", self.inbox);
        let until = Instant::now() + timeout;
        loop {
            let (status, mails) = self.client.get(&url).await?;
            ensure!(status.is_success(), "{url} answered {status}");
            let mails = mails.as_array().context("the inbox does not answer with a list of mails")?;
            let arrived: HashMap<String, DateTime<Utc>> =
                mails.iter().filter_map(mail).filter(|(order_id, _)| posted.contains_key(order_id)).collect();
            if arrived.len() == posted.len() {
                return Ok(arrived);
            }
            if Instant::now() >= until {
                let missing = posted.len() - arrived.len();
                bail!("{missing} of {} mails did not come within {} s", posted.len(), timeout.as_secs_f64());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The order that a mail is about, by its subject, and when it came.
fn mail(mail: &Value) -> Option<(String, DateTime<Utc>)> {
    let order_id = mail["subject"].as_str()?.strip_prefix("Order ")?.strip_suffix(" confirmed")?;
    Some((order_id.to_owned(), mail["receivedAt"].as_str()?.parse().ok()?))
}

impl Run {
    fn of(posted: &HashMap<String, DateTime<Utc>>, arrived: &HashMap<String, DateTime<Utc>>) -> Self {
        let took = |(order_id, at): (&String, &DateTime<Utc>)| {
            let micros = arrived.get(order_id)?.signed_duration_since(at).num_microseconds()?;
            Some(Duration::from_micros(micros.max(0).unsigned_abs()).as_secs_f64() * 1_000.0)
        };
        let mut took: Vec<f64> = posted.iter().filter_map(took).collect();
        took.sort_by(f64::total_cmp);
        // The smallest value that so many hundredths of all are not above.
        let percentile = |hundredths: usize| {
            let rank = (took.len() * hundredths).div_ceil(100).max(1);
            took.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            orders: took.len(),
            min_ms: took.first().copied().unwrap_or_default(),
            p50_ms: percentile(50),
            p90_ms: percentile(90),
            p99_ms: percentile(99),
            max_ms: took.last().copied().unwrap_or_default(),
        }
    }
}

impl Figures {
    fn of(orders: usize, per_second: f64, runs: Vec<Run>) -> Self {
        let median = |of: fn(&Run) -> f64| Spread::of(runs.iter().map(of)).map_or(0.0, |spread| spread.median);
        Self {
            orders,
            per_second,
            min_ms: median(|run| run.min_ms),
            p50_ms: median(|run| run.p50_ms),
            p90_ms: median(|run| run.p90_ms),
            p99_ms: median(|run| run.p99_ms),
            max_ms: median(|run| run.max_ms),
            runs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let start = DateTime::UNIX_EPOCH;
        let ids = || (1..=100).map(|n| format!("o-{n}"));
        let posted = ids().map(|id| (id, start)).collect();
        let arrived = ids().zip(1..).map(|(id, ms)| (id, start + chrono::Duration::milliseconds(ms))).collect();
        let figures = Run::of(&posted, &arrived);
        assert_eq!((figures.orders, figures.min_ms, figures.p50_ms), (100, 1.0, 50.0));
        assert_eq!((figures.p90_ms, figures.p99_ms, figures.max_ms), (90.0, 99.0, 100.0));
    }

    #[test]
    fn a_mail_is_known_by_its_subject() {
        let confirmed =
            serde_json::json!({ "subject": "Order a-1 confirmed", "receivedAt": "2026-01-02T03:04:05.678Z" });
        let (order_id, at) = mail(&confirmed).unwrap();
        assert_eq!((order_id.as_str(), at.timestamp_subsec_millis()), ("a-1", 678));
        assert_eq!(mail(&serde_json::json!({ "subject": "hello" })), None);
    }
}

//! `ordo bench`: how fast a running platform is.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use crate::client::Client;
use crate::{cli, demo, output};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was measured: milliseconds from the moment an order is posted to the moment the inbox has its mail.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    orders: usize,
    per_second: f64,
    min_ms: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// `ordo bench end-to-end`: posts orders at a steady rate and times each until its mail is in the inbox.
///
/// The inbox's clock is compared with this process's: both must be on one machine.
pub async fn end_to_end(args: &cli::EndToEnd) -> anyhow::Result<()> {
    let client = Client::new(PATIENCE);
    // One order that does not count opens connections and fills caches.
    let warm_up = post_all(&client, args, 1).await?;
    wait_for_mails(&client, args, &warm_up).await?;
    let posted = post_all(&client, args, args.orders).await?;
    let arrived = wait_for_mails(&client, args, &posted).await?;
    let figures = Figures::of(&posted, &arrived, args.per_second);
    if args.json {
        return Ok(output::line(&serde_json::to_string(&figures)?)?);
    }
    let Figures { orders, per_second, min_ms, p50_ms, p90_ms, p99_ms, max_ms } = figures;
    output::line(&format!("{orders} orders at {per_second} a second, from POST to mail:"))?;
    Ok(output::line(&format!(
        "min {min_ms:.1} ms  p50 {p50_ms:.1} ms  p90 {p90_ms:.1} ms  p99 {p99_ms:.1} ms  max {max_ms:.1} ms"
    ))?)
}

/// Posts so many orders, each at its own time whether or not the one before has been answered, and says when each was.
async fn post_all(
    client: &Client,
    args: &cli::EndToEnd,
    orders: usize,
) -> anyhow::Result<HashMap<String, DateTime<Utc>>> {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / args.per_second));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut posts = JoinSet::new();
    for _ in 0..orders {
        ticks.tick().await;
        let (client, url) = (client.clone(), format!("{}/orders", args.api.trim_end_matches('/')));
        posts.spawn(async move {
            let order_id = format!("bench-{}", Uuid::now_v7());
            let at = Utc::now();
            let (status, answer) = client.post(&url, &demo::demo_order(&order_id)).await?;
            ensure!(status == StatusCode::CREATED, "{url} answered {status}: {answer}");
            Ok((order_id, at))
        });
    }
    posts.join_all().await.into_iter().collect()
}

/// When the mail of each order came.
async fn wait_for_mails(
    client: &Client,
    args: &cli::EndToEnd,
    posted: &HashMap<String, DateTime<Utc>>,
) -> anyhow::Result<HashMap<String, DateTime<Utc>>> {
    let url = format!("{}/messages?brief=true", args.inbox.trim_end_matches('/'));
    let until = Instant::now() + Duration::from_secs(args.timeout);
    loop {
        let (status, mails) = client.get(&url).await?;
        ensure!(status.is_success(), "{url} answered {status}");
        let mails = mails.as_array().context("the inbox does not answer with a list of mails")?;
        let arrived: HashMap<String, DateTime<Utc>> =
            mails.iter().filter_map(mail).filter(|(order_id, _)| posted.contains_key(order_id)).collect();
        if arrived.len() == posted.len() {
            return Ok(arrived);
        }
        if Instant::now() >= until {
            bail!("{} of {} mails did not come within {} s", posted.len() - arrived.len(), posted.len(), args.timeout);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The order that a mail is about, by its subject, and when it came.
fn mail(mail: &Value) -> Option<(String, DateTime<Utc>)> {
    let order_id = mail["subject"].as_str()?.strip_prefix("Order ")?.strip_suffix(" confirmed")?;
    Some((order_id.to_owned(), mail["receivedAt"].as_str()?.parse().ok()?))
}

impl Figures {
    fn of(posted: &HashMap<String, DateTime<Utc>>, arrived: &HashMap<String, DateTime<Utc>>, per_second: f64) -> Self {
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
            per_second,
            min_ms: took.first().copied().unwrap_or_default(),
            p50_ms: percentile(50),
            p90_ms: percentile(90),
            p99_ms: percentile(99),
            max_ms: took.last().copied().unwrap_or_default(),
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
        let figures = Figures::of(&posted, &arrived, 20.0);
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

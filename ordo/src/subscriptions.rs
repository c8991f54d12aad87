//! `ordo subscriptions`: how far they are, who works on them, and what they have parked.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use event_store::operations::{
    AppendLockHolder, ParkedEvent, ParkedStreamAction, PartitionAssignment, RequestCondition, StoppedSubscription,
    SubscriptionLag,
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::settings::Settings;
use crate::{connections, lag, migrate, output};

/// How long a request is waited for. A copy that runs does it at once.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Subcommand)]
pub(crate) enum SubscriptionsCommand {
    /// How far each is behind the log, who works on it, and who holds the log's tail, if someone does
    List {
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// The events that could not be handled, and those that wait behind them
    Parked {
        /// Only those of this subscription
        name: Option<String>,
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the parked events of a stream handled again
    Retry {
        /// The subscription
        name: String,
        /// The stream's id, such as the order's
        stream: String,
    },
    /// Forget the first parked event of a stream, which is never handled then, and have the others handled
    Skip {
        /// The subscription
        name: String,
        /// The stream's id, such as the order's
        stream: String,
    },
}

/// Does what was asked for, on the database in the settings.
pub(crate) async fn run(settings: &Settings, command: &SubscriptionsCommand) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    match command {
        SubscriptionsCommand::List { json } => list(&pool, *json).await,
        SubscriptionsCommand::Parked { name, json } => parked(&pool, name.as_deref(), *json).await,
        SubscriptionsCommand::Retry { name, stream } => ask(&pool, name, stream, ParkedStreamAction::Retry).await,
        SubscriptionsCommand::Skip { name, stream } => ask(&pool, name, stream, ParkedStreamAction::Skip).await,
    }
}

async fn list(pool: &PgPool, json: bool) -> anyhow::Result<()> {
    let (subscriptions, holders) =
        (event_store::operations::lag(pool).await?, event_store::operations::lease_holders(pool).await?);
    let behind = lag::of_orders(pool, &subscriptions).await?;
    let (stops, tail) = (
        event_store::operations::stopped_subscriptions(pool).await?,
        event_store::operations::append_lock_holder(pool).await?,
    );
    let stops_of = |name: &str| stops.iter().filter(|stop| stop.subscription == name).collect::<Vec<_>>();
    let of = |name: &str| holders.iter().filter(|holder| holder.subscription == name).collect::<Vec<_>>();
    if json {
        let subscriptions: Vec<_> =
            subscriptions.iter().map(|lag| lag_json(lag, &of(&lag.name), &stops_of(&lag.name))).collect();
        let tail = tail.as_ref().map(tail_json);
        let answer = json!({ "subscriptions": subscriptions, "ordersBehindSeconds": behind, "tail": tail });
        return Ok(output::line(&answer.to_string())?);
    }
    for lag in &subscriptions {
        output::line(&lag_text(lag))?;
        for stop in stops_of(&lag.name) {
            output::line(&format!("  {}", stop_text(stop)))?;
        }
        for holder in of(&lag.name) {
            output::line(&format!("  {}", holder_text(holder)))?;
        }
    }
    if let Some(tail) = &tail {
        output::line(&tail_text(tail))?;
    }
    Ok(output::line(&format!("orders have been waiting for the sagas, or for their mails, for {behind:.1} s"))?)
}

async fn parked(pool: &PgPool, name: Option<&str>, json: bool) -> anyhow::Result<()> {
    if let Some(name) = name {
        event_store::operations::ensure_subscription_exists(pool, name).await?;
    }
    let parked = event_store::operations::parked_events(pool, name).await?;
    if json {
        let events: Vec<_> = parked.iter().map(parked_json).collect();
        return Ok(output::line(&json!({ "parked": events }).to_string())?);
    }
    for event in &parked {
        output::line(&parked_text(event))?;
    }
    Ok(())
}

async fn ask(pool: &PgPool, name: &str, stream: &str, request: ParkedStreamAction) -> anyhow::Result<()> {
    event_store::operations::request_parked(pool, name, stream, request, RequestCondition::Always).await?;
    let (asked, what) = (tokio::time::Instant::now(), request.as_str());
    loop {
        let parked = event_store::operations::parked_events(pool, Some(name)).await?;
        let parked: Vec<_> = parked.iter().filter(|event| event.stream_id == stream).collect();
        let Some(first) = parked.first() else {
            return Ok(output::line(&format!("{stream} goes on: {name} has nothing of it parked any more"))?);
        };
        if parked.iter().all(|event| event.request.is_none()) {
            let why = first.error.as_deref().unwrap_or("something later in the stream failed");
            bail!("{stream} stays parked at position {}, {}: {why}", first.position, first.event_type);
        }
        if asked.elapsed() > PATIENCE {
            let later = format!("{what} is noted; no copy of {name} has done it yet: it is done once one runs");
            return Ok(output::line(&later)?);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn lag_text(lag: &SubscriptionLag) -> String {
    let SubscriptionLag { name, position, head, lag_events, lag_seconds, parked } = lag;
    format!("{name}  at {position} of {head}, {lag_events} events and {lag_seconds:.1} s behind, {parked} parked")
}

fn lag_json(lag: &SubscriptionLag, holders: &[&PartitionAssignment], stops: &[&StoppedSubscription]) -> Value {
    json!({
        "name": lag.name,
        "position": lag.position,
        "head": lag.head,
        "lagEvents": lag.lag_events,
        "lagSeconds": lag.lag_seconds,
        "parked": lag.parked,
        "stops": stops.iter().map(|stop| stop_json(stop)).collect::<Vec<_>>(),
        "owners": holders.iter().map(|holder| json!({
            "owner": holder.owner,
            "alive": holder.alive,
            "rebuild": holder.exclusive,
            "partitions": holder.partitions,
        })).collect::<Vec<_>>(),
    })
}

fn stop_text(stop: &StoppedSubscription) -> String {
    let StoppedSubscription { waits_from, error, since, .. } = stop;
    let since = instant(*since);
    format!("stopped before position {waits_from} since {since}, until a build runs that knows the event: {error}")
}

fn stop_json(stop: &StoppedSubscription) -> Value {
    json!({
        "partition": stop.partition,
        "waitsFrom": stop.waits_from,
        "position": stop.position,
        "streamId": stop.stream_id,
        "eventType": stop.event_type,
        "eventVersion": stop.event_version,
        "error": stop.error,
        "since": instant(stop.since),
        "triedAt": instant(stop.tried_at),
    })
}

fn holder_text(holder: &PartitionAssignment) -> String {
    let partitions = ranges(&holder.partitions);
    match holder.owner {
        None => format!("nobody has partitions {partitions}"),
        Some(owner) if !holder.alive => format!("copy {owner} had partitions {partitions} until its lease ran out"),
        Some(owner) if holder.exclusive => format!("rebuild {owner} has partitions {partitions}"),
        Some(owner) => format!("copy {owner} has partitions {partitions}"),
    }
}

/// `0-3,7`
fn ranges(partitions: &[i16]) -> String {
    let all: BTreeSet<i16> = partitions.iter().copied().collect();
    let mut ranges: Vec<(i16, i16)> = Vec::new();
    for partition in all {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == partition => *last = partition,
            Some(_) | None => ranges.push((partition, partition)),
        }
    }
    let text = |(first, last): &(i16, i16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

fn tail_text(tail: &AppendLockHolder) -> String {
    let AppendLockHolder { pid, application, state, since, held_seconds, query } = tail;
    let since = instant(*since);
    format!(
        "the log's tail is held by process {pid} ({application}), {state} since {since}, {held_seconds:.1} s: {query}"
    )
}

fn tail_json(tail: &AppendLockHolder) -> Value {
    json!({
        "pid": tail.pid,
        "application": tail.application,
        "state": tail.state,
        "since": instant(tail.since),
        "heldSeconds": tail.held_seconds,
        "query": tail.query,
    })
}

fn parked_text(event: &ParkedEvent) -> String {
    let ParkedEvent { subscription, stream_id, position, version, event_type, attempts, .. } = event;
    let why = event.error.as_ref().map_or_else(
        || "waits behind it".to_owned(),
        |error| format!("tried {attempts} times since {}: {error}", instant(event.parked_at)),
    );
    let asked = event.request.as_ref().map_or_else(String::new, |request| format!(" ({request} is asked for)"));
    format!("{subscription}  {stream_id}  {event_type}, version {version} at position {position}, {why}{asked}")
}

fn parked_json(event: &ParkedEvent) -> Value {
    json!({
        "subscription": event.subscription,
        "streamType": event.stream_type,
        "streamId": event.stream_id,
        "position": event.position,
        "version": event.version,
        "eventType": event.event_type,
        "error": event.error,
        "attempts": event.attempts,
        "parkedAt": instant(event.parked_at),
        "request": event.request,
    })
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_shown_as_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 7, 9, 10]), "0-2,7,9-10");
        assert_eq!(ranges(&[]), "");
    }
}

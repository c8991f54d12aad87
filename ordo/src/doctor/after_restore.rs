//! What is to be done after the database was put back to an earlier moment. What is in it agrees with itself; the world outside has seen
//! more.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use event_store::operations::lease_holders;
use sqlx::PgPool;

use super::report::Findings;
use super::{found, scalar};
use crate::settings::{PaymentProvider, ReadModelStoreKind, Settings};
use crate::{connections, migrate};

/// How far positions are moved at the most. A restore loses less, and a mistake must not use up the positions that there are.
const FARTHEST: i64 = 1_000_000_000;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AfterRestoreArgs {
    /// A position that no event can have had before the restore: the last one known, and some more for the time since
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(i64).range(1..))]
    seen_position: i64,
}

/// Changes nothing while a process is at work on the database.
pub(super) async fn check(settings: &Settings, args: &AfterRestoreArgs, findings: &mut Findings) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    let at_work = at_work(settings, &pool).await.context("it can't be told whether a process is at work")?;
    if !at_work.is_empty() {
        let seen = format!("somebody follows the log: {}", at_work.join(", "));
        findings.problem("processes", &seen, "stop all processes first, and ask again");
        return Ok(());
    }
    findings.ok("processes", "nobody follows the log");
    let moment = moment(&pool, findings).await;
    positions(&pool, args.seen_position, findings).await;
    numbers(settings, &pool, findings).await;
    match settings.read_models {
        ReadModelStoreKind::Postgres => findings.ok("read-models", "they went back together with the log"),
        ReadModelStoreKind::Dynamodb => findings.problem(
            "read-models",
            "those in DynamoDB did not go back",
            "run `ordo replay --all` before anything else is started",
        ),
    }
    match settings.payment.provider {
        Some(PaymentProvider::Sandbox) => {
            findings.ok("payments", "the books of the sandbox went back together with the log");
        }
        Some(PaymentProvider::Stripe) | None => findings.warning(
            "payments",
            &format!("the provider has payments of orders that came after {moment}"),
            "look there for what no order knows, and give it back",
        ),
    }
    told(&pool, &moment, findings).await;
    pool.close().await;
    Ok(())
}

/// The subscriptions that processes follow. A lease that came back with the database runs out; one of a process is renewed.
async fn at_work(settings: &Settings, pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    let until = Instant::now() + settings.lease + Duration::from_secs(1);
    loop {
        let holders = lease_holders(pool).await?;
        let mut held: Vec<String> =
            holders.into_iter().filter(|holder| holder.alive).map(|holder| holder.subscription).collect();
        held.sort_unstable();
        held.dedup();
        if held.is_empty() || Instant::now() >= until {
            return Ok(held);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The last event that is left.
async fn moment(pool: &PgPool, findings: &mut Findings) -> String {
    let last = "select global_position, recorded_at from events order by global_position desc limit 1";
    let last = sqlx::query_as::<_, (i64, DateTime<Utc>)>(last).fetch_optional(pool);
    match found(findings, "moment", last).await {
        Some(Some((position, at))) => {
            findings.ok("moment", format!("the log ends at position {position}, of {}", at.to_rfc3339()));
            at.to_rfc3339()
        }
        Some(None) => {
            findings.warning("moment", "the log has no events", "see that this is the database that was meant");
            "the restore".to_owned()
        }
        None => "the restore".to_owned(),
    }
}

/// New events get positions that nobody has seen: whoever follows the log from outside takes none of them for an earlier one.
async fn positions(pool: &PgPool, seen: i64, findings: &mut Findings) {
    let last = "select last_value from events_global_position";
    let Some(last) = found(findings, "positions", scalar::<i64>(pool, last)).await else { return };
    if seen.saturating_sub(last) > FARTHEST {
        let said = format!("--seen-position {seen} is more than {FARTHEST} behind the last position, {last}");
        findings.problem("positions", &said, "name one that was really near: positions can't be moved back");
        return;
    }
    let moved = async {
        let mut transaction = pool.begin().await?;
        // Nobody draws a position meanwhile.
        sqlx::query("lock table events in share row exclusive mode").execute(&mut *transaction).await?;
        let next = "select setval('events_global_position', greatest(last_value, $1)) from events_global_position";
        let last: i64 = sqlx::query_scalar(next).bind(seen).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(last)
    };
    if let Some(last) = found(findings, "positions", moved).await {
        findings.ok("positions", format!("the next event is behind position {last}"));
    }
}

/// Numbers that went out would be given again.
async fn numbers(settings: &Settings, pool: &PgPool, findings: &mut Findings) {
    let given = "select exists (select from events where aggregate_type = 'order_number_series'),
                        exists (select from events where aggregate_type = 'document_series')";
    let given = sqlx::query_as::<_, (bool, bool)>(given).fetch_one(pool);
    let Some((orders, documents)) = found(findings, "order-numbers", given).await else { return };
    if orders || settings.order_numbers.is_some() {
        let advice = "set ORDO_ORDER_NUMBERS to a format that was not there before, such as B-{year} after A-{year}";
        findings.warning("order-numbers", "numbers after that moment would be given again, to other orders", advice);
    } else {
        findings.ok("order-numbers", "orders have none");
    }
    if documents || settings.seller.is_some() {
        let advice = "give the seller other series before anything is started: see the how-to about invoices";
        findings.warning("invoices", "numbers after that moment would be given again", advice);
    } else {
        findings.ok("invoices", "there are none");
    }
}

/// Customers and other programs that were told of what is gone.
async fn told(pool: &PgPool, moment: &str, findings: &mut Findings) {
    let (seen, advice) = (
        format!("customers may have mails of after {moment}, and some go out again"),
        "nothing: they have the same X-Ordo-Notification-Id where what called for them is still there",
    );
    findings.warning("mails", &seen, advice);
    findings.warning(
        "queues",
        "messages may be about orders that are gone",
        "start, and discard the dead letters about such orders (`ordo dlq list`)",
    );
    let query = "select exists (select from webhook_endpoints where deleted_at is null)";
    if let Some(true) = found(findings, "followers", scalar::<bool>(pool, query)).await {
        let seen = format!("endpoints of webhooks were told of events after {moment}");
        findings.warning("followers", &seen, "tell whoever runs them the moment: what came after it is gone");
    } else {
        findings.ok(
            "followers",
            "there are no endpoints of webhooks; whoever follows the live stream or the queue of events is told by you",
        );
    }
}

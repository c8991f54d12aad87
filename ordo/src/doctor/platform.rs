//! What the platform has in its database: the schema, the followers of the log, and what waits for a person.

use error_chain::error_chain;
use event_store::operations::{lag, lease_holders, stopped_subscriptions};
use sqlx::PgPool;

use super::report::Findings;
use super::{found, scalar};
use crate::settings::{ReadModelStoreKind, Settings};
use crate::{connections, migrate};

/// What is checked here.
pub(super) const CHECKS: [&str; 6] = ["schema", "read-models", "subscriptions", "parked-events", "sagas", "mails"];

/// A follower of the log is late after so many seconds.
const LATE: f64 = 60.0;

pub(super) async fn check(settings: &Settings, pool: &PgPool, findings: &mut Findings) {
    if let Err(error) = migrate::check(pool).await {
        findings.problem("schema", &error_chain(&*error), "run `ordo migrate`");
        for check in CHECKS.into_iter().filter(|check| *check != "schema") {
            findings.not_checked(check, "the schema is not that of this build");
        }
        return;
    }
    findings.ok("schema", "it is that of this build");
    read_models(settings, pool, findings).await;
    subscriptions(pool, findings).await;
    waiting_for_people(pool, findings).await;
}

async fn read_models(settings: &Settings, pool: &PgPool, findings: &mut Findings) {
    let place = match settings.read_models {
        ReadModelStoreKind::Postgres => "Postgres",
        ReadModelStoreKind::Dynamodb => "DynamoDB",
    };
    let checked = async {
        let store = connections::read_models(settings, pool).await?;
        migrate::check_read_models(pool, &*store).await
    };
    match checked.await {
        Ok(()) => findings.ok("read-models", format!("all are there, in {place}")),
        Err(error) => findings.problem(
            "read-models",
            &error_chain(&*error),
            "run `ordo migrate`, or `ordo replay` where it says so",
        ),
    }
}

async fn subscriptions(pool: &PgPool, findings: &mut Findings) {
    let Some(stopped) = found(findings, "subscriptions", stopped_subscriptions(pool)).await else { return };
    let Some(late) = found(findings, "subscriptions", lag(pool)).await else { return };
    let Some(holders) = found(findings, "subscriptions", lease_holders(pool)).await else { return };
    let alive = |name: &str| holders.iter().any(|holder| holder.subscription == name && holder.alive);
    let is_stopped = |name: &str| stopped.iter().any(|stopped| stopped.subscription == name);
    let stops: Vec<String> = stopped
        .iter()
        .map(|it| {
            format!("{} stops at position {}, {} {}", it.subscription, it.position, it.event_type, it.event_version)
        })
        .collect();
    let behind: Vec<String> = late
        .iter()
        .filter(|it| it.lag_seconds > LATE && !is_stopped(&it.name))
        .map(|it| {
            let nobody = if alive(&it.name) { "" } else { ", and no process follows it" };
            format!("{} is {:.0} s behind{nobody}", it.name, it.lag_seconds)
        })
        .collect();
    if !stops.is_empty() {
        findings.problem(
            "subscriptions",
            &stops.join("; "),
            "deploy the build that knows the event; see the how-to about changing an event",
        );
    } else if !behind.is_empty() {
        findings.problem("subscriptions", &behind.join("; "), "see that its role runs, and what its log says");
    } else {
        findings.ok("subscriptions", format!("{} follow the log", late.len()));
    }
    let parked: i64 = late.iter().map(|it| it.parked).sum();
    if parked == 0 {
        findings.ok("parked-events", "there are none");
    } else {
        findings.warning(
            "parked-events",
            &format!("{parked} wait"),
            "`ordo subscriptions parked` shows them; see the how-to about parked events",
        );
    }
}

async fn waiting_for_people(pool: &PgPool, findings: &mut Findings) {
    if let Some(stuck) =
        found(findings, "sagas", scalar::<i64>(pool, "select count(*) from saga_work where stuck")).await
    {
        if stuck == 0 {
            findings.ok("sagas", "none is stuck");
        } else {
            findings.warning(
                "sagas",
                &format!("{stuck} are stuck"),
                "`ordo saga list` shows them; see the how-to about stuck sagas",
            );
        }
    }
    let given_up = sagas::report::count_given_up(pool, sagas::report::GivenUpMailFilter::default());
    if let Some(given_up) = found(findings, "mails", given_up).await {
        let count: i64 = given_up.iter().map(|(_, count)| *count).sum();
        if count == 0 {
            findings.ok("mails", "none was given up");
        } else {
            findings.warning(
                "mails",
                &format!("{count} were given up"),
                "the console lists them with the stuck sagas: have them sent again, or let them be",
            );
        }
    }
}

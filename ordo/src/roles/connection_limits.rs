//! How many connections to the database the roles of a process need.

use anyhow::{Context, bail};
use sqlx::PgPool;

use crate::settings::{PlatformRole, Settings};

/// Checks that the pools are large enough for the roles, and that the database has as many connections.
pub(super) async fn check_connections(
    settings: &Settings,
    database: &PgPool,
    roles: &[PlatformRole],
) -> anyhow::Result<()> {
    /// The writer, and one to listen on.
    const STORE: u32 = 2;
    let needs = |role: &PlatformRole| match role {
        // Two locks on SKUs, and a look-up of an idempotency key.
        PlatformRole::CommandApi => 3,
        // A batch for each projection, the renewal of a lease, and a replay. Reads have other connections.
        PlatformRole::Projections => u32::try_from(projections::REGISTRY.len()).unwrap_or(u32::MAX) + 3,
        // A batch, which reads streams and locks SKUs, the timers, a reply, the renewal of a lease, and the sandbox's ledger.
        PlatformRole::Sagas => {
            let issuers = u32::from(settings.seller.is_some()) + u32::from(settings.order_numbers.is_some());
            9 + issuers * documents::CONNECTIONS
        }
        PlatformRole::Notification => u32::try_from(notification::CONNECTIONS).unwrap_or(u32::MAX),
        // What the commands of its forms need, and API keys; what it shows is read on the connections of reads.
        PlatformRole::Console => 4,
        PlatformRole::Webhooks => webhooks::CONNECTIONS + settings.publication.targets() * publication::CONNECTIONS,
    };
    let sealing = u32::from(super::sealing(settings, roles).is_some());
    let needed: u32 = STORE + sealing + roles.iter().map(needs).sum::<u32>();
    let given = settings.database_connections;
    if given < needed {
        bail!("ORDO_DATABASE_CONNECTIONS is {given}, but these roles need {needed}: raise it");
    }
    let reads_much = roles.iter().any(|role| matches!(role, PlatformRole::Projections | PlatformRole::Console));
    let reads = if reads_much { settings.read_connections } else { 0 };
    let most =
        "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int";
    let most: i32 =
        sqlx::query_scalar(most).fetch_one(database).await.context("the database's limits can't be read")?;
    if i64::from(given) + i64::from(reads) > i64::from(most) {
        bail!(
            "ORDO_DATABASE_CONNECTIONS is {given} and ORDO_READ_CONNECTIONS {reads}, but the database takes {most} at the \
             most: lower them, or raise its max_connections"
        );
    }
    Ok(())
}

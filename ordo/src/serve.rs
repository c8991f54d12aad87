//! `ordo serve`: roles on an existing database, queues and mail service.

use std::net::SocketAddr;

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::access::{self, AnonymousAccess};
use crate::connections::SharedClients;
use crate::roles::{Listeners, RunningRoles};
use crate::settings::{PlatformRole, Settings};
use crate::{database_rights, migrate, output, roles, shutdown, telemetry};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServeArgs {
    /// Which roles, separated by commas [default: ORDO_ROLES, all]
    #[arg(long, value_delimiter = ',', value_parser = role_names(), value_name = "ROLES")]
    pub(crate) roles: Vec<String>,
    /// Where the HTTP API listens; port 0: any free one [default: ORDO_LISTEN, 127.0.0.1:3000]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where the operate listener is [default: ORDO_OPS_LISTEN, 127.0.0.1:3001]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ops_listen: Option<SocketAddr>,
    /// Where the console is, with the role console; port 0: any free one [default: ORDO_CONSOLE_LISTEN, 127.0.0.1:8001]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) console_listen: Option<SocketAddr>,
    /// Ask everyone for a credential
    #[arg(long)]
    pub(crate) require_auth: bool,
    /// Let in everyone on this machine as an operator
    #[arg(long, conflicts_with = "require_auth")]
    pub(crate) allow_anonymous: bool,
    /// Say where the API is as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Start on a database that may lose acknowledged orders
    #[arg(long)]
    pub(crate) unsafe_durability: bool,
    /// Stop when standard input ends
    #[arg(long = "leashed", hide = true)]
    pub(crate) exit_on_stdin_close: bool,
}

/// Runs the roles in the settings until a signal stops them.
pub(crate) async fn run(settings: Settings, args: &ServeArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    if args.exit_on_stdin_close {
        shutdown::on_stdin_close(&stop);
    }
    // Listen first: a taken address is the cheapest mistake to find.
    let anonymous = AnonymousAccess::of_serve(&settings)?;
    let listeners = Listeners::bind(settings.listen, settings.ops_address(), settings.console_address())?;
    // A start may wait for ever. A stop must not.
    let starting = stop.run_until_cancelled(start(&settings, args, listeners, anonymous, stop.clone()));
    let Some(started) = starting.await else { return Ok(()) };
    let (connections, running) = started?;
    announce(&settings, args, anonymous, &running)?;
    let stopped = shutdown::within_bound(&stop, running.join()).await;
    shutdown::close(&connections).await;
    stopped
}

async fn start(
    settings: &Settings,
    args: &ServeArgs,
    listeners: Listeners,
    anonymous: AnonymousAccess,
    stop: CancellationToken,
) -> anyhow::Result<(SharedClients, RunningRoles)> {
    if settings.roles.iter().any(|role| matches!(role, PlatformRole::Sagas | PlatformRole::Notification)) {
        settings.message_keys()?;
    }
    let mut connections = SharedClients::open(settings).await?;
    // Without a provider, unpaid orders would be confirmed.
    anyhow::ensure!(
        settings.payment.provider.is_some() || !settings.roles.contains(&PlatformRole::Sagas),
        "ORDO_PAYMENT_PROVIDER is not set: say who takes payments, stripe or, for trials in which no money moves, sandbox"
    );
    connections.check_database(args.unsafe_durability).await?;
    migrate::check(&connections.database).await?;
    database_rights::warn_of_excess(&connections.database, &settings.roles)
        .await
        .context("cannot look at the rights of the database's user")?;
    if settings.roles.iter().any(|role| matches!(role, PlatformRole::Projections | PlatformRole::Console)) {
        migrate::check_read_models(&connections.database, &*connections.read_models).await?;
    }
    let running = roles::start(settings, &connections, &settings.roles, listeners, anonymous, stop).await?;
    Ok((connections, running))
}

#[derive(Serialize)]
struct ReadyAnnouncement {
    ready: bool,
    api: String,
    ops: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    console: Option<String>,
    roles: Vec<&'static str>,
}

fn announce(
    settings: &Settings,
    args: &ServeArgs,
    anonymous: AnonymousAccess,
    running: &RunningRoles,
) -> anyhow::Result<()> {
    if anonymous == AnonymousAccess::Operator {
        tracing::warn!("{}", access::EVERYONE_IS_LET_IN);
    }
    if let Some(risk) = access::shared_secret_risk(settings) {
        tracing::warn!("{risk}");
    }
    if !args.json {
        // The log has it already.
        let for_people = !telemetry::is_for_machines(settings);
        for (name, url) in running.listens_at().into_iter().filter(|_| for_people) {
            output::line(&format!("{name:<7}  {url}"))?;
        }
        return Ok(());
    }
    let (api, ops, console) = (running.url(), running.ops_url(), running.console_url());
    let roles = settings.roles.iter().map(|role| role.as_str()).collect();
    Ok(output::line(&serde_json::to_string(&ReadyAnnouncement { ready: true, api, ops, console, roles })?)?)
}

fn role_names() -> PossibleValuesParser {
    PossibleValuesParser::new(PlatformRole::ALL.map(PlatformRole::as_str).into_iter().chain(["all"]))
}

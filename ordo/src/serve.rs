//! `ordo serve`: roles against a database, queues and a mail service that are there already.

use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connections::Connections;
use crate::roles::RunningRoles;
use crate::settings::{Role, Settings};
use crate::{cli, http, migrate, output, roles, shutdown};

/// Runs the roles in the settings until a signal stops them.
pub async fn run(settings: Settings, args: &cli::Serve) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    if args.leashed {
        shutdown::when_input_ends(&stop);
    }
    // First, because it is the mistake that costs least to find.
    let listener = http::bind(settings.listen, "--listen")?;
    // What a start waits for may never answer: a stop does not wait with it.
    let starting = stop.run_until_cancelled(start(&settings, args, listener, stop.clone()));
    let Some(started) = starting.await else { return Ok(()) };
    let (connections, running) = started?;
    announce(&settings, args, &running)?;
    let stopped = shutdown::within_bound(&stop, running.join()).await;
    shutdown::close(&connections).await;
    stopped
}

async fn start(
    settings: &Settings,
    args: &cli::Serve,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<(Connections, RunningRoles)> {
    let mut connections = Connections::open(settings).await?;
    // Orders that nobody pays for would be confirmed.
    anyhow::ensure!(
        settings.payment.provider.is_some() || !settings.roles.contains(&Role::Sagas),
        "ORDO_PAYMENT_PROVIDER is not set: say who takes payments, stripe or, for trials in which no money moves, sandbox"
    );
    connections.check_database(args.unsafe_durability).await?;
    migrate::check(&connections.database).await?;
    if settings.roles.contains(&Role::Projections) {
        migrate::check_read_models(&connections.database, &*connections.read_models).await?;
    }
    let running = roles::start(settings, &connections, &settings.roles, listener, stop).await?;
    Ok((connections, running))
}

/// Where the roles answer, once they do.
#[derive(Serialize)]
struct Announcement {
    ready: bool,
    api: String,
    roles: Vec<&'static str>,
}

fn announce(settings: &Settings, args: &cli::Serve, running: &RunningRoles) -> anyhow::Result<()> {
    let api = running.url();
    if !args.json {
        return Ok(output::line(&format!("api  {api}"))?);
    }
    let roles = settings.roles.iter().map(|role| role.as_str()).collect();
    Ok(output::line(&serde_json::to_string(&Announcement { ready: true, api, roles })?)?)
}

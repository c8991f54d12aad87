//! `ordo up`: the whole platform on one machine, with whatever the settings do not name brought along.
//!
//! Everything is started in the order it is needed and stopped in reverse: the roles drain first, then the queues and the inbox
//! end, then the database.

use std::pin::pin;

use anyhow::anyhow;
use embedded::inbox::Inbox;
use embedded::postgres::{Options, Postgres};
use embedded::sqs::Sqs;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connections::Connections;
use crate::roles::RunningRoles;
use crate::settings::{DatabaseUrl, PaymentProvider, Settings};
use crate::{cli, http, migrate, output, roles, shutdown};

/// Runs the platform until a signal stops it.
pub async fn run(mut settings: Settings, args: cli::Up) -> anyhow::Result<()> {
    // It needs nothing, and says so once the roles start.
    settings.payment.provider.get_or_insert(PaymentProvider::Sandbox);
    let stop = shutdown::on_signal()?;
    if args.leashed {
        shutdown::when_input_ends(&stop);
    }
    // Every address first: a taken one is the likeliest mistake and must not cost a database start.
    let listener = http::bind(settings.listen, "--listen")?;
    let Some(mut brought) = Brought::start(&mut settings, &args, &stop).await? else { return Ok(()) };
    let outcome = run_roles(&settings, &args, &mut brought, listener, stop).await;
    brought.stop().await;
    outcome
}

/// `ordo inbox`: the mail inbox alone.
pub async fn inbox(args: &cli::Inbox) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let inbox = Inbox::start(args.listen).await.map_err(|error| http::choose_another(&error, "--listen"))?;
    output::line(&format!("inbox  {}", inbox.url()))?;
    stop.cancelled().await;
    inbox.stop().await;
    Ok(())
}

async fn run_roles(
    settings: &Settings,
    args: &cli::Up,
    brought: &mut Brought,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    // What a start waits for may never answer: a stop does not wait with it.
    let starting = stop.run_until_cancelled(start_roles(settings, args, listener, stop.clone()));
    let Some(started) = starting.await else { return Ok(()) };
    let (connections, running) = started?;
    announce(settings, args, brought, &running)?;
    let mut roles = pin!(shutdown::within_bound(&stop, running.join()));
    let outcome = tokio::select! {
        ended = &mut roles => ended,
        lost = brought.database_lost() => {
            let asked = stop.is_cancelled();
            stop.cancel();
            let ended = roles.await;
            // Whoever stops everything on this machine may have come to the database before us.
            if asked { ended } else { Err(lost) }
        }
    };
    shutdown::close(&connections).await;
    outcome
}

async fn start_roles(
    settings: &Settings,
    args: &cli::Up,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<(Connections, RunningRoles)> {
    let mut connections = Connections::open(settings).await?;
    connections.check_database(args.unsafe_durability).await?;
    for read_model in migrate::schema(&connections.database, &*connections.read_models).await? {
        tracing::warn!("{}", migrate::to_be_built(read_model));
    }
    migrate::queues(&connections.sqs, settings).await?;
    let running = roles::start(settings, &connections, &settings.roles, listener, stop).await?;
    Ok((connections, running))
}

/// Where everything is, once all of it is ready.
#[derive(Serialize)]
struct Addresses {
    ready: bool,
    api: String,
    /// Where mails can be read; `None` where they go to somebody else's mail service.
    inbox: Option<String>,
    /// `None`: AWS's own.
    sqs: Option<String>,
    database: Option<String>,
}

fn announce(settings: &Settings, args: &cli::Up, brought: &Brought, running: &RunningRoles) -> anyhow::Result<()> {
    let addresses = Addresses {
        ready: true,
        api: running.url(),
        inbox: brought.inbox.as_ref().map(Inbox::url),
        sqs: settings.aws.sqs_endpoint.clone(),
        database: settings.database_url.as_ref().map(ToString::to_string),
    };
    if args.json {
        return Ok(output::line(&serde_json::to_string(&addresses)?)?);
    }
    let aws = "AWS".to_owned();
    output::line(&format!("api       {}", addresses.api))?;
    output::line(&format!(
        "inbox     {}",
        addresses.inbox.or(settings.aws.ses_endpoint.clone()).as_ref().unwrap_or(&aws)
    ))?;
    output::line(&format!("sqs       {}", addresses.sqs.as_ref().unwrap_or(&aws)))?;
    output::line(&format!("database  {}", addresses.database.unwrap_or_default()))?;
    Ok(output::line("ready; `ordo demo` shows an order's journey, Ctrl-C stops the platform")?)
}

/// What the settings did not name, and so was started here.
#[derive(Default)]
struct Brought {
    sqs: Option<Sqs>,
    inbox: Option<Inbox>,
    postgres: Option<Postgres>,
}

impl Brought {
    /// Starts what is missing and enters it into the settings. `None` if it was stopped before it was done.
    async fn start(settings: &mut Settings, args: &cli::Up, stop: &CancellationToken) -> anyhow::Result<Option<Self>> {
        let mut brought = Self::default();
        if settings.aws.sqs_endpoint.is_none() {
            let sqs =
                Sqs::start(args.sqs_listen).await.map_err(|error| http::choose_another(&error, "--sqs-listen"))?;
            settings.aws.sqs_endpoint = Some(sqs.url());
            brought.sqs = Some(sqs);
        }
        if settings.aws.ses_endpoint.is_none() {
            let inbox =
                Inbox::start(args.ses_listen).await.map_err(|error| http::choose_another(&error, "--ses-listen"))?;
            settings.aws.ses_endpoint = Some(inbox.url());
            brought.inbox = Some(inbox);
        }
        if settings.database_url.is_none() {
            let options = Options { data_dir: args.data_dir.clone(), ephemeral: args.ephemeral };
            // Dropped half-way, it takes its server with it.
            let postgres = tokio::select! {
                started = Postgres::start(options) => started?,
                () = stop.cancelled() => return Ok(None),
            };
            settings.database_url = DatabaseUrl::parse(&postgres.url());
            brought.postgres = Some(postgres);
        }
        Ok(Some(brought))
    }

    /// Waits until a database that was started here has ended, which nobody asked it to.
    async fn database_lost(&mut self) -> anyhow::Error {
        let Some(postgres) = &mut self.postgres else { return std::future::pending().await };
        postgres.ended().await;
        match postgres.log() {
            Some(log) => anyhow!("the database ended by itself; its log is {}", log.display()),
            None => anyhow!("the database ended by itself; its log went with it, as all of --ephemeral does"),
        }
    }

    async fn stop(self) {
        let stopping = async {
            if let Some(sqs) = self.sqs {
                sqs.stop().await;
            }
            if let Some(inbox) = self.inbox {
                inbox.stop().await;
            }
            if let Some(postgres) = self.postgres {
                postgres.stop().await;
            }
        };
        // What is dropped unfinished is stopped without us; the database recovers at its next start.
        if tokio::time::timeout(shutdown::BROUGHT, stopping).await.is_err() {
            tracing::warn!("the database is taking long to stop and goes on without us");
        }
    }
}

//! `ordo up`: the whole platform on one machine, with whatever the settings do not name brought along.
//!
//! A setting that names what this very platform had last, as one that was exported then does, names nothing else: that is
//! brought along again.
//!
//! Everything is started in the order it is needed and stopped in reverse: the roles drain first, then the queues and the inbox
//! end, then the database.

use std::pin::pin;
use std::time::Duration;

use anyhow::{bail, ensure};
use embedded::inbox::Inbox;
use embedded::loopback::OWNER;
use embedded::postgres::{Options, Postgres};
use embedded::sqs::Sqs;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connections::Connections;
use crate::roles::RunningRoles;
use crate::running::{DataDir, Place, Taken, is_free};
use crate::settings::{DatabaseUrl, Loaded, PaymentProvider, Settings, Source};
use crate::{cli, client, http, migrate, output, roles, shutdown};

/// Runs the platform until a signal stops it.
pub async fn run(loaded: Loaded, mut args: cli::Up, dir: &DataDir) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    if args.leashed {
        shutdown::when_input_ends(&stop);
    }
    say_what_is_set(&loaded, &args)?;
    let mut taken = Taken::of(&dir.path, args.ephemeral)?;
    args.sqs_listen = taken.address(args.sqs_listen, |place| place.sqs.as_deref());
    args.ses_listen = taken.address(args.ses_listen, |place| place.inbox.as_deref());
    let named = loaded.settings.database_url.clone();
    let queues_from = ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"].map(|name| (name, loaded.source_of(name)));
    let mut settings = without_our_own(loaded, &args, dir)?;
    // It needs nothing, and says so once the roles start.
    settings.payment.provider.get_or_insert(PaymentProvider::Sandbox);
    let moved =
        |settings: &Settings| named.zip(settings.database_url.clone()).is_some_and(|(named, is)| !named.is_at(&is));
    // Every address first: a taken one is the likeliest mistake and must not cost a database start.
    let listener = http::bind(taken.address(settings.listen, |place| Some(&place.api)), "--listen")?;
    if settings.database_url.is_none() {
        refuse_anothers_queues(&settings, &queues_from).await?;
    }
    let Some(mut brought) = Brought::start(&mut settings, &args, dir, &stop).await? else { return Ok(()) };
    if brought.postgres.is_some() && !args.ephemeral && moved(&settings) {
        brought.stop().await;
        bail!(
            "another process has the port in DATABASE_URL by now: unset it, and commands find this database by themselves"
        );
    }
    let outcome = run_roles(&settings, &args, &mut brought, &mut taken, listener, stop).await;
    brought.stop().await;
    outcome
}

/// What was set by somebody, before it has any effect: an export of last week is easily forgotten.
fn say_what_is_set(loaded: &Loaded, args: &cli::Up) -> anyhow::Result<()> {
    for entry in &loaded.entries {
        let (Source::Environment | Source::File, Some(value)) = (entry.source, &entry.value) else { continue };
        if args.json {
            tracing::info!(setting = entry.name, value, source = %entry.source, "a setting that is not the default");
        } else {
            output::line(&format!("{} = {value} ({})", entry.name, entry.source))?;
        }
    }
    Ok(())
}

/// The settings but for addresses at which this platform itself would be. Refuses another database beside the one that
/// `--data-dir` names.
fn without_our_own(loaded: Loaded, args: &cli::Up, dir: &DataDir) -> anyhow::Result<Settings> {
    let source = loaded.source_of("DATABASE_URL");
    let mut settings = loaded.settings;
    let own = Postgres::url_kept_in(&dir.path).and_then(|url| DatabaseUrl::parse(&url));
    let ours = |named: &DatabaseUrl| own.as_ref().is_some_and(|own| named.is_at(own));
    settings.database_url = settings.database_url.filter(|named| !ours(named));
    ensure!(
        settings.database_url.is_none() || !dir.named || args.ephemeral,
        "DATABASE_URL ({source}) names another database than {} has: unset it, or leave --data-dir out",
        dir.path.display()
    );
    let own = [args.sqs_listen, args.ses_listen].map(|address| (http::reachable(address), is_free(address)));
    let ours = |url: &String| own.iter().any(|(address, free)| *free && *url == format!("http://{address}"));
    settings.aws.sqs_endpoint = settings.aws.sqs_endpoint.filter(|url| !ours(url));
    settings.aws.ses_endpoint = settings.aws.ses_endpoint.filter(|url| !ours(url));
    Ok(settings)
}

/// Refuses the queues that another platform brought along for itself, for a database of our own: half of the messages of each would be
/// taken by the other.
async fn refuse_anothers_queues(settings: &Settings, named_by: &[(&str, Source)]) -> anyhow::Result<()> {
    let Some(url) = &settings.aws.sqs_endpoint else { return Ok(()) };
    // Whoever does not answer is waited for later, or never.
    let Ok(answer) = client::Client::new(Duration::from_secs(1)).open(url, &[]).await else { return Ok(()) };
    let Some(owner) = answer.headers().get(OWNER).and_then(|owner| owner.to_str().ok()) else { return Ok(()) };
    let named_by = named_by.iter().find(|(_, source)| *source != Source::Default);
    let (name, source) = named_by.copied().unwrap_or(("AWS_ENDPOINT_URL_SQS", Source::Default));
    bail!(
        "{name} ({source}) names the queues of another platform, process {owner}, which has another database: unset it"
    );
}

async fn run_roles(
    settings: &Settings,
    args: &cli::Up,
    brought: &mut Brought,
    taken: &mut Taken,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    // What a start waits for may never answer: a stop does not wait with it.
    let starting = stop.run_until_cancelled(start_roles(settings, args, listener, stop.clone()));
    let Some(started) = starting.await else { return Ok(()) };
    let (connections, running) = started?;
    announce(settings, args, brought, taken, &running)?;
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

/// Says where everything is, once all of it is ready: on standard output without the password, in the data directory with it.
fn announce(
    settings: &Settings,
    args: &cli::Up,
    brought: &Brought,
    taken: &mut Taken,
    running: &RunningRoles,
) -> anyhow::Result<()> {
    let place = Place {
        ready: true,
        pid: std::process::id(),
        api: running.url(),
        inbox: brought.inbox.as_ref().map(Inbox::url),
        sqs: settings.aws.sqs_endpoint.clone(),
        database: settings.database_url.as_ref().map(|url| url.expose().to_owned()),
    };
    taken.write(&place)?;
    let addresses = Place { database: settings.database_url.as_ref().map(ToString::to_string), ..place };
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
    async fn start(
        settings: &mut Settings,
        args: &cli::Up,
        dir: &DataDir,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let mut brought = Self::default();
        if settings.aws.sqs_endpoint.is_none() {
            let started = Sqs::start_owned(args.sqs_listen, settings.allowed_hosts.as_deref()).await;
            let sqs = started.map_err(|error| http::choose_another(&error, "--sqs-listen"))?;
            settings.aws.sqs_endpoint = Some(sqs.url());
            brought.sqs = Some(sqs);
        }
        if settings.aws.ses_endpoint.is_none() {
            let started = Inbox::start_known_as(args.ses_listen, settings.allowed_hosts.as_deref()).await;
            let inbox = started.map_err(|error| http::choose_another(&error, "--ses-listen"))?;
            settings.aws.ses_endpoint = Some(inbox.url());
            brought.inbox = Some(inbox);
        }
        if settings.database_url.is_none() {
            let options = Options { data_dir: dir.path.clone(), ephemeral: args.ephemeral };
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
        postgres.why_it_ended().into()
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

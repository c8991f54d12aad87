//! `ordo up`: the whole platform on one machine, with embedded services for all that the settings do not name.
//!
//! A setting may name an endpoint of this platform's last run, for example because it was exported then. It is ignored, and the
//! embedded service is started again.
//!
//! Services are started in the order they are needed and stopped in reverse: the roles drain first, then the queues and the inbox
//! stop, then the database.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use access_control::TokenKeys;
use anyhow::{Context, bail, ensure};
use axum::body::Body;
use embedded::inbox::Inbox;
use embedded::loopback::OWNER;
use embedded::postgres::{Options, Postgres};
use embedded::sqs::Sqs;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use messaging::MessageSigningKeys;
use tokio_util::sync::CancellationToken;

use crate::access::{self, AnonymousAccess};
use crate::connections::SharedClients;
use crate::data_dir::{DataDir, DataDirLock, RunningPlatformFile, is_free, secret_file};
use crate::roles::{Listeners, RunningRoles};
use crate::settings::{DatabaseUrl, PaymentProvider, SettingSource, Settings, SettingsWithSources};
use crate::{http, migrate, output, roles, shutdown};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct UpArgs {
    /// Keep nothing: the database's data goes when the platform stops
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Where the HTTP API listens; port 0: any free one [default: ORDO_LISTEN, 127.0.0.1:3000]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where the operate listener is; port 0: any free one [default: ORDO_OPS_LISTEN, 127.0.0.1:3001]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ops_listen: Option<SocketAddr>,
    /// Where the console is; port 0: any free one [default: ORDO_CONSOLE_LISTEN, 127.0.0.1:8001]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) console_listen: Option<SocketAddr>,
    /// Ask everyone for a credential, also on this machine
    #[arg(long)]
    pub(crate) require_auth: bool,
    /// Where the queues listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566")]
    pub(crate) sqs_listen: SocketAddr,
    /// Where the mail inbox listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8005")]
    pub(crate) ses_listen: SocketAddr,
    /// Say where everything is as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Start on a database that may lose acknowledged orders
    #[arg(long)]
    pub(crate) unsafe_durability: bool,
    /// Stop when standard input ends
    #[arg(long = "leashed", hide = true)]
    pub(crate) exit_on_stdin_close: bool,
}

/// Runs the platform until a signal stops it.
pub(crate) async fn run(loaded: SettingsWithSources, mut args: UpArgs, dir: &DataDir) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    if args.exit_on_stdin_close {
        shutdown::on_stdin_close(&stop);
    }
    report_settings(&loaded, &args)?;
    let anonymous = AnonymousAccess::of_up(&loaded.settings)?;
    let mut lock = DataDirLock::acquire(&dir.path, args.ephemeral)?;
    args.sqs_listen = lock.address(args.sqs_listen, |last| last.sqs.as_deref());
    args.ses_listen = lock.address(args.ses_listen, |last| last.inbox.as_deref());
    let named = loaded.settings.database_url.clone();
    let queues_from = ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"].map(|name| (name, loaded.source_of(name)));
    let mut settings = without_own_endpoints(loaded, &args, dir)?;
    // The sandbox needs no account. The roles log that it is used.
    settings.payment.provider.get_or_insert(PaymentProvider::Sandbox);
    settings.webhooks.allow_this_machine();
    if settings.authentication.token_keys.is_none() {
        settings.authentication.token_keys = Some(TokenKeys::Secret(lock.token_secret()?));
    }
    if settings.message_keys.is_none() {
        settings.message_keys = Some(message_keys(dir, args.ephemeral)?);
    }
    let moved =
        |settings: &Settings| named.zip(settings.database_url.clone()).is_some_and(|(named, is)| !named.is_at(&is));
    // Listen first: a taken address is the likeliest mistake, and should be found before the database starts.
    let api = lock.address(settings.listen, |last| Some(&last.api));
    let ops = lock.address(settings.ops_address(), |last| last.ops.as_deref());
    let console = settings.console_address().map(|address| lock.address(address, |last| last.console.as_deref()));
    let listeners = Listeners::bind(api, ops, console)?;
    if settings.database_url.is_none() {
        refuse_foreign_queues(&settings, &queues_from).await?;
    }
    let Some(mut services) = EmbeddedServices::start(&mut settings, &args, dir, &stop).await? else { return Ok(()) };
    if services.postgres.is_some() && !args.ephemeral && moved(&settings) {
        services.stop().await;
        bail!(
            "another process has the port in DATABASE_URL by now: unset it, and commands find this database by themselves"
        );
    }
    let outcome = run_roles(&settings, &args, &mut services, &mut lock, (listeners, anonymous), stop).await;
    services.stop().await;
    outcome
}

/// The platform's own keys for messages, which are made once and kept in the data directory. An ephemeral platform keeps none.
fn message_keys(dir: &DataDir, ephemeral: bool) -> anyhow::Result<MessageSigningKeys> {
    let fresh = MessageSigningKeys::random("up")?;
    if ephemeral {
        return Ok(fresh);
    }
    let path = dir.path.join("message-keys");
    match secret_file::read(&path)? {
        Some(kept) => kept.parse().with_context(|| {
            format!("{} holds no keys: delete it, and the next `ordo up` makes another", path.display())
        }),
        None => {
            secret_file::create(&path, &fresh.expose())?;
            Ok(fresh)
        }
    }
}

/// Shows each setting that is not the default: an export of last week is easily forgotten.
fn report_settings(loaded: &SettingsWithSources, args: &UpArgs) -> anyhow::Result<()> {
    for entry in &loaded.entries {
        let (SettingSource::Environment | SettingSource::File, Some(value)) = (entry.source, &entry.value) else {
            continue;
        };
        if args.json {
            tracing::info!(setting = entry.name, value, source = %entry.source, "a setting that is not the default");
        } else {
            output::line(&format!("{} = {value} ({})", entry.name, entry.source))?;
        }
    }
    Ok(())
}

/// The settings without endpoints of this platform itself. Refuses a database that is not the one in `--data-dir`.
fn without_own_endpoints(loaded: SettingsWithSources, args: &UpArgs, dir: &DataDir) -> anyhow::Result<Settings> {
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

/// Refuses the embedded queues of another platform if the database is our own: each platform would receive half of the other's
/// messages.
async fn refuse_foreign_queues(settings: &Settings, named_by: &[(&str, SettingSource)]) -> anyhow::Result<()> {
    let Some(url) = &settings.aws.sqs_endpoint else { return Ok(()) };
    // Queues that do not answer are reported later.
    let Ok(address) = url.parse() else { return Ok(()) };
    let http = legacy::Client::builder(TokioExecutor::new()).build_http::<Body>();
    let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(1), http.get(address)).await else { return Ok(()) };
    let Some(owner) = answer.headers().get(OWNER).and_then(|owner| owner.to_str().ok()) else { return Ok(()) };
    let named_by = named_by.iter().find(|(_, source)| *source != SettingSource::Default);
    let (name, source) = named_by.copied().unwrap_or(("AWS_ENDPOINT_URL_SQS", SettingSource::Default));
    bail!(
        "{name} ({source}) names the queues of another platform, process {owner}, which has another database: unset it"
    );
}

async fn run_roles(
    settings: &Settings,
    args: &UpArgs,
    services: &mut EmbeddedServices,
    lock: &mut DataDirLock,
    (listeners, anonymous): (Listeners, AnonymousAccess),
    stop: CancellationToken,
) -> anyhow::Result<()> {
    // A start may wait for ever. A stop must not.
    let starting = stop.run_until_cancelled(start_roles(settings, args, (listeners, anonymous), stop.clone()));
    let Some(started) = starting.await else { return Ok(()) };
    let (connections, running) = started?;
    announce(settings, args, services, lock, anonymous, &running)?;
    let mut roles = pin!(shutdown::within_bound(&stop, running.join()));
    let outcome = tokio::select! {
        ended = &mut roles => ended,
        lost = services.database_lost() => {
            let asked = stop.is_cancelled();
            stop.cancel();
            let ended = roles.await;
            // A shutdown of the machine may have stopped the database before us.
            if asked { ended } else { Err(lost) }
        }
    };
    shutdown::close(&connections).await;
    outcome
}

async fn start_roles(
    settings: &Settings,
    args: &UpArgs,
    (listeners, anonymous): (Listeners, AnonymousAccess),
    stop: CancellationToken,
) -> anyhow::Result<(SharedClients, RunningRoles)> {
    let mut connections = SharedClients::open(settings).await?;
    connections.check_database(args.unsafe_durability).await?;
    for read_model in migrate::schema(&connections.database, &*connections.read_models).await? {
        tracing::warn!("{}", migrate::to_be_built(read_model));
    }
    migrate::queues(&connections.sqs, settings).await?;
    let running = roles::start(settings, &connections, &settings.roles, listeners, anonymous, stop).await?;
    Ok((connections, running))
}

/// Prints the endpoints without the database's password, and writes them with it to the data directory.
fn announce(
    settings: &Settings,
    args: &UpArgs,
    services: &EmbeddedServices,
    lock: &mut DataDirLock,
    anonymous: AnonymousAccess,
    running: &RunningRoles,
) -> anyhow::Result<()> {
    let platform = RunningPlatformFile {
        ready: true,
        pid: std::process::id(),
        api: running.url(),
        ops: Some(running.ops_url()),
        console: running.console_url(),
        inbox: services.inbox.as_ref().map(Inbox::url),
        sqs: settings.aws.sqs_endpoint.clone(),
        database: settings.database_url.as_ref().map(|url| url.expose().to_owned()),
        message_keys: settings.message_keys.as_ref().map(MessageSigningKeys::expose),
    };
    lock.write(&platform)?;
    let shown = settings.database_url.as_ref().map(ToString::to_string);
    let addresses = RunningPlatformFile { database: shown, ..platform.without_secrets() };
    if args.json {
        if anonymous == AnonymousAccess::Operator {
            tracing::info!("{}", access::EVERYONE_IS_LET_IN);
        }
        return Ok(output::line(&serde_json::to_string(&addresses)?)?);
    }
    let aws = "AWS".to_owned();
    output::line(&format!("api       {}", addresses.api))?;
    output::line(&format!("ops       {}", addresses.ops.unwrap_or_default()))?;
    if let Some(console) = addresses.console {
        output::line(&format!("console   {console}"))?;
    }
    output::line(&format!(
        "inbox     {}",
        addresses.inbox.or(settings.aws.ses_endpoint.clone()).as_ref().unwrap_or(&aws)
    ))?;
    output::line(&format!("sqs       {}", addresses.sqs.as_ref().unwrap_or(&aws)))?;
    output::line(&format!("database  {}", addresses.database.unwrap_or_default()))?;
    if anonymous == AnonymousAccess::Operator {
        output::line(access::EVERYONE_IS_LET_IN)?;
    }
    Ok(output::line("ready; `ordo demo` shows an order's journey, Ctrl-C stops the platform")?)
}

/// The services that were started because the settings name none.
#[derive(Default)]
struct EmbeddedServices {
    sqs: Option<Sqs>,
    inbox: Option<Inbox>,
    postgres: Option<Postgres>,
}

impl EmbeddedServices {
    /// Starts the missing services and enters them into the settings. `None`: stopped meanwhile.
    async fn start(
        settings: &mut Settings,
        args: &UpArgs,
        dir: &DataDir,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let mut services = Self::default();
        if settings.aws.sqs_endpoint.is_none() {
            let started = Sqs::start_owned(args.sqs_listen, settings.allowed_hosts.as_deref()).await;
            let sqs = started.map_err(|error| http::choose_another(&error, "--sqs-listen"))?;
            settings.aws.sqs_endpoint = Some(sqs.url());
            services.sqs = Some(sqs);
        }
        if settings.aws.ses_endpoint.is_none() {
            let started = Inbox::start_known_as(args.ses_listen, settings.allowed_hosts.as_deref()).await;
            let inbox = started.map_err(|error| http::choose_another(&error, "--ses-listen"))?;
            settings.aws.ses_endpoint = Some(inbox.url());
            settings.mail_smtputf8 = true;
            services.inbox = Some(inbox);
        }
        if settings.database_url.is_none() {
            let options = Options { data_dir: dir.path.clone(), ephemeral: args.ephemeral };
            // Dropping the future stops the server.
            let postgres = tokio::select! {
                started = Postgres::start(options) => started?,
                () = stop.cancelled() => return Ok(None),
            };
            settings.database_url = DatabaseUrl::parse(&postgres.url());
            services.postgres = Some(postgres);
        }
        Ok(Some(services))
    }

    /// Waits until the embedded database has ended unexpectedly.
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
        // The watchdog stops the database without us. It recovers at its next start.
        if tokio::time::timeout(shutdown::EMBEDDED_SERVICES, stopping).await.is_err() {
            tracing::warn!("the database is taking long to stop and goes on without us");
        }
    }
}

//! Starts the roles this process was told to run, and says when they have stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use ::http::header::LOCATION;
use anyhow::{Context, bail};
use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use domain::stock::Stock;
use event_store::hash_chain::SealSettings;
use event_store::{AppendSettings, EventStore, StoreSettings, StreamLocks, SubscriptionSettings};
use messaging::{Consumer, Producer, ProducerSettings, QueueWatch, Queues};
use notification::{NotificationDeps, NotificationSettings};
use payments::Guarded;
use problem::AllowedHosts;
use projections::{LiveSettings, ReplayRoutes, Replays};
use sagas::{SagaSettings, Sagas};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::connections::{self, Connections};
use crate::health::{self, Check};
use crate::lag::Intake;
use crate::settings::{Role, Settings};
use crate::{http, index, metrics, migrate, payment};

/// How many SKUs are remembered folded.
const SKUS_REMEMBERED: usize = 10_000;
/// How often it is looked whether the queues are there, and how many dead letters they have.
const LOOK_AT_QUEUES: Duration = Duration::from_secs(5);
/// What a payment call may take beyond its time-out before its answer is asked for.
const PAYMENT_MARGIN: Duration = Duration::from_secs(2);

/// Roles at work.
#[derive(Debug)]
pub struct RunningRoles {
    /// Where the HTTP API answers. Every process has one, if only to say how it is.
    pub api: SocketAddr,
    join: JoinHandle<anyhow::Result<()>>,
}

impl RunningRoles {
    /// The API's address, with a host that this machine can connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", http::reachable(self.api))
    }

    /// Waits until every role has stopped: because it was asked to, or because one failed, which stops the others.
    pub async fn join(self) -> anyhow::Result<()> {
        self.join.await.context("a role panicked")?
    }
}

/// Starts `roles` and serves their routes on `listener`, until `stop`.
pub async fn start(
    settings: &Settings,
    connections: &Connections,
    roles: &[Role],
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<RunningRoles> {
    let api = listener.local_addr().context("the HTTP listener has no address")?;
    check_connections(settings, &connections.database, roles).await?;
    let store = EventStore::start(connections.database.clone(), store_settings(settings));
    // Whoever decides about units in this process takes turns on the same SKUs, and remembers them together.
    let stock = StreamLocks::new(store.clone(), SKUS_REMEMBERED);
    let payments = payment::gateway(settings, connections)?;
    let figures = sagas::Metrics::default();
    let mut running = Running { tasks: JoinSet::new(), stop };
    let (queues, mut checks) = (QueueWatch::default(), Vec::new());
    if roles.iter().any(|role| matches!(role, Role::Sagas | Role::Notification)) {
        let found = migrate::find_queues(&connections.sqs, settings).await?;
        let (sqs, wanted, stop) = (connections.sqs.clone(), migrate::wanted(settings), running.stop.clone());
        running.spawn("queues", messaging::queues::keep(sqs, wanted, found, queues.clone(), LOOK_AT_QUEUES, stop));
        checks.push(Check::queues(queues.clone()));
    }
    // What operators alone may do has one address, which whoever is in front can bar.
    let (mut routes, mut operators) = (Router::new(), Router::new());
    for role in roles {
        let stop = running.stop.clone();
        match role {
            Role::CommandApi => {
                let commands = command_api::routes(store.clone(), stock.clone(), settings.order_limits);
                routes = routes.merge(bounded(commands, settings.max_lag, connections, &mut running));
            }
            Role::Projections => {
                let read_models = &connections.read_models;
                let reading = store.reading_through(connections.reads.clone());
                let for_reading = connections::read_models(settings, &connections.reads).await?;
                let replays = Replays::new(connections.database.clone(), Arc::clone(read_models));
                let replays = ReplayRoutes::new(replays, stop.clone());
                let live = LiveSettings { per_address: settings.streams_per_address, ..LiveSettings::default() };
                routes = routes
                    .merge(projections::routes(reading.clone(), &*for_reading))
                    .merge(sagas::routes(reading.clone()))
                    .merge(projections::live_routes(reading, live, stop.clone()));
                operators = operators.merge(replays.routes());
                running.spawn("replays", replays.stopped());
                running.spawn("projections", projections::run(store.clone(), Arc::clone(read_models), stop));
            }
            Role::Sagas => {
                let sagas = sagas(settings, connections, store.clone(), stock.clone(), &payments).await?;
                running.spawn("sagas", sagas::run_measured(sagas, figures.clone(), stop));
            }
            Role::Notification => {
                let (deps, settings) = notification(settings, connections).await?;
                settings.validate()?;
                running.spawn("notification", async move {
                    if let Err(error) = notification::run(deps, settings, stop).await {
                        tracing::error!(%error, "notification can't run");
                    }
                });
            }
        }
    }
    if let Some(sealing) = sealing(settings) {
        let (pool, stop) = (connections.database.clone(), running.stop.clone());
        running.spawn("sealing", event_store::hash_chain::seal_regularly(pool, sealing, stop));
    }
    if !connections.may_forget {
        let (amiss, seen) = watch::channel(None);
        let (pool, stop) = (connections.database.clone(), running.stop.clone());
        running.spawn("durability", health::watch_durability(pool, amiss, stop));
        checks.push(Check::durability(seen));
    }
    checks.extend([Check::database(connections.database.clone()), writing(store.clone())]);
    let routes = Router::new()
        .nest("/v1", routes.clone().layer(map_response(found_under_v1)))
        .merge(routes)
        .merge(operators)
        .merge(index::routes(roles))
        .merge(health::routes(checks));
    let hosts = AllowedHosts::for_listener(api, settings.allowed_hosts.as_deref());
    let routes = metrics::measured(routes, &hosts, &store, &figures, payments.metrics(), queues);
    let limits = http::Limits { per_address: settings.connections_per_address, ..http::Limits::default() };
    running.spawn("http", http::serve(listener, routes, limits.within_open_files(), running.stop.clone()));
    let names = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",");
    tracing::info!(roles = names, api = %api, "started");
    Ok(RunningRoles { api, join: tokio::spawn(running.join(store)) })
}

/// The commands' routes; new orders are refused while those before them are further behind than that, if there is a bound.
fn bounded(routes: Router, max_lag: Duration, connections: &Connections, running: &mut Running) -> Router {
    if max_lag.is_zero() {
        return routes;
    }
    let intake = Intake::up_to(max_lag);
    let routes = intake.before(routes);
    let watch = intake.watch(connections.database.clone(), running.stop.clone());
    running.spawn("lag", watch);
    routes
}

/// Says where something is to who asked under `/v1`.
async fn found_under_v1(mut answer: Response) -> Response {
    let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    if let Some(Ok(location)) = location.map(|path| HeaderValue::try_from(format!("/v1{path}"))) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

fn store_settings(settings: &Settings) -> StoreSettings {
    StoreSettings {
        append: AppendSettings { queue: settings.append_queue, ..AppendSettings::default() },
        subscriptions: SubscriptionSettings { lease: settings.lease },
    }
}

/// How the log is sealed, if it is.
fn sealing(settings: &Settings) -> Option<SealSettings> {
    (settings.sealing_percent > 0).then_some(SealSettings { percent: settings.sealing_percent })
}

/// The tasks of the roles. When one ends, all do.
struct Running {
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl Running {
    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    async fn join(mut self, store: EventStore) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            if !self.stop.is_cancelled() {
                outcome = match ended {
                    Ok(name) => Err(anyhow::anyhow!("{name} ended by itself")),
                    Err(error) => Err(error).context("a role panicked"),
                };
                self.stop.cancel();
            }
        }
        // Last: what was accepted while the roles drained is stored.
        store.close().await;
        outcome
    }
}

/// The event store takes events. It stops doing so only when it is closed, or when its writer died.
fn writing(store: EventStore) -> Check {
    Check::new("event-store", move || {
        let running = store.is_running();
        async move { running.then_some(()).ok_or_else(|| "takes no events".to_owned()) }
    })
}

/// Whether the pools are large enough for each of the roles to get on with its work, and all that this process may take are there.
async fn check_connections(settings: &Settings, database: &PgPool, roles: &[Role]) -> anyhow::Result<()> {
    /// The writer, and one to listen on.
    const STORE: u32 = 2;
    let needs = |role: &Role| match role {
        // Orders need none of their own; two turns on SKUs and a look at what is known.
        Role::CommandApi => 3,
        // A batch each, and beside them a lease that is renewed and a replay. Reads have others.
        Role::Projections => u32::try_from(projections::REGISTRY.len()).unwrap_or(u32::MAX) + 3,
        // A batch, which reads streams or is on its turn with a SKU meanwhile, what is due, which holds none while others are asked,
        // an answer, a lease that is renewed, and the books of the sandbox.
        Role::Sagas => 9,
        Role::Notification => u32::try_from(notification::CONNECTIONS).unwrap_or(u32::MAX),
    };
    let sealing = u32::from(sealing(settings).is_some());
    let needed: u32 = STORE + sealing + roles.iter().map(needs).sum::<u32>();
    let given = settings.database_connections;
    if given < needed {
        bail!("ORDO_DATABASE_CONNECTIONS is {given}, but these roles need {needed}: raise it");
    }
    let reads = if roles.contains(&Role::Projections) { settings.read_connections } else { 0 };
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

async fn sagas(
    settings: &Settings,
    connections: &Connections,
    store: EventStore,
    stock: StreamLocks<Stock>,
    payments: &Arc<Guarded>,
) -> anyhow::Result<Sagas> {
    let Queues { notifications, replies } = migrate::find_queues(&connections.sqs, settings).await?;
    Ok(Sagas {
        stock,
        store,
        payments: Arc::clone(payments) as Arc<dyn payments::PaymentGateway>,
        notifications: Producer::new(connections.sqs.clone(), notifications.url, ProducerSettings::default()),
        answers: Consumer::new(connections.sqs.clone(), replies, settings.replies.settings())?,
        settings: SagaSettings {
            answer_deadline: settings.notification_deadline,
            reservation_hold: settings.reservation_hold,
            step_deadline: settings.saga_deadline,
            payment_patience: settings.payment.timeout + PAYMENT_MARGIN,
        },
    })
}

async fn notification(
    settings: &Settings,
    connections: &Connections,
) -> anyhow::Result<(NotificationDeps, NotificationSettings)> {
    let queues = migrate::find_queues(&connections.sqs, settings).await?;
    let deps = NotificationDeps {
        pool: connections.database.clone(),
        sqs: connections.sqs.clone(),
        queues,
        ses: connections.ses.clone(),
    };
    let settings = NotificationSettings {
        from: settings.mail_from.clone(),
        default_recipient: settings.mail_default_recipient.clone(),
        consumer: settings.notifications.settings(),
        ..NotificationSettings::default()
    };
    Ok((deps, settings))
}

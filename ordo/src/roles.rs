//! Starts the roles of this process, and waits until they have stopped.

mod bulk_actions;
mod connection_limits;
mod console;
mod dependencies;
mod documents;
mod encryption;
mod publication;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use ::http::header::LOCATION;
use access_control::Authenticator;
use anyhow::Context;
use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use event_store::hash_chain::SealingThrottle;
use event_store::{AppendQueueSettings, EventStore, LeaseSettings, StoreSettings, StreamLocks};
use messaging::QueuesHealth;
use ordo_console::ConsoleSources;
use problem::{AllowedHosts, HttpSemantics, SparseFieldsets};
use projections::{HttpReplays, LiveStreamSettings, ReadModelQueries, ReplayOperations, SlowReads};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use webhooks::{WebhookMetrics, WebhookNetwork};

use crate::access::{self, AnonymousAccess};
use crate::connections::{self, SharedClients};
use crate::deprecations::DEPRECATIONS;
use crate::health::{self, HealthCheck};
use crate::http::{CrossOriginLayer, HttpSettings, RequestRateLimiter};
use crate::lag::LagBackpressure;
use crate::low_stock::LowStockMetrics;
use crate::settings::{PlatformRole, Settings};
use crate::{http, index, metrics, migrate, openapi, payment, saga_reports};

/// How many folded SKUs are cached.
const SKUS_REMEMBERED: usize = 10_000;
/// How often the queues are checked and their dead letters counted.
const LOOK_AT_QUEUES: Duration = Duration::from_secs(5);
/// The time at a stop for writing when API keys were used last.
const LAST_USES: Duration = Duration::from_secs(1);

/// The running roles.
#[derive(Debug)]
pub(crate) struct RunningRoles {
    /// The address of the HTTP API. Every process has one, at least for health.
    pub(crate) api: SocketAddr,
    scheme: &'static str,
    /// The address of the operate listener.
    ops: SocketAddr,
    console: Option<SocketAddr>,
    join: JoinHandle<anyhow::Result<()>>,
}

impl RunningRoles {
    /// The API's URL, with a host that this machine can reach.
    #[must_use]
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, http::reachable(self.api))
    }

    /// The operate listener's URL, likewise.
    #[must_use]
    pub(crate) fn ops_url(&self) -> String {
        format!("{}://{}", self.scheme, http::reachable(self.ops))
    }

    /// The console's URL, likewise. `None`: this process has none.
    #[must_use]
    pub(crate) fn console_url(&self) -> Option<String> {
        self.console.map(|address| format!("{}://{}", self.scheme, http::reachable(address)))
    }

    /// The addresses that it listens on, which may be all of this machine.
    pub(crate) fn listens_at(&self) -> Vec<(&'static str, String)> {
        let listeners = [("api", Some(self.api)), ("ops", Some(self.ops)), ("console", self.console)];
        let url = |(name, address): (_, Option<SocketAddr>)| Some((name, format!("{}://{}", self.scheme, address?)));
        listeners.into_iter().filter_map(url).collect()
    }

    /// Waits until every role has stopped. A role that fails stops the others.
    pub(crate) async fn join(self) -> anyhow::Result<()> {
        self.join.await.context("a role panicked")?
    }
}

/// Where a process listens.
#[derive(Debug)]
pub(crate) struct Listeners {
    api: TcpListener,
    /// For those who run the platform.
    ops: TcpListener,
    console: Option<TcpListener>,
}

impl Listeners {
    /// Listens on all addresses.
    pub(crate) fn bind(api: SocketAddr, ops: SocketAddr, console: Option<SocketAddr>) -> anyhow::Result<Self> {
        Ok(Self {
            api: http::bind(api, "--listen")?,
            ops: http::bind(ops, "--ops-listen")?,
            console: console.map(|address| http::bind(address, "--console-listen")).transpose()?,
        })
    }
}

/// Starts `roles` and serves their routes on the listeners, until `stop`. `anonymous` calls where no credential comes.
pub(crate) async fn start(
    settings: &Settings,
    connections: &SharedClients,
    roles: &[PlatformRole],
    listeners: Listeners,
    anonymous: AnonymousAccess,
    stop: CancellationToken,
) -> anyhow::Result<RunningRoles> {
    let address = |listener: &TcpListener| listener.local_addr().context("a listener has no address");
    let (api, ops) = (address(&listeners.api)?, address(&listeners.ops)?);
    let console = listeners.console.as_ref().map(address).transpose()?;
    connection_limits::check_connections(settings, &connections.database, roles).await?;
    let store = EventStore::start(connections.database.clone(), store_settings(settings));
    // All deciders about units in this process share these locks and this cache.
    let low_stock = LowStockMetrics::default();
    let crossings = low_stock.clone();
    let stock =
        StreamLocks::new(store.clone(), SKUS_REMEMBERED).observed_by(move |sku, event| crossings.observe(sku, event));
    let payments = payment::gateway(settings, connections)?;
    let figures = sagas::SagaMetrics::default();
    let (mut webhook_figures, mut publication_figures, mut document_figures) = (None, None, None);
    let mut running = RoleTasks { tasks: JoinSet::new(), stop };
    let (queues, mut checks) = (QueuesHealth::default(), Vec::new());
    if roles.iter().any(|role| matches!(role, PlatformRole::Sagas | PlatformRole::Notification)) {
        let found = migrate::find_queues(&connections.sqs, settings).await?;
        let (sqs, wanted, stop) = (connections.sqs.clone(), migrate::wanted(settings), running.stop.clone());
        running.spawn("queues", messaging::queues::maintain(sqs, wanted, found, queues.clone(), LOOK_AT_QUEUES, stop));
        checks.push(HealthCheck::queues(queues.clone()));
    }
    let (mut routes, mut operate) = (OpenApiRouter::new(), OpenApiRouter::new());
    let reading = store.reading_through(connections.reads.clone());
    let for_reading = connections::read_models(settings, &connections.reads).await?;
    let slow = SlowReads::new(&*for_reading);
    let refunds = settings.access.support_refunds.clone();
    let commands = command_api::routes(store.clone(), stock.clone(), settings.order_limits, refunds);
    let subscriptions = projections::subscription_routes(connections.database.clone());
    let decisions = command_api::operate_routes(store.clone(), stock.clone());
    let replays = ReplayOperations::new(connections.database.clone(), Arc::clone(&connections.read_models));
    let replays = HttpReplays::new(replays, running.stop.clone());
    // All that read the dead letters in this process take turns.
    let carries_out = roles.contains(&PlatformRole::Sagas);
    let operated = match carries_out || listeners.console.is_some() {
        true => Some(bulk_actions::dependencies(settings, connections, &store, &stock, carries_out).await?),
        false => None,
    };
    let operated = operated.map(|bulk| (bulk_actions::dead_letters(&bulk), bulk));
    for role in roles {
        let stop = running.stop.clone();
        match role {
            PlatformRole::CommandApi => {
                operate = operate.merge(decisions.clone());
                routes = routes.merge(with_intake_limit(commands.clone(), settings.max_lag, connections, &mut running));
            }
            PlatformRole::Projections => {
                let read_models = &connections.read_models;
                let live = live_settings(settings);
                let sagas = Arc::new(saga_reports::StoredSagas(reading.clone()));
                routes = routes
                    .merge(projections::routes(reading.clone(), &*for_reading, Some(sagas), slow.clone()))
                    .merge(projections::live_routes(reading.clone(), slow.clone(), live, stop.clone()));
                operate = operate
                    .merge(sagas::routes(reading.clone()))
                    .merge(projections::operate_routes(reading.clone(), &*for_reading, slow.clone()))
                    .merge(replays.routes())
                    .merge(subscriptions.clone());
                running.spawn("projections", projections::run(store.clone(), Arc::clone(read_models), stop));
            }
            PlatformRole::Sagas => {
                if let Some((dead_letters, bulk)) = operated.clone() {
                    operate =
                        operate.merge(::bulk_actions::routes(bulk.clone())).merge(dead_letters::routes(dead_letters));
                    running.spawn("bulk actions", ::bulk_actions::run(bulk, stop.clone()));
                }
                let sagas = dependencies::sagas(settings, connections, store.clone(), stock.clone(), &payments).await?;
                running.spawn("sagas", sagas::run(sagas, figures.clone(), stop));
                document_figures = documents::start(settings, &store, &mut running);
            }
            PlatformRole::Notification => {
                let (deps, settings) = dependencies::notification(settings, connections).await?;
                settings.validate()?;
                running.spawn("notification", async move {
                    if let Err(error) = notification::run(deps, settings, stop).await {
                        tracing::error!(%error, "notification can't run");
                    }
                });
            }
            // It has a listener of its own, below.
            PlatformRole::Console => {}
            PlatformRole::Webhooks => {
                let (pool, deliveries) = (connections.database.clone(), settings.webhooks.settings());
                operate = operate.merge(webhooks::routes(pool.clone(), deliveries.allowed_networks.clone()));
                checks.push(HealthCheck::webhooks(pool));
                publication_figures =
                    publication::start(settings, connections, &store, &mut running, &mut checks).await;
                let counted = webhook_figures.insert(WebhookMetrics::default()).clone();
                let (store, network) = (store.clone(), WebhookNetwork::default());
                running.spawn("webhooks", async move {
                    if let Err(error) = webhooks::run(store, deliveries, network, counted, stop).await {
                        tracing::error!(%error, "webhooks can't be delivered");
                    }
                });
            }
        }
    }
    if roles.iter().any(|role| matches!(role, PlatformRole::Projections | PlatformRole::Console)) {
        running.spawn("replays", replays.clone().stopped());
    }
    if let Some(sealing) = sealing(settings, roles) {
        let (pool, stop) = (connections.database.clone(), running.stop.clone());
        running.spawn("sealing", event_store::hash_chain::seal_regularly(pool, sealing, stop));
    }
    if !connections.may_forget {
        let (amiss, seen) = watch::channel(None);
        let (pool, stop) = (connections.database.clone(), running.stop.clone());
        running.spawn("durability", health::watch_durability(pool, amiss, stop));
        checks.push(HealthCheck::durability(seen));
    }
    checks.push(HealthCheck::database(connections.database.clone()));
    checks.extend([HealthCheck::event_store(store.clone()), HealthCheck::subscriptions(store.clone())]);
    let routes = Router::from(routes);
    let versioned = routes.clone().layer(map_response(prefix_location_with_v1));
    let of_roles = (webhook_figures, publication_figures, document_figures);
    let (shown, requests) = metrics::routes(&store, &low_stock, &figures, payments.metrics(), of_roles, queues.clone());
    let on_both = health::routes(checks).merge(problem::documentation());
    // These have no other address, but `expand=saga` of an order tells operators and auditors of its sagas as well.
    let operate = Router::from(operate.merge(shown).merge(on_both.clone()).merge(index::operate_routes(roles)));
    let (described, selectable) = openapi::routes()?;
    let fieldsets = SparseFieldsets::new(selectable);
    let routes = routes.merge(Router::from(on_both.merge(index::routes()))).merge(described);
    let routes = routes.nest("/v1", versioned);
    let authenticator = access::authenticator(settings, &connections.database)?;
    let access = anonymous.layer(authenticator.clone());
    let semantics = HttpSemantics::new(DEPRECATIONS);
    let edge = &settings.edge;
    let quotas = edge.rates.clone();
    let quotas = if anonymous == AnonymousAccess::Operator { quotas.for_everyone() } else { quotas };
    let rates = RequestRateLimiter::new(&quotas, edge.requests_per_principal);
    let behind = |routes: Router, address, origins: &[HeaderValue]| {
        let hosts = AllowedHosts::for_listener(address, settings.allowed_hosts.as_deref()).with_origins(origins);
        // The first layer is the outer one. Several calls of `layer` would cost each request more allocations.
        routes.layer((
            CrossOriginLayer::answers(origins),
            requests.clone(),
            hosts,
            // Outside the limits: an answer to a preflight costs no more than a refusal.
            CrossOriginLayer::preflights(origins),
            semantics,
            fieldsets.clone(),
            rates.per_address(),
            access.clone(),
            rates.per_principal(),
        ))
    };
    let served = encryption::http_settings(settings, &mut running).await?;
    let routes = behind(routes, api, &edge.cors_origins);
    let for_operators = HttpSettings { limits: http::ConnectionLimits::of_operators(), ..served.clone() };
    running.spawn("http", http::serve(listeners.api, routes, served, running.stop.clone()));
    // Pages of other origins have no business there.
    let operate = behind(operate, ops, &[]);
    if let (Some(listener), Some(address), Some((dead_letters, bulk))) = (listeners.console, console, operated) {
        let of_operators = sagas::routes(reading.clone()).merge(replays.routes()).merge(::bulk_actions::routes(bulk));
        let of_operators = of_operators.merge(dead_letters::routes(dead_letters.clone()));
        let api = Router::from(commands.merge(decisions).merge(subscriptions).merge(of_operators));
        let may_act = console::may_act(&connections.database).await?;
        let runs_bulk_actions = console::may_run_bulk_actions(&connections.database).await?;
        let sources = ConsoleSources {
            queries: ReadModelQueries::new(reading.clone(), &*for_reading, slow),
            store: reading,
            queues,
            dead_letters,
            access: access.clone(),
            open_id: console::open_id(settings)?,
            api: may_act.then(|| api.layer(access.clone())),
            runs_bulk_actions,
            replays: replays.operations(),
            process: console::process(settings, roles, &payments),
            is_encrypted: console::is_encrypted(settings),
            stop: running.stop.clone(),
        };
        let hosts = AllowedHosts::for_listener(address, settings.allowed_hosts.as_deref());
        let pages = console::pages(sources, hosts, &rates);
        running.spawn("console", http::serve(listener, pages, for_operators.clone(), running.stop.clone()));
    }
    let operate = http::serve_on_own_thread(listeners.ops, operate, for_operators, running.stop.clone());
    running.spawn("operate http", operate);
    let names = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",");
    tracing::info!(roles = names, %api, %ops, console = console.map(tracing::field::display), "started");
    let scheme = if settings.edge.tls.is_some() { "https" } else { "http" };
    Ok(RunningRoles { api, scheme, ops, console, join: tokio::spawn(running.join(store, authenticator)) })
}

fn live_settings(settings: &Settings) -> LiveStreamSettings {
    let (per_address, per_principal) = (settings.streams_per_address, settings.streams_per_principal);
    LiveStreamSettings { per_address, per_principal, ..LiveStreamSettings::default() }
}

/// The routes of commands, with a limit on new orders if `max_lag` is set.
fn with_intake_limit(
    routes: OpenApiRouter,
    max_lag: Duration,
    connections: &SharedClients,
    running: &mut RoleTasks,
) -> OpenApiRouter {
    if max_lag.is_zero() {
        return routes;
    }
    let intake = LagBackpressure::new(max_lag);
    let routes = intake.apply_to(routes);
    let watch = intake.watch(connections.database.clone(), running.stop.clone());
    running.spawn("lag", watch);
    routes
}

/// Answers to requests under `/v1` have locations under `/v1`.
async fn prefix_location_with_v1(mut answer: Response) -> Response {
    let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    if let Some(Ok(location)) = location.map(|path| HeaderValue::try_from(format!("/v1{path}"))) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

fn store_settings(settings: &Settings) -> StoreSettings {
    StoreSettings {
        append: AppendQueueSettings { queue: settings.append_queue, ..AppendQueueSettings::default() },
        subscriptions: LeaseSettings { lease: settings.lease },
    }
}

/// `None`: the log is not sealed. Notification and webhooks never do that: their database users may not write seals. The console may be
/// one that only shows.
fn sealing(settings: &Settings, roles: &[PlatformRole]) -> Option<SealingThrottle> {
    let may_seal = roles
        .iter()
        .any(|role| !matches!(role, PlatformRole::Notification | PlatformRole::Webhooks | PlatformRole::Console));
    (may_seal && settings.sealing_percent > 0).then_some(SealingThrottle { percent: settings.sealing_percent })
}

/// The tasks of the roles. When one ends, all end.
struct RoleTasks {
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl RoleTasks {
    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    async fn join(mut self, store: EventStore, authenticator: Authenticator) -> anyhow::Result<()> {
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
        // Last, so that commands are stored that were accepted while the roles drained.
        store.close().await;
        if tokio::time::timeout(LAST_USES, authenticator.write_last_uses()).await.is_err() {
            tracing::debug!("when API keys were used last is not written");
        }
        outcome
    }
}

//! `GET /metrics`: the metrics of this process in the OpenMetrics text format.
//!
//! Requests are counted by route, method and status; those that match no route are counted together. The event store, the sagas and
//! the guard of the payment provider have their own metrics. The lag of subscriptions and the waiting sagas are read from the
//! database with each scrape.

mod format;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::response::Response;
use error_chain::error_chain;
use event_store::{EventStore, lacks_rights};
use http::{HeaderMap, Method, StatusCode};
use messaging::{DeadLetterOrigin, QueuesHealth};
use pin_project_lite::pin_project;
use problem::{Problem, RefusedByHost};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sqlx::PgPool;
use tower::{Layer, Service};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::format::MetricsFormat;
use crate::lag;
use crate::low_stock::LowStockMetrics;

/// The time-out of the database's part, below those of usual scrapers.
const PATIENCE: Duration = Duration::from_secs(2);

/// Those of what only some processes do.
pub(crate) type MetricsOfRoles =
    (Option<webhooks::WebhookMetrics>, Option<publication::PublicationMetrics>, Option<documents::DocumentMetrics>);

/// The route `GET /metrics`, and the layer that counts requests for it.
pub(crate) fn routes(
    store: &EventStore,
    low_stock: &LowStockMetrics,
    sagas: &sagas::SagaMetrics,
    payments: &payments::PaymentMetrics,
    (webhooks, publication, documents): MetricsOfRoles,
    queues: QueuesHealth,
) -> (OpenApiRouter, RequestMetrics) {
    let mut registry = Registry::with_prefix("ordo");
    store.metrics().register(&mut registry);
    low_stock.register(&mut registry);
    sagas.register(&mut registry);
    payments.register(&mut registry);
    if let Some(webhooks) = &webhooks {
        webhooks.register(&mut registry);
    }
    if let Some(publication) = publication {
        publication.register(&mut registry);
    }
    if let Some(documents) = documents {
        documents.register(&mut registry);
    }
    let requests = RequestMetrics::registered(&mut registry);
    let dead_letters = Family::default();
    registry.register("dead_letters", "Messages that could not be handled, by their queue", dead_letters.clone());
    let log = LogMetrics::registered(&mut registry);
    let (store, sagas) = (store.clone(), sagas.clone());
    let figures = MetricsState { registry, log, store, sagas, webhooks, queues, dead_letters };
    (router().with_state(Arc::new(figures)), requests)
}

/// How the OpenAPI document describes [`routes`].
pub(crate) fn description() -> OpenApi {
    router().into_openapi()
}

fn router() -> OpenApiRouter<Arc<MetricsState>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// What the process counts, for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    operation_id = "getMetrics",
    responses((
        status = 200,
        description = "The metrics",
        content((String = "text/plain"), (String = "application/openmetrics-text"))
    ))
)]
async fn show(State(figures): State<Arc<MetricsState>>, headers: HeaderMap) -> Result<Response, Problem> {
    let pool = figures.store.pool();
    let asked = async {
        figures.log.ask(pool).await?;
        if let Some(webhooks) = &figures.webhooks {
            webhooks.refresh(pool).await?;
        }
        unless_forbidden(figures.sagas.refresh(pool).await)
    };
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    // The metrics of the process matter most when the database is away.
    if let Ok(Err(error)) = &asked {
        tracing::warn!(error = %error_chain(error), "the lag of subscriptions and what waits is not known");
    }
    figures.store.measure_queue();
    figures.count_dead_letters();
    figures.log.lag_known.set(i64::from(matches!(asked, Ok(Ok(())))));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &figures.registry).map_err(Problem::internal)?;
    Ok(MetricsFormat::wanted(&headers).answer(text))
}

/// A process whose database user may not read what is in events leaves the figures of sagas to others: all show the same.
fn unless_forbidden(refreshed: Result<(), sqlx::Error>) -> Result<(), sqlx::Error> {
    match refreshed {
        Err(error) if lacks_rights(&error) => Ok(()),
        refreshed => refreshed,
    }
}

struct MetricsState {
    registry: Registry,
    log: LogMetrics,
    store: EventStore,
    sagas: sagas::SagaMetrics,
    /// Of the processes that deliver them.
    webhooks: Option<webhooks::WebhookMetrics>,
    queues: QueuesHealth,
    dead_letters: Family<QueueLabel, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

impl MetricsState {
    /// Sets the counts of the last check of the queues. Unknown counts are left out.
    fn count_dead_letters(&self) {
        for origin in DeadLetterOrigin::ALL {
            let queue = QueueLabel { queue: origin.as_str() };
            match self.queues.dead_letters(origin) {
                Some(count) => {
                    self.dead_letters.get_or_create(&queue).set(i64::try_from(count).unwrap_or(i64::MAX));
                }
                None => {
                    self.dead_letters.remove(&queue);
                }
            }
        }
    }
}

/// The lag of subscriptions, and for how long a transaction has been holding the log's tail. Read from the database, so every
/// process shows the same.
struct LogMetrics {
    lag_known: Gauge,
    lag_of_orders: Gauge<f64, AtomicU64>,
    lag_events: Family<SubscriptionLabel, Gauge>,
    lag_seconds: Family<SubscriptionLabel, Gauge<f64, AtomicU64>>,
    parked: Family<SubscriptionLabel, Gauge>,
    stopped: Family<SubscriptionLabel, Gauge>,
    tail_held: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SubscriptionLabel {
    subscription: String,
}

impl LogMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let figures = Self {
            lag_known: Gauge::default(),
            lag_of_orders: Gauge::default(),
            lag_events: Family::default(),
            lag_seconds: Family::default(),
            parked: Family::default(),
            stopped: Family::default(),
            tail_held: Gauge::default(),
        };
        let Self { lag_known, lag_of_orders, lag_events, lag_seconds, parked, stopped, tail_held } = &figures;
        let subscriptions = registry.sub_registry_with_prefix("subscription");
        subscriptions.register(
            "lag_known",
            "1: the lags and what waits are current; 0: the database did not say",
            lag_known.clone(),
        );
        subscriptions.register("lag_events", "Events it has yet to come to", lag_events.clone());
        let waiting = "For how long the first of them has been there";
        subscriptions.register_with_unit("lag", waiting, Unit::Seconds, lag_seconds.clone());
        subscriptions.register("parked_events", "Events set aside because they can't be handled", parked.clone());
        let unknown = "Partitions that stand still at an event that the build which has them does not know";
        subscriptions.register("stopped_partitions", unknown, stopped.clone());
        let behind = "For how long orders have been waiting for the sagas, or for their mails";
        registry.register_with_unit("lag", behind, Unit::Seconds, lag_of_orders.clone());
        let held = "For how long the transaction that is appending has been at it; 0: none is";
        registry.register_with_unit("log_tail_held", held, Unit::Seconds, tail_held.clone());
        figures
    }

    async fn ask(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let stops = event_store::operations::stopped_subscriptions(pool).await?;
        let lags = event_store::operations::lag(pool).await?;
        self.lag_of_orders.set(lag::of_orders(pool, &lags).await?);
        for lag in lags {
            let stopped = stops.iter().filter(|stop| stop.subscription == lag.name).count();
            let whose = SubscriptionLabel { subscription: lag.name };
            self.lag_events.get_or_create(&whose).set(lag.lag_events);
            self.lag_seconds.get_or_create(&whose).set(lag.lag_seconds);
            self.parked.get_or_create(&whose).set(lag.parked);
            self.stopped.get_or_create(&whose).set(i64::try_from(stopped).unwrap_or(i64::MAX));
        }
        let holder = event_store::operations::append_lock_holder(pool).await?;
        self.tail_held.set(holder.map_or(0.0, |holder| holder.held_seconds));
        Ok(())
    }
}

/// The metrics of requests; a layer around the routes. Each request has a clone.
#[derive(Clone)]
pub(crate) struct RequestMetrics(Arc<RequestCounts>);

struct RequestCounts {
    answered: Family<ResponseLabels, Counter>,
    duration: Family<RequestLabels, Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: MethodLabel,
    route: RouteLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    method: MethodLabel,
    route: RouteLabel,
    status: u16,
}

/// `other` if no route matched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MethodLabel(Option<Method>);

/// The pattern of the route, such as `/orders/{order_id}`, so that there are few values; `none` if no route matched.
#[derive(Debug, Clone)]
struct RouteLabel(Option<MatchedPath>);

/// Requests without a matching path, method or host. Clients can make up any number of these, so they share one label.
const UNROUTED: RequestLabels = RequestLabels { method: MethodLabel(None), route: RouteLabel(None) };

impl RouteLabel {
    fn as_str(&self) -> &str {
        self.0.as_ref().map_or("none", MatchedPath::as_str)
    }
}

impl PartialEq for RouteLabel {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RouteLabel {}

impl std::hash::Hash for RouteLabel {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelValue for RouteLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for MethodLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_ref().map_or("other", Method::as_str).encode(encoder)
    }
}

impl RequestMetrics {
    fn registered(registry: &mut Registry) -> Self {
        // 500 µs to 8 s.
        let histogram = || Histogram::new(exponential_buckets(0.000_5, 2.0, 15));
        let requests = RequestCounts { answered: Family::default(), duration: Family::new_with_constructor(histogram) };
        let registry = registry.sub_registry_with_prefix("http");
        registry.register("requests", "Requests answered", requests.answered.clone());
        let duration = requests.duration.clone();
        registry.register_with_unit("request_duration", "From a request to its answer", Unit::Seconds, duration);
        Self(Arc::new(requests))
    }

    fn count(&self, asked: RequestLabels, status: StatusCode, since: Instant) {
        self.0.duration.get_or_create(&asked).observe(since.elapsed().as_secs_f64());
        let RequestLabels { method, route } = asked;
        self.0.answered.get_or_create(&ResponseLabels { method, route, status: status.as_u16() }).inc();
    }
}

impl<S> Layer<S> for RequestMetrics {
    type Service = RequestMetricsService<S>;

    fn layer(&self, inner: S) -> RequestMetricsService<S> {
        RequestMetricsService { inner, requests: self.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct RequestMetricsService<S> {
    inner: S,
    requests: RequestMetrics,
}

impl<S: Service<Request, Response = Response>> Service<Request> for RequestMetricsService<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = CountedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // Only the fallback has no route.
        let route = request.extensions().get::<MatchedPath>().cloned();
        let method = || MethodLabel(Some(request.method().clone()));
        let asked = route.map(|route| RequestLabels { method: method(), route: RouteLabel(Some(route)) });
        let (requests, since) = (self.requests.clone(), Instant::now());
        CountedFuture { answer: self.inner.call(request), asked, requests, since }
    }
}

pin_project! {
    pub(crate) struct CountedFuture<F> {
        #[pin]
        answer: F,
        asked: Option<RequestLabels>,
        requests: RequestMetrics,
        since: Instant,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for CountedFuture<F> {
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let counting = self.project();
        let answer = ready!(counting.answer.poll(context));
        if let Ok(response) = &answer {
            let by_a_route = response.status() != StatusCode::METHOD_NOT_ALLOWED
                && response.extensions().get::<RefusedByHost>().is_none();
            let asked = counting.asked.take().filter(|_| by_a_route).unwrap_or(UNROUTED);
            counting.requests.count(asked, response.status(), *counting.since);
        }
        Poll::Ready(answer)
    }
}

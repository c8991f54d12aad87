//! `GET /metrics`: what this process counts, in the OpenMetrics text format that Prometheus scrapes.
//!
//! Requests are counted by route, method and status, those that no route answers together; the event store, the sagas and the guard
//! before the payment provider count their own work; how far subscriptions are behind and how many sagas wait is asked of the
//! database when somebody wants to know.

mod format;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::response::Response;
use axum::routing::get;
use event_store::EventStore;
use http::{HeaderMap, Method, StatusCode};
use messaging::{Origin, QueueWatch};
use pin_project_lite::pin_project;
use problem::{AllowedHosts, Problem, RefusedByHost};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sqlx::PgPool;
use tower::{Layer, Service};

use self::format::Format;
use crate::lag;

/// How long the database may take to say how far subscriptions are and what waits; below the time-outs of usual scrapers.
const PATIENCE: Duration = Duration::from_secs(2);

/// Adds the route that shows all figures to `routes`, and counts the requests that come: those that are refused because of their
/// host as well.
pub fn measured(
    routes: Router,
    hosts: &AllowedHosts,
    store: &EventStore,
    sagas: &sagas::Metrics,
    payments: &payments::Metrics,
    queues: QueueWatch,
) -> Router {
    let mut registry = Registry::with_prefix("ordo");
    store.metrics().register(&mut registry);
    sagas.register(&mut registry);
    payments.register(&mut registry);
    let requests = Requests::registered(&mut registry);
    let dead_letters = Family::default();
    registry.register("dead_letters", "Messages that could not be handled, by their queue", dead_letters.clone());
    let log = LogFigures::registered(&mut registry);
    let figures = Figures { registry, log, store: store.clone(), sagas: sagas.clone(), queues, dead_letters };
    let shown = Router::new().route("/metrics", get(show)).with_state(Arc::new(figures));
    // The first is the outer one; two layers of the router would cost each request a box more.
    routes.merge(shown).layer((requests, hosts.clone()))
}

async fn show(State(figures): State<Arc<Figures>>, headers: HeaderMap) -> Result<Response, Problem> {
    let pool = figures.store.pool();
    let asked = async { figures.log.ask(pool).await.and(figures.sagas.refresh(pool).await) };
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    // What this process counts is worth showing above all when the database is away.
    if let Ok(Err(error)) = &asked {
        tracing::warn!(error = error as &dyn std::error::Error, "the lag of subscriptions and what waits is not known");
    }
    figures.store.measure_queue();
    figures.count_dead_letters();
    figures.log.lag_known.set(i64::from(matches!(asked, Ok(Ok(())))));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &figures.registry).map_err(Problem::internal)?;
    Ok(Format::wanted(&headers).answer(text))
}

struct Figures {
    registry: Registry,
    log: LogFigures,
    store: EventStore,
    sagas: sagas::Metrics,
    queues: QueueWatch,
    dead_letters: Family<OfQueue, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQueue {
    queue: &'static str,
}

impl Figures {
    /// As many as there were when the queues were last looked at. What is not known is left out.
    fn count_dead_letters(&self) {
        for origin in Origin::ALL {
            let queue = OfQueue { queue: origin.as_str() };
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

/// How far subscriptions are behind the log, and for how long one transaction has been holding the log's tail. Asked of the
/// database, so that every process shows the same.
struct LogFigures {
    lag_known: Gauge,
    lag_of_orders: Gauge<f64, AtomicU64>,
    lag_events: Family<OfSubscription, Gauge>,
    lag_seconds: Family<OfSubscription, Gauge<f64, AtomicU64>>,
    parked: Family<OfSubscription, Gauge>,
    stopped: Family<OfSubscription, Gauge>,
    tail_held: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSubscription {
    subscription: String,
}

impl LogFigures {
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
            let whose = OfSubscription { subscription: lag.name };
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

/// What is counted of requests; a layer around routes, of which each request has a copy.
#[derive(Clone)]
struct Requests(Arc<RequestFigures>);

struct RequestFigures {
    answered: Family<Answered, Counter>,
    duration: Family<Asked, Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: MethodLabel,
    route: Route,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: MethodLabel,
    route: Route,
    status: u16,
}

/// One that a route answers to; `other` where none did.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MethodLabel(Option<Method>);

/// As the router knows it, `/orders/{order_id}`: there are few of them, whatever clients ask for. `none` where none answered.
#[derive(Debug, Clone)]
struct Route(Option<MatchedPath>);

/// What no route answered, because there is none, none with that method, or none for that host. Clients can make up as many of
/// these as they like, and they are counted as one.
const NOBODYS: Asked = Asked { method: MethodLabel(None), route: Route(None) };

impl Route {
    fn as_str(&self) -> &str {
        self.0.as_ref().map_or("none", MatchedPath::as_str)
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Route {}

impl std::hash::Hash for Route {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for MethodLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_ref().map_or("other", Method::as_str).encode(encoder)
    }
}

impl Requests {
    fn registered(registry: &mut Registry) -> Self {
        // 500 µs to 8 s.
        let histogram = || Histogram::new(exponential_buckets(0.000_5, 2.0, 15));
        let requests =
            RequestFigures { answered: Family::default(), duration: Family::new_with_constructor(histogram) };
        let registry = registry.sub_registry_with_prefix("http");
        registry.register("requests", "Requests answered", requests.answered.clone());
        let duration = requests.duration.clone();
        registry.register_with_unit("request_duration", "From a request to its answer", Unit::Seconds, duration);
        Self(Arc::new(requests))
    }

    fn count(&self, asked: Asked, status: StatusCode, since: Instant) {
        self.0.duration.get_or_create(&asked).observe(since.elapsed().as_secs_f64());
        let Asked { method, route } = asked;
        self.0.answered.get_or_create(&Answered { method, route, status: status.as_u16() }).inc();
    }
}

impl<S> Layer<S> for Requests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: self.clone() }
    }
}

#[derive(Clone)]
struct Counted<S> {
    inner: S,
    requests: Requests,
}

impl<S: Service<Request, Response = Response>> Service<Request> for Counted<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Counting<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // Only the fallback has no route.
        let route = request.extensions().get::<MatchedPath>().cloned();
        let method = || MethodLabel(Some(request.method().clone()));
        let asked = route.map(|route| Asked { method: method(), route: Route(Some(route)) });
        let (requests, since) = (self.requests.clone(), Instant::now());
        Counting { answer: self.inner.call(request), asked, requests, since }
    }
}

pin_project! {
    struct Counting<F> {
        #[pin]
        answer: F,
        asked: Option<Asked>,
        requests: Requests,
        since: Instant,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Counting<F> {
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let counting = self.project();
        let answer = ready!(counting.answer.poll(context));
        if let Ok(response) = &answer {
            let by_a_route = response.status() != StatusCode::METHOD_NOT_ALLOWED
                && response.extensions().get::<RefusedByHost>().is_none();
            let asked = counting.asked.take().filter(|_| by_a_route).unwrap_or(NOBODYS);
            counting.requests.count(asked, response.status(), *counting.since);
        }
        Poll::Ready(answer)
    }
}

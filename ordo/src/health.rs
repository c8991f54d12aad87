//! Liveness and readiness of the process.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use event_store::EventStore;
use event_store::database_checks::DurabilityError;
use futures_util::future::join_all;
use http::StatusCode;
use messaging::QueuesHealth;
use publication::PublicationHealth;
use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The time-out of a check, below those of the usual health checkers.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the database's durability is checked.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A check of something that the process needs.
#[derive(Clone)]
pub(crate) struct HealthCheck {
    name: &'static str,
    /// Whether the process is not ready without it.
    is_needed: bool,
    run: Arc<dyn Fn() -> HealthCheckOutcome + Send + Sync>,
}

type HealthCheckOutcome = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

impl HealthCheck {
    /// `run` returns why the check fails, in words for operators and without secrets: anyone may read them.
    pub(crate) fn new<F>(name: &'static str, run: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, is_needed: true, run: Arc::new(move || Box::pin(run())) }
    }

    /// The queues work. While they do not, orders are accepted all the same, and mails are sent later.
    #[must_use]
    pub(crate) fn queues(watch: QueuesHealth) -> Self {
        let looked = Self::new("queues", move || std::future::ready(watch.problem().map_or(Ok(()), Err)));
        Self { is_needed: false, ..looked }
    }

    /// Events can be published. While they can't, they wait, and nothing else does.
    #[must_use]
    pub(crate) fn publication(watches: Vec<PublicationHealth>) -> Self {
        let looked = Self::new("publication", move || {
            let problems: Vec<_> = watches.iter().filter_map(PublicationHealth::problem).collect();
            std::future::ready(if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) })
        });
        Self { is_needed: false, ..looked }
    }

    /// No webhook endpoint was disabled because it failed. Everything else works without it.
    #[must_use]
    pub(crate) fn webhooks(pool: PgPool) -> Self {
        let looked = Self::new("webhooks", move || {
            let pool = pool.clone();
            async move {
                let disabled = webhooks::disabled_endpoints(&pool).await.map_err(|error| {
                    tracing::warn!(%error, "the endpoints of webhooks can't be read");
                    "can't be read".to_owned()
                })?;
                let told = || format!("{disabled} endpoints are disabled since they failed: see `ordo webhook list`");
                (disabled == 0).then_some(()).ok_or_else(told)
            }
        });
        Self { is_needed: false, ..looked }
    }

    /// The database is still as durable as at the start. [`HealthCheck::database`] reports a database that does not answer.
    #[must_use]
    pub(crate) fn durability(watch: watch::Receiver<Option<String>>) -> Self {
        Self::new("durability", move || std::future::ready(watch.borrow().clone().map_or(Ok(()), Err)))
    }

    /// The database answers.
    #[must_use]
    pub(crate) fn database(pool: PgPool) -> Self {
        Self::new("database", move || {
            let pool = pool.clone();
            async move {
                let answered = sqlx::query("select 1").execute(&pool).await;
                answered.map(drop).map_err(|error| {
                    tracing::warn!(%error, "the database does not answer");
                    "does not answer".to_owned()
                })
            }
        })
    }

    /// The event store accepts events. It stops only when it is closed, or when its writer has died.
    #[must_use]
    pub(crate) fn event_store(store: EventStore) -> Self {
        Self::new("event-store", move || {
            let running = store.is_running();
            async move { running.then_some(()).ok_or_else(|| "takes no events".to_owned()) }
        })
    }

    /// The database lets the subscriptions of this process do their work. Without the rights of its role a process is of no use.
    #[must_use]
    pub(crate) fn subscriptions(store: EventStore) -> Self {
        Self::new("subscriptions", move || {
            let refused = store.refused_subscriptions().join(", ");
            let told = || format!("the database's user lacks rights for {refused}: the log says which");
            std::future::ready(refused.is_empty().then_some(()).ok_or_else(told))
        })
    }
}

/// Checks the database's durability regularly, logs changes, and sends what is wrong.
pub(crate) async fn watch_durability(pool: PgPool, amiss: watch::Sender<Option<String>>, stop: CancellationToken) {
    let forever = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = match event_store::database_checks::check_durability(&pool).await {
                Ok(()) => None,
                Err(off @ DurabilityError::Off { .. }) => Some(off.to_string()),
                Err(DurabilityError::Database(_)) => continue,
            };
            if *amiss.borrow() == now {
                continue;
            }
            match &now {
                Some(error) => tracing::error!("{error}"),
                None => tracing::info!("the database keeps what it commits again"),
            }
            amiss.send_replace(now);
        }
    };
    let _ = stop.run_until_cancelled(forever).await;
}

/// `GET /health/live`: 200 while the process answers at all. `GET /health/ready`: 200 while every check passes that the process
/// can't work without, else 503; `degraded` if another one fails.
pub(crate) fn routes(checks: Vec<HealthCheck>) -> OpenApiRouter {
    router().with_state(Arc::from(checks))
}

/// How the OpenAPI document describes [`routes`].
pub(crate) fn description() -> OpenApi {
    router().into_openapi()
}

fn router() -> OpenApiRouter<Arc<[HealthCheck]>> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Liveness)]
struct LivenessBody {
    /// Always `live`.
    status: &'static str,
}

/// Whether the process has what it needs.
#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
#[serde(rename_all = "camelCase")]
struct ReadinessBody {
    /// `ready`, `degraded` (it works, and something is missing that it can do without for a while) or `not-ready`.
    status: &'static str,
    checks: Vec<HealthCheckResult>,
}

/// Something that was checked.
#[derive(Serialize, ToSchema)]
#[schema(as = HealthCheck)]
#[serde(rename_all = "camelCase")]
struct HealthCheckResult {
    name: &'static str,
    #[serde(skip)]
    is_needed: bool,
    ok: bool,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Whether the process runs
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "health",
    operation_id = "isLive",
    responses((status = 200, description = "It answers", body = LivenessBody))
)]
async fn live() -> Json<LivenessBody> {
    Json(LivenessBody { status: "live" })
}

/// Whether the process has what it needs
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    operation_id = "isReady",
    responses(
        (status = 200, description = "It is ready, or degraded", body = ReadinessBody),
        (status = 503, description = "It is not ready: something is missing", body = ReadinessBody),
    )
)]
async fn ready(State(checks): State<Arc<[HealthCheck]>>) -> (StatusCode, Json<ReadinessBody>) {
    let checks = join_all(checks.iter().map(checked)).await;
    let (code, status) = if checks.iter().all(|check| check.ok) {
        (StatusCode::OK, "ready")
    } else if checks.iter().all(|check| check.ok || !check.is_needed) {
        (StatusCode::OK, "degraded")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not-ready")
    };
    (code, Json(ReadinessBody { status, checks }))
}

async fn checked(check: &HealthCheck) -> HealthCheckResult {
    let since = Instant::now();
    let outcome = tokio::time::timeout(PATIENCE, (check.run)()).await;
    let error = match outcome {
        Ok(outcome) => outcome.err(),
        Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    let (name, is_needed, duration_ms) = (check.name, check.is_needed, since.elapsed().as_secs_f64() * 1e3);
    HealthCheckResult { name, is_needed, ok: error.is_none(), duration_ms, error }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn ready_names_what_fails() {
        let routes = Router::from(routes(vec![
            HealthCheck::new("database", || async { Ok(()) }),
            HealthCheck::new("queue", || async { Err("does not answer".to_owned()) }),
        ]));
        let (status, body) = get("/health/ready", routes.clone()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["status"], "not-ready");
        assert_eq!(body["checks"][0]["ok"], true);
        assert_eq!(body["checks"][1]["name"], "queue");
        assert_eq!(body["checks"][1]["error"], "does not answer");
        assert_eq!(get("/health/live", routes).await.0, StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_counts_as_failed() {
        let (status, body) =
            get("/health/ready", routes(vec![HealthCheck::new("database", std::future::pending)]).into()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["checks"][0]["error"], "no answer within 2 s");
    }

    #[tokio::test]
    async fn ready_says_that_the_database_has_come_to_forget() {
        // Given
        let database = testkit::durable_database().await;
        let local = "do $$ begin
            execute format('alter database %I set synchronous_commit = local', current_database()); end $$";
        sqlx::query(local).execute(database.pool()).await.unwrap();
        let pool = PgPool::connect(database.url()).await.unwrap();
        let (amiss, seen) = watch::channel(None);
        let (routes, stop) =
            (Router::from(routes(vec![HealthCheck::durability(seen.clone())])), CancellationToken::new());
        let watching = tokio::spawn(watch_durability(pool.clone(), amiss, stop.clone()));
        assert_eq!(get("/health/ready", routes.clone()).await.0, StatusCode::OK);

        // When
        let set = async |statement: &str| {
            sqlx::query(statement).execute(&pool).await.unwrap();
            sqlx::query("select pg_reload_conf()").execute(&pool).await.unwrap();
        };
        set("alter system set synchronous_standby_names = 'one'").await;

        // Then
        let patience = Duration::from_secs(60);
        testkit::eventually(patience, || async { seen.borrow().is_some() }).await;
        let (status, body) = get("/health/ready", routes.clone()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body["checks"][0]["error"].as_str().unwrap().contains("synchronous_commit = local"), "{body}");

        // And back again.
        set("alter system reset synchronous_standby_names").await;
        testkit::eventually(patience, || async { seen.borrow().is_none() }).await;
        assert_eq!(get("/health/ready", routes).await.0, StatusCode::OK);
        stop.cancel();
        watching.await.unwrap();
    }

    async fn get(path: &str, routes: Router) -> (StatusCode, Value) {
        let response = routes.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

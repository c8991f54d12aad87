//! How long orders wait for the platform, and a limit for new orders that depends on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use event_store::operations::SubscriptionLag;
use http::Method;
use problem::{Problem, ProblemType};
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

/// How often the lag is measured, and how long the database may take.
const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the last measured lag counts while the database does not answer: it is slow when much waits. After that no order is
/// refused because of the lag.
const HOLDS: Duration = Duration::from_secs(60);
/// The value of `Retry-After`.
const LATER: Duration = Duration::from_secs(5);

/// How many seconds orders have been waiting for the sagas or for their mails, whichever is longer.
pub(crate) async fn of_orders(pool: &PgPool, subscriptions: &[SubscriptionLag]) -> Result<f64, sqlx::Error> {
    let of_sagas = subscriptions.iter().find(|lag| lag.name == sagas::SAGAS[0].name);
    Ok(sagas::mail_lag(pool).await?.max(of_sagas.map_or(0.0, |lag| lag.lag_seconds)))
}

/// Refuses new orders while earlier ones are too far behind.
#[derive(Clone)]
pub(crate) struct LagBackpressure {
    max_lag: Duration,
    /// The last measured lag, in milliseconds.
    lag: Arc<AtomicU64>,
}

impl LagBackpressure {
    #[must_use]
    pub(crate) fn new(max_lag: Duration) -> Self {
        Self { max_lag, lag: Arc::default() }
    }

    /// Measures the lag regularly until `stop`.
    pub(crate) async fn watch(self, pool: PgPool, stop: CancellationToken) {
        let mut said = Instant::now();
        while !stop.is_cancelled() {
            let asked = async { of_orders(&pool, &event_store::operations::lag(&pool).await?).await };
            let seconds = match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(seconds)) => {
                    said = Instant::now();
                    Some(seconds)
                }
                Ok(Err(_)) | Err(_) => (said.elapsed() > HOLDS).then_some(0.0),
            };
            if let Some(seconds) = seconds {
                let lag = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
                self.lag.store(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
            let _ = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        }
    }

    /// The routes, with the limit on new orders.
    pub(crate) fn apply_to(&self, routes: OpenApiRouter) -> OpenApiRouter {
        routes.layer(middleware::from_fn_with_state(self.clone(), admit))
    }
}

async fn admit(State(intake): State<LagBackpressure>, request: Request, next: Next) -> Result<Response, Problem> {
    let lag = Duration::from_millis(intake.lag.load(Ordering::Relaxed));
    let is_new_order = request.method() == Method::POST && request.uri().path() == "/orders";
    if is_new_order && lag > intake.max_lag {
        let detail = format!("orders are {} s behind; nothing was stored", lag.as_secs());
        return Err(Problem::new(ProblemType::Overloaded, detail).retry_after(LATER));
    }
    Ok(next.run(request).await)
}

//! How far orders are behind, and intake that goes by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use event_store::operations::SubscriptionLag;
use http::Method;
use problem::Problem;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is looked at, and how long the database may take to say.
const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
/// For how long what the database said last holds while it does not say: it is slow when much waits. After that nobody is refused
/// because of it.
const HOLDS: Duration = Duration::from_secs(60);
/// When it is worth coming back.
const LATER: Duration = Duration::from_secs(5);

/// For how many seconds orders have been waiting for the platform: to be carried on, or for their mails, whichever is longer.
pub async fn of_orders(pool: &PgPool, subscriptions: &[SubscriptionLag]) -> Result<f64, sqlx::Error> {
    let of_sagas = subscriptions.iter().find(|lag| lag.name == sagas::SAGAS[0].name);
    Ok(sagas::mail_lag(pool).await?.max(of_sagas.map_or(0.0, |lag| lag.lag_seconds)))
}

/// Takes orders only as long as those before them are not too far behind.
#[derive(Clone)]
pub struct Intake {
    most: Duration,
    /// As it was the last time, in milliseconds.
    lag: Arc<AtomicU64>,
}

impl Intake {
    /// Refuses new orders while the others are further behind than that.
    #[must_use]
    pub fn up_to(most: Duration) -> Self {
        Self { most, lag: Arc::default() }
    }

    /// Looks how far orders are behind, until told to stop.
    pub async fn watch(self, pool: PgPool, stop: CancellationToken) {
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

    /// The routes, those by which new orders come bounded.
    pub fn before(&self, routes: Router) -> Router {
        routes.layer(middleware::from_fn_with_state(self.clone(), admit))
    }
}

async fn admit(State(intake): State<Intake>, request: Request, next: Next) -> Result<Response, Problem> {
    let lag = Duration::from_millis(intake.lag.load(Ordering::Relaxed));
    let is_new_order = request.method() == Method::POST && request.uri().path() == "/orders";
    if is_new_order && lag > intake.most {
        let detail = format!("orders are {} s behind; nothing was stored", lag.as_secs());
        return Err(Problem::unavailable("overloaded", detail, LATER));
    }
    Ok(next.run(request).await)
}

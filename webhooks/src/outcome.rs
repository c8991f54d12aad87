//! What became of an attempt, and how it is recorded.

use std::time::Duration;

use sqlx::PgPool;

use crate::claims::{ClaimedDelivery, remove_if_empty};
use crate::endpoint::WebhookEndpoint;
use crate::retry_schedule::pause_after;

/// The most bytes of an error that are kept.
const LONGEST_ERROR: usize = 512;
/// After a longer time without any failure an endpoint has not failed since the one before it. It is longer than any pause between the
/// attempts of a delivery, so nothing was tried meanwhile.
const FAILURES_IN_A_ROW: &str = "30 hours";
/// An endpoint can ask not to be called for so long.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// What came of one attempt at a delivery.
#[derive(Debug)]
pub(crate) struct AttemptOutcome {
    /// `None`: there was no answer.
    pub(crate) status: Option<u16>,
    /// The first of its body.
    pub(crate) answer: Option<String>,
    /// Why it counts as failed; `None`: it succeeded.
    pub(crate) error: Option<String>,
    /// When the endpoint wants to be called again.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) took: Duration,
}

/// What a delivery came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    Delivered,
    /// It will be tried again.
    Pending,
    /// It was tried often enough.
    Failed,
}

impl DeliveryState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// Records an attempt. `None`: the claim has ended meanwhile, so another attempt counts and this one does not.
pub(crate) async fn record(
    pool: &PgPool,
    delivery: &ClaimedDelivery,
    outcome: &AttemptOutcome,
) -> Result<Option<DeliveryState>, sqlx::Error> {
    let attempts = delivery.attempts.saturating_add(1);
    let pause = pause_after(u32::try_from(attempts).unwrap_or(u32::MAX));
    let state = match (&outcome.error, pause) {
        (None, _) => DeliveryState::Delivered,
        (Some(_), Some(_)) => DeliveryState::Pending,
        (Some(_), None) => DeliveryState::Failed,
    };
    let mut transaction = pool.begin().await?;
    let (endpoint_id, order_id) = (delivery.endpoint_id, &delivery.order_id);
    // The next delivery of the order is due at once, this one after its pause.
    let pause = if state == DeliveryState::Pending { pause.unwrap_or_default() } else { Duration::ZERO };
    let held = "update webhook_queues set due_at = now() + $4, claim = null
                 where endpoint_id = $1 and order_id = $2 and claim = $3";
    let held = sqlx::query(held).bind(endpoint_id).bind(order_id).bind(delivery.claim).bind(whole_millis(pause));
    if held.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Ok(None);
    }
    let record = "update webhook_deliveries
                     set state = $2, ended_at = case when $2 = 'pending' then null else now() end, attempts = $3, attempted_at = now(),
                         duration_ms = $4, status = $5, answer = $6, error = $7
                   where id = $1 and state = 'pending' and attempts = $8";
    let recorded = sqlx::query(record)
        .bind(delivery.id)
        .bind(state.as_str())
        .bind(attempts)
        .bind(i32::try_from(outcome.took.as_millis()).unwrap_or(i32::MAX))
        .bind(outcome.status.and_then(|status| i16::try_from(status).ok()))
        .bind(outcome.answer.as_deref())
        .bind(outcome.error.as_deref().map(storable_error))
        .bind(delivery.attempts)
        .execute(&mut *transaction)
        .await?;
    if recorded.rows_affected() == 0 {
        // Somebody has asked for it once more since the attempt began.
        let again = "update webhook_queues set due_at = now() where endpoint_id = $1 and order_id = $2";
        sqlx::query(again).bind(endpoint_id).bind(order_id).execute(&mut *transaction).await?;
    }
    if state != DeliveryState::Pending {
        remove_if_empty(&mut transaction, endpoint_id, order_id).await?;
    }
    // Last, so that nobody who holds an endpoint waits for an order.
    let failing: String;
    let endpoint = match outcome.error {
        None => {
            let healthy = "update webhook_endpoints set failing_since = null, failures = 0
                            where id = $1 and failing_since is not null";
            sqlx::query(healthy).bind(endpoint_id)
        }
        Some(_) => {
            failing = format!(
                "update webhook_endpoints
                    set failing_since = case when failed_at >= now() - interval '{FAILURES_IN_A_ROW}'
                                             then coalesce(failing_since, now()) else now() end,
                        failed_at = now(), failures = least(failures, 1000000) + 1, not_before = coalesce(now() + $2, not_before)
                  where id = $1"
            );
            let pause = outcome.retry_after.map(|pause| whole_millis(pause.min(LONGEST_RETRY_AFTER)));
            sqlx::query(&failing).bind(endpoint_id).bind(pause)
        }
    };
    endpoint.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Some(state))
}

/// Disables an endpoint that is gone, or that has failed for too long, and says so.
pub(crate) async fn disable_if_hopeless(
    pool: &PgPool,
    delivery: &ClaimedDelivery,
    outcome: &AttemptOutcome,
    disable_after: Duration,
) -> Result<(), sqlx::Error> {
    const GONE: u16 = 410;
    if outcome.error.is_none() {
        return Ok(());
    }
    let (endpoint, is_gone) = (delivery.endpoint_id, outcome.status == Some(GONE));
    if let Some(because) = WebhookEndpoint::disable_by_itself(pool, endpoint, is_gone, disable_after).await? {
        tracing::error!(
            %endpoint,
            because,
            error = outcome.error,
            "a webhook endpoint is disabled; `ordo webhook enable` delivers to it again"
        );
    }
    Ok(())
}

/// Postgres takes no nanoseconds.
fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// An error as the database can store it.
fn storable_error(error: &str) -> String {
    let mut kept = error.replace('\0', "\u{fffd}");
    kept.truncate(kept.floor_char_boundary(LONGEST_ERROR));
    kept
}

//! What is counted of webhooks.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sqlx::PgPool;

use crate::outcome::DeliveryState;

/// Attempts of this process, and what the database knows of deliveries and endpoints. Clones share the figures.
#[derive(Debug, Clone)]
pub struct WebhookMetrics {
    attempts: Family<OutcomeLabel, Counter>,
    duration: Histogram,
    waiting: Gauge,
    waiting_seconds: Gauge<f64, AtomicU64>,
    failed: Gauge,
    failing: Gauge,
    disabled: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Orders with something to deliver are counted up to here.
const COUNTED: i64 = 100_000;

impl Default for WebhookMetrics {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            // 1 ms to 16 s.
            duration: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            waiting: Gauge::default(),
            waiting_seconds: Gauge::default(),
            failed: Gauge::default(),
            failing: Gauge::default(),
            disabled: Gauge::default(),
        }
    }
}

impl WebhookMetrics {
    pub fn register(&self, registry: &mut Registry) {
        let Self { attempts, duration, waiting, waiting_seconds, failed, failing, disabled } = self;
        let registry = registry.sub_registry_with_prefix("webhook");
        registry.register("attempts", "What attempts at deliveries came to", attempts.clone());
        registry.register_with_unit("attempt_duration", "From a POST to its answer", Unit::Seconds, duration.clone());
        registry.register("waiting_orders", "Orders with something to deliver", waiting.clone());
        let about = "How long the delivery that waits longest has been waiting";
        registry.register_with_unit("waiting", about, Unit::Seconds, waiting_seconds.clone());
        registry.register("failed_deliveries", "Deliveries that were given up", failed.clone());
        registry.register("failing_endpoints", "Enabled endpoints whose last attempt failed", failing.clone());
        let about = "Endpoints that were disabled because they were gone or failed for too long";
        registry.register("disabled_endpoints", about, disabled.clone());
    }

    pub(crate) fn attempted(&self, state: DeliveryState, took: Duration) {
        let outcome = match state {
            DeliveryState::Delivered => "delivered",
            DeliveryState::Pending => "failed",
            DeliveryState::Failed => "given_up",
        };
        self.attempts.get_or_create(&OutcomeLabel { outcome }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Reads what the database knows.
    pub async fn refresh(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let query = "select (select count(*) from (select from webhook_queues limit $1) as queues),
                            (select coalesce(extract(epoch from clock_timestamp() - min(first.created_at)), 0)::float8
                               from webhook_endpoints endpoint
                              cross join lateral (select created_at from webhook_deliveries
                                                   where endpoint_id = endpoint.id and state = 'pending'
                                                   order by position limit 1) as first
                              where endpoint.disabled_at is null),
                            (select count(*) from (select from webhook_endpoints endpoint
                                                     join webhook_deliveries delivery on delivery.endpoint_id = endpoint.id
                                                    where endpoint.deleted_at is null and delivery.state = 'failed' limit $1) as failed),
                            (select count(*) from webhook_endpoints where disabled_at is null and failing_since is not null),
                            (select count(*) from webhook_endpoints where disabled_because in ('gone', 'failing') and deleted_at is null)";
        let row: (i64, f64, i64, i64, i64) = sqlx::query_as(query).bind(COUNTED).fetch_one(pool).await?;
        self.waiting.set(row.0);
        self.waiting_seconds.set(row.1.max(0.0));
        self.failed.set(row.2);
        self.failing.set(row.3);
        self.disabled.set(row.4);
        Ok(())
    }
}

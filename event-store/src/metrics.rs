//! The event store's metrics.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Metrics of an [`EventStore`](crate::EventStore); clones share them.
#[derive(Debug, Clone)]
pub struct EventStoreMetrics {
    pub(crate) waiting: Gauge,
    pub(crate) refused: Counter,
    commands: Counter,
    conflicts: Counter,
    replayed: Counter,
    batch_commands: Histogram,
    batch_duration: Histogram,
}

impl Default for EventStoreMetrics {
    fn default() -> Self {
        Self {
            waiting: Gauge::default(),
            refused: Counter::default(),
            commands: Counter::default(),
            conflicts: Counter::default(),
            replayed: Counter::default(),
            // 1 to 512 commands.
            batch_commands: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            // 250 µs to 4 s.
            batch_duration: Histogram::new(exponential_buckets(0.000_25, 2.0, 15)),
        }
    }
}

impl EventStoreMetrics {
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("append");
        registry.register("waiting", "Commands that wait for the next batch", self.waiting.clone());
        registry.register("refused", "Commands refused because too many were waiting", self.refused.clone());
        registry.register("commands", "Commands whose events were stored", self.commands.clone());
        registry.register("conflicts", "Commands whose stream had moved on", self.conflicts.clone());
        registry.register("repeated", "Commands whose idempotency key had been used", self.replayed.clone());
        registry.register("batch_commands", "Commands in a batch", self.batch_commands.clone());
        let batch_duration = self.batch_duration.clone();
        registry.register_with_unit("batch_duration", "From a batch to its commit", Unit::Seconds, batch_duration);
    }

    pub(crate) fn batch(&self, batch: &AppendOutcomeCounts, took: Duration) {
        let commands = batch.stored + batch.conflicts + batch.replayed + batch.failed;
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most some hundred commands")]
        self.batch_commands.observe(commands as f64);
        self.batch_duration.observe(took.as_secs_f64());
        self.commands.inc_by(batch.stored);
        self.conflicts.inc_by(batch.conflicts);
        self.replayed.inc_by(batch.replayed);
    }
}

/// How many commands of one group commit were stored, were in conflict, were replays or failed.
#[derive(Debug, Default)]
pub(crate) struct AppendOutcomeCounts {
    pub(crate) stored: u64,
    pub(crate) conflicts: u64,
    pub(crate) replayed: u64,
    pub(crate) failed: u64,
}

//! What the event store counts about its own work.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::append::{AppendError, Appended};

/// Counters of an [`EventStore`](crate::EventStore); clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) waiting: Gauge,
    pub(crate) refused: Counter,
    commands: Counter,
    conflicts: Counter,
    repeated: Counter,
    batch_commands: Histogram,
    batch_duration: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            waiting: Gauge::default(),
            refused: Counter::default(),
            commands: Counter::default(),
            conflicts: Counter::default(),
            repeated: Counter::default(),
            // 1 to 512 commands.
            batch_commands: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            // 250 µs to 4 s.
            batch_duration: Histogram::new(exponential_buckets(0.000_25, 2.0, 15)),
        }
    }
}

impl Metrics {
    /// Enters them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("append");
        registry.register("waiting", "Commands that wait for the next batch", self.waiting.clone());
        registry.register("refused", "Commands refused because too many were waiting", self.refused.clone());
        registry.register("commands", "Commands whose events were stored", self.commands.clone());
        registry.register("conflicts", "Commands whose stream had moved on", self.conflicts.clone());
        registry.register("repeated", "Commands whose idempotency key had been used", self.repeated.clone());
        registry.register("batch_commands", "Commands in a batch", self.batch_commands.clone());
        let batch_duration = self.batch_duration.clone();
        registry.register_with_unit("batch_duration", "From a batch to its commit", Unit::Seconds, batch_duration);
    }

    pub(crate) fn batch(&self, answers: &[Result<Appended, AppendError>], took: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most some hundred commands")]
        self.batch_commands.observe(answers.len() as f64);
        self.batch_duration.observe(took.as_secs_f64());
        let (mut stored, mut conflicts, mut repeated) = (0, 0, 0);
        for answer in answers {
            match answer {
                Ok(_) => stored += 1,
                Err(AppendError::Conflict) => conflicts += 1,
                Err(AppendError::Repeated(_)) => repeated += 1,
                Err(AppendError::QueueFull | AppendError::Closed | AppendError::Unknown(_)) => {}
            }
        }
        self.commands.inc_by(stored);
        self.conflicts.inc_by(conflicts);
        self.repeated.inc_by(repeated);
    }
}

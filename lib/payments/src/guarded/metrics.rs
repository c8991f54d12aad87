//! Metrics of the calls to a payment provider.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::BreakerState;
use crate::PaymentError;

/// The metrics of a [`Guarded`](crate::Guarded). Clones share them.
#[derive(Debug, Clone)]
pub struct PaymentMetrics {
    calls: Family<CallLabels, Counter>,
    duration: Family<OperationLabel, Histogram>,
    breaker: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

impl Default for PaymentMetrics {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            // 1 ms to 16 s.
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 15))),
            breaker: Gauge::default(),
        }
    }
}

impl PaymentMetrics {
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("payment");
        registry.register("calls", "Calls to the payment provider", self.calls.clone());
        let duration = self.duration.clone();
        registry.register_with_unit("call_duration", "From a call to its answer", Unit::Seconds, duration);
        let breaker = "Whether calls reach the provider: 0 they do, 1 one goes to see, 2 they don't";
        registry.register("breaker_state", breaker, self.breaker.clone());
    }

    pub(super) fn called<T>(&self, operation: &'static str, outcome: &Result<T, PaymentError>, took: Duration) {
        let outcome = match outcome {
            Ok(_) => "done",
            Err(PaymentError::Declined { .. }) => "declined",
            Err(PaymentError::Unknown { .. }) => "unknown",
            Err(PaymentError::Unavailable { .. }) => "unavailable",
            Err(PaymentError::Refused { .. }) => "refused",
        };
        self.calls.get_or_create(&CallLabels { operation, outcome }).inc();
        self.duration.get_or_create(&OperationLabel { operation }).observe(took.as_secs_f64());
    }

    /// The breaker was open.
    pub(super) fn not_tried(&self, operation: &'static str) {
        self.calls.get_or_create(&CallLabels { operation, outcome: "not_tried" }).inc();
    }

    pub(super) fn breaker(&self, state: BreakerState) {
        self.breaker.set(match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        });
    }
}

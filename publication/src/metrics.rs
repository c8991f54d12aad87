//! What is counted of published events.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::PublicationTarget;

/// What this process has published. Clones share the figures.
#[derive(Debug, Clone, Default)]
pub struct PublicationMetrics {
    sent: Family<TargetLabel, Counter>,
    sent_by_reference: Family<TargetLabel, Counter>,
    failed: Family<TargetLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabel {
    /// `queue` or `topic`.
    target: &'static str,
}

impl TargetLabel {
    fn of(target: &PublicationTarget) -> Self {
        Self { target: target.kind() }
    }
}

impl PublicationMetrics {
    pub fn register(&self, registry: &mut Registry) {
        let Self { sent, sent_by_reference, failed } = self;
        let registry = registry.sub_registry_with_prefix("publication");
        registry.register("events", "Events that the queue or topic has accepted, repeats among them", sent.clone());
        let about = "Those of them that were too large, and were sent without their data";
        registry.register("events_by_reference", about, sent_by_reference.clone());
        registry.register("failures", "Attempts to publish that failed and are made again", failed.clone());
    }

    pub(crate) fn sent(&self, target: &PublicationTarget, by_reference: bool) {
        let label = TargetLabel::of(target);
        self.sent.get_or_create(&label).inc();
        if by_reference {
            self.sent_by_reference.get_or_create(&label).inc();
        }
    }

    pub(crate) fn failed(&self, target: &PublicationTarget) {
        self.failed.get_or_create(&TargetLabel::of(target)).inc();
    }
}

//! What is counted of published events.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// What this process has published. Clones share the figures.
#[derive(Debug, Clone, Default)]
pub struct PublicationMetrics {
    sent: Counter,
    sent_by_reference: Counter,
    failed: Counter,
}

impl PublicationMetrics {
    pub fn register(&self, registry: &mut Registry) {
        let Self { sent, sent_by_reference, failed } = self;
        let registry = registry.sub_registry_with_prefix("publication");
        registry.register("events", "Events that the queue has accepted, repeats among them", sent.clone());
        let about = "Those of them that were too large, and were sent without their data";
        registry.register("events_by_reference", about, sent_by_reference.clone());
        registry.register("failures", "Attempts to publish that failed and are made again", failed.clone());
    }

    pub(crate) fn sent(&self, by_reference: bool) {
        self.sent.inc();
        if by_reference {
            self.sent_by_reference.inc();
        }
    }

    pub(crate) fn failed(&self) {
        self.failed.inc();
    }
}
